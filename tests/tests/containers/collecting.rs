//! The containers collector as the agent runs it, and `docker stats` to compare it with.

use fleetlight_agent::collectors::containers::{self, Containers};
use fleetlight_agent::collectors::names::ContainerNames;
use fleetlight_agent::collectors::{self, Reading};
use fleetlight_agent::config::AgentConfig;
use fleetlight_protocol::document::{Body, CollectorDocument, CollectorState, ContainerDocument};
use fleetlight_protocol::event::{Event, Fact};
use fleetlight_protocol::samples::{ContainerSample, EntityKind, Row, Sample};
use fleetlight_tests::docker::Docker;
use fleetlight_tests::executor::Beside;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub const SECOND: Duration = Duration::from_secs(1);

/// The collector at one tick a second, the executor that it asks, and all that it says.
pub struct Collecting {
    readings: mpsc::Receiver<Reading>,
    pub executor: Beside,
    stop: CancellationToken,
}

impl Drop for Collecting {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Collecting {
    /// Follows the daemon of this socket.
    pub async fn start(socket: &Path) -> Self {
        let (outbox, readings) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let config = AgentConfig {
            docker_socket: socket.to_owned(),
            user_pattern: Some("-(user[0-9]+)$".into()),
            ..AgentConfig::default()
        };
        let executor = Beside::start(config).await.expect("an executor");
        let config = executor.config();
        let names = Arc::new(ContainerNames::default());
        let (collector, watching): (Containers, _) = containers::spawn(&config, outbox.clone(), names, stop.clone());
        tokio::spawn(watching);
        tokio::spawn(collectors::run(collector, SECOND, Duration::ZERO, outbox, stop.clone()));
        Self { readings, executor, stop }
    }

    /// Waits until `find` finds something in what the collector says.
    pub async fn until<T>(&mut self, what: &str, within: Duration, mut find: impl FnMut(&Reading) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let reading = tokio::time::timeout_at(deadline, self.readings.recv()).await;
            let reading = reading.unwrap_or_else(|_| panic!("no {what} within {within:?}"));
            if let Some(found) = find(&reading.expect("the collector runs")) {
                return found;
            }
        }
    }

    /// The next document of container `id` that fits.
    pub async fn document(
        &mut self,
        id: &str,
        what: &str,
        within: Duration,
        fits: impl Fn(&ContainerDocument) -> bool,
    ) -> ContainerDocument {
        let find = |reading: &Reading| {
            let Reading::Documents(documents) = reading else { return None };
            documents.iter().filter(|document| document.key == id).find_map(|document| match &document.body {
                Some(Body::Container(body)) if fits(body) => Some((**body).clone()),
                _ => None,
            })
        };
        self.until(what, within, find).await
    }

    /// The next event of container `id` that fits.
    pub async fn event(&mut self, id: &str, what: &str, within: Duration, fits: impl Fn(&Fact) -> bool) -> Event {
        let find = |reading: &Reading| {
            let Reading::Events(events) = reading else { return None };
            events.iter().find(|event| event.key == id && fits(&event.fact)).cloned()
        };
        self.until(what, within, find).await
    }

    /// The collector's own document with this state.
    pub async fn collector(&mut self, state: CollectorState, within: Duration) -> CollectorDocument {
        let find = |reading: &Reading| {
            let Reading::Documents(documents) = reading else { return None };
            documents.iter().find_map(|document| match &document.body {
                Some(Body::Collector(body)) if body.state == state => Some(body.clone()),
                _ => None,
            })
        };
        self.until("state of the collector", within, find).await
    }

    /// Forgets what was said until now.
    pub fn forget(&mut self) {
        while self.readings.try_recv().is_ok() {}
    }

    /// The next tick's numbers by container.
    pub async fn tick(&mut self) -> HashMap<String, Vec<Option<f64>>> {
        let find = |reading: &Reading| {
            let Reading::Rows { rows, .. } = reading else { return None };
            let containers = rows.iter().filter(|row| row.kind == EntityKind::Container);
            Some(containers.map(|row: &Row| (row.key.clone(), row.values.clone())).collect())
        };
        self.until("tick", 3 * SECOND, find).await
    }

    /// Means of metrics over some ticks; `None` for one that was always absent.
    pub async fn mean(&mut self, id: &str, metrics: &[&str], ticks: usize) -> Vec<Option<f64>> {
        let mut sums = vec![(0.0, 0); metrics.len()];
        for _ in 0..ticks {
            let rows = self.tick().await;
            for (metric, sum) in metrics.iter().zip(&mut sums) {
                if let Some(value) = rows.get(id).and_then(|values| values[column(metric)]) {
                    *sum = (sum.0 + value, sum.1 + 1);
                }
            }
        }
        sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect()
    }
}

fn column(metric: &str) -> usize {
    ContainerSample::METRICS.iter().position(|known| known.name == metric).expect("is in the catalogue")
}

/// A field of `docker stats`, as numbers: `1.5MiB / 23GiB` is two.
pub fn stats(docker: &Docker, id: &str, field: &str) -> Vec<f64> {
    let format = format!("{{{{.{field}}}}}");
    let text = docker.docker(&["stats", "--no-stream", "--format", &format, id]).expect("stats");
    text.split('/').map(|part| amount(part.trim())).collect()
}

fn amount(text: &str) -> f64 {
    let digits = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let unit = match &text[digits..] {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => 1.0,
    };
    text[..digits].parse::<f64>().expect("a number") * unit
}

/// Within a share of Docker's number, or within `floor`.
pub fn near(ours: Option<f64>, docker: f64, share: f64, floor: f64, what: &str) {
    let ours = ours.unwrap_or_else(|| panic!("no {what}"));
    let tolerance = (docker * share).max(floor);
    assert!((ours - docker).abs() <= tolerance, "{what}: {ours} here, {docker} by docker stats, tolerance {tolerance}");
}
