//! Prometheus with the same values: blocks made by `promtool`, compacted by the server itself.

use crate::columns::Columns;
use crate::http::{Query, Server, folder_bytes};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

pub const NAME: &str = "Prometheus (Debian)";
/// The longest that compaction is waited for. The server looks once a minute.
const SETTLE_WAIT: Duration = Duration::from_secs(240);
/// Nothing compacted for this long: it is done.
const SETTLED_AFTER: Duration = Duration::from_secs(75);

pub struct Prometheus {
    dir: PathBuf,
    piece: String,
    server: Option<Server>,
}

impl Prometheus {
    pub fn new(dir: &Path) -> Result<Self> {
        let dir = dir.join("prometheus");
        std::fs::create_dir_all(dir.join("data"))?;
        std::fs::write(dir.join("prometheus.yml"), "scrape_configs: []\n")?;
        Ok(Self { dir, piece: String::new(), server: None })
    }

    pub fn take(&mut self, columns: &Columns) {
        columns.open_metrics(&mut self.piece);
    }

    /// What was taken becomes blocks; to be called at hours of even number, where its blocks end.
    pub fn make_blocks(&mut self) -> Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.piece.push_str("# EOF\n");
        let file = self.dir.join("piece");
        std::fs::write(&file, &self.piece)?;
        self.piece.clear();
        let mut command = Command::new("promtool");
        command.args(["tsdb", "create-blocks-from", "openmetrics", "-q"]).arg(&file).arg(self.dir.join("data"));
        let output =
            command.stdin(Stdio::null()).output().context("promtool (on Debian: apt-get install prometheus)")?;
        ensure!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stderr));
        Ok(std::fs::remove_file(&file)?)
    }

    /// Serves the blocks and waits until the server compacts no more; bytes on disk then.
    pub async fn settle(&mut self) -> Result<f64> {
        self.server = None;
        let arguments = |address: &str| {
            vec![
                format!("--config.file={}", self.dir.join("prometheus.yml").display()),
                format!("--storage.tsdb.path={}", self.dir.join("data").display()),
                "--storage.tsdb.retention.time=1y".to_owned(),
                format!("--web.listen-address={address}"),
                "--log.level=error".to_owned(),
            ]
        };
        let server = Server::start("prometheus", &self.dir, arguments, "/-/ready").await?;
        let (began, mut quiet_since, mut compactions) = (Instant::now(), Instant::now(), 0.0);
        while began.elapsed() < SETTLE_WAIT && quiet_since.elapsed() < SETTLED_AFTER {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = server.metric("prometheus_tsdb_compactions_total").await?;
            if now > compactions {
                (compactions, quiet_since) = (now, Instant::now());
            }
        }
        self.server = Some(server);
        self.block_bytes()
    }

    fn block_bytes(&self) -> Result<f64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.dir.join("data"))? {
            let path = entry?.path();
            if path.join("meta.json").exists() {
                bytes += folder_bytes(&path)?;
            }
        }
        Ok(bytes as f64)
    }

    pub async fn ask(&self, query: &Query) -> Result<usize> {
        self.server.as_ref().context("it does not run")?.ask(query).await
    }
}
