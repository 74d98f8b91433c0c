//! The figures of a run: name → {value, unit, aim, peer, peer_value, ratio, peers, how}.

use crate::measure::write_figures;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Whom most figures of an agent are held against.
pub const EXPORTER: &str = "prometheus-node-exporter (Debian)";

#[derive(Debug, Default)]
pub struct Figures(Map<String, Value>);

impl Figures {
    /// Notes a figure, beside its peer's where this run measured one.
    pub fn note(&mut self, name: &str, unit: &str, value: f64, peer: Option<(&str, f64)>, how: &str) {
        self.beside(name, unit, value, None, peer.as_slice(), how);
    }

    /// Notes a figure with what it should be and those of all peers, of which the first gives the ratio.
    pub fn beside(&mut self, name: &str, unit: &str, value: f64, aim: Option<f64>, peers: &[(&str, f64)], how: &str) {
        let peer = peers.first();
        let figure = json!({
            "value": value,
            "unit": unit,
            "aim": aim,
            "peer": peer.map_or("none in this run", |(peer, _)| peer),
            "peer_value": peer.map(|(_, value)| value),
            "ratio": peer.map(|(_, peer_value)| value / peer_value),
            "peers": peers.iter().map(|(peer, value)| ((*peer).to_owned(), json!(value))).collect::<Map<_, _>>(),
            "how": how,
        });
        println!("{name}: {figure}");
        self.0.insert(name.to_owned(), figure);
    }

    /// Writes them beside those of other benchmarks.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self) -> Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/figures.json");
        write_figures(&path, self.0.clone())?;
        println!("figures: {}", path.canonicalize()?.display());
        Ok(())
    }
}
