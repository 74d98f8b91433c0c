//! The same values by series, as Prometheus and VictoriaMetrics import them.

use fleetlight_controller::store::flush::{Batch, Data};
use fleetlight_protocol::samples::EntityKind;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What one series has.
#[derive(Debug, Default, Clone)]
struct Points {
    times_ms: Vec<i64>,
    values: Vec<f64>,
}

/// Series of some hours, by host, kind and key; one for each metric.
#[derive(Debug, Default)]
pub struct Columns(BTreeMap<(i32, EntityKind), BTreeMap<String, Vec<Points>>>);

impl Columns {
    pub fn take(&mut self, batches: &[Batch]) {
        for batch in batches {
            let Data::Samples { tick_ms, rows } = &batch.data else { continue };
            for row in rows {
                let keys = self.0.entry((batch.host_id, row.kind)).or_default();
                if !keys.contains_key(&row.key) {
                    keys.insert(row.key.clone(), vec![Points::default(); row.values.len()]);
                }
                let Some(series) = keys.get_mut(&row.key) else { continue };
                for (points, value) in series.iter_mut().zip(&row.values) {
                    if let Some(value) = value {
                        points.times_ms.push(*tick_ms);
                        points.values.push(*value);
                    }
                }
            }
        }
    }

    fn each(&self, mut of: impl FnMut(&str, i32, &str, &Points)) {
        for ((host_id, kind), keys) in &self.0 {
            for (key, series) in keys {
                for (metric, points) in kind.metrics().iter().zip(series) {
                    if !points.values.is_empty() {
                        of(&format!("{}_{}", kind.name(), metric.name), *host_id, key, points);
                    }
                }
            }
        }
    }

    /// Lines for VictoriaMetrics' `/api/v1/import`, in bodies of some megabytes.
    pub fn json_bodies(&self) -> Vec<String> {
        const BODY_BYTES: usize = 8 << 20;
        let mut bodies = vec![String::new()];
        self.each(|name, host_id, key, points| {
            if bodies.last().is_some_and(|body| body.len() > BODY_BYTES) {
                bodies.push(String::new());
            }
            let Some(body) = bodies.last_mut() else { return };
            let _ = writeln!(
                body,
                r#"{{"metric":{{"__name__":"{name}","host":"host-{host_id}","key":"{key}"}},"values":[{}],"timestamps":[{}]}}"#,
                list(&points.values),
                list(&points.times_ms),
            );
        });
        bodies
    }

    /// OpenMetrics without its end, for `promtool`.
    pub fn open_metrics(&self, into: &mut String) {
        self.each(|name, host_id, key, points| {
            for (time_ms, value) in points.times_ms.iter().zip(&points.values) {
                let _ =
                    writeln!(into, r#"{name}{{host="host-{host_id}",key="{key}"}} {value} {}"#, *time_ms as f64 / 1e3);
            }
        });
    }
}

fn list(numbers: &[impl std::fmt::Display]) -> String {
    let mut text = String::with_capacity(numbers.len() * 14);
    for (place, number) in numbers.iter().enumerate() {
        let _ = write!(text, "{}{number}", if place == 0 { "" } else { "," });
    }
    text
}
