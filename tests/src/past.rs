//! What an agent holds that was cut off for long: made in advance, by the agent's own spool.

use anyhow::{Result, ensure};
use fleetlight_agent::random::Random;
use fleetlight_agent::spool::disk::Folder;
use fleetlight_agent::spool::{Bounds, Payload, Spool};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::metric::Resolution;
use fleetlight_protocol::samples::{EntityKind, Row};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// A made tick's number, above this, is what it says of the host's `processes`.
pub const MARK: usize = 1_000_000;
/// Ticks for each event.
pub const TICKS_PER_EVENT: usize = 20;
/// As agents have it by default.
const SPOOL_BYTES: u64 = 512 * 1024 * 1024;

/// A host on which every value of every entity moves at every tick.
#[derive(Debug)]
pub struct BusyHost {
    rows: Vec<Row>,
    random: Random,
}

impl BusyHost {
    #[must_use]
    pub fn new(seed: u64, gpus: usize, containers: usize) -> Self {
        let mut random = Random(seed);
        let mut keys = vec![(EntityKind::Host, String::new())];
        keys.extend((0..4 * gpus).map(|number| (EntityKind::Core, format!("cpu{number}"))));
        keys.extend((0..3).map(|number| (EntityKind::Interface, format!("eth{number}"))));
        keys.extend((0..3).map(|number| (EntityKind::Disk, format!("nvme{number}n1"))));
        keys.extend(["/", "/boot", "/data", "/home"].map(|mount| (EntityKind::Mount, mount.to_owned())));
        keys.extend((0..gpus).map(|_| (EntityKind::Gpu, format!("GPU-{:032x}", random.draw()))));
        keys.extend((0..containers).map(|_| (EntityKind::Container, format!("{:064x}", random.draw()))));
        let mut value = |resolution| match resolution {
            Resolution::Step(step) => step * (20.0 + 60.0 * random.unit()).round(),
            Resolution::Digits { unit, .. } => unit * 1e5 * random.unit(),
        };
        let mut row = |(kind, key): (EntityKind, String)| {
            let values = kind.metrics().iter().map(|metric| Some(value(metric.resolution))).collect();
            Row { kind, key, values }
        };
        Self { rows: keys.into_iter().map(&mut row).collect(), random: Random(seed) }
    }

    /// How many values a tick has.
    #[must_use]
    pub fn values(&self) -> usize {
        self.rows.iter().map(|row| row.values.len()).sum()
    }

    fn tick(&mut self, number: usize) -> Vec<Row> {
        for row in &mut self.rows {
            for (value, metric) in row.values.iter_mut().zip(row.kind.metrics()) {
                let Some(value) = value else { continue };
                *value = match metric.resolution {
                    _ if metric.name == "processes" => (MARK + number) as f64,
                    Resolution::Step(step) => (*value + step * ((self.random.unit() * 5.0).floor() - 2.0)).abs(),
                    Resolution::Digits { unit, .. } => *value * 0.9 + unit * 2e4 * self.random.unit(),
                };
            }
        }
        self.rows.clone()
    }
}

/// Puts ticks of these times, and an event with every [`TICKS_PER_EVENT`]th, into the spool of an agent that does
/// not run, as an earlier start of it would have.
///
/// # Errors
/// If the spool takes nothing.
pub fn leave(state_dir: &Path, host: &str, times: &[i64], busy: &mut BusyHost) -> Result<()> {
    let spool = Spool::open_inline(Arc::new(Folder::new(state_dir.join("spool"))), Bounds::of_disk(SPOOL_BYTES), host);
    for (number, at_ms) in times.iter().enumerate() {
        spool.push(Payload::Samples { at_ms: *at_ms, rows: busy.tick(number).into() });
        if number.is_multiple_of(TICKS_PER_EVENT) {
            spool.push(Payload::Events(vec![event(*at_ms)].into()));
        }
    }
    let trouble = spool.trouble().borrow().clone();
    ensure!(trouble.is_none() && spool.evicted_batches() == 0, "the spool did not take all: {trouble:?}");
    Ok(())
}

fn event(at_ms: i64) -> Event {
    Event {
        id: Uuid::new_v4(),
        at_ms,
        kind: EntityKind::Host,
        key: String::new(),
        subject: "made".into(),
        severity: Severity::Info,
        fact: Fact::GpuBack,
    }
}
