//! The hosts of a run, and what they send tick by tick.

use crate::generator::{self, Entity, Noise};
use fleetlight_controller::store::flush::{Batch, Data};
use fleetlight_protocol::samples::{EntityKind, Row};
use std::ops::Range;
use uuid::Uuid;

pub const HOSTS: usize = 10;
pub const TICK_MS: i64 = 5_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const HOUR_TICKS: i64 = HOUR_MS / TICK_MS;
/// What days hold that are there for questions over a week only: numbers of GPUs, by name.
pub const THIN: [&str; 2] = ["utilization_percent", "power_watts"];

pub struct Fleet {
    hosts: Vec<Host>,
    epoch: Uuid,
    noise: Noise,
    begin_ms: i64,
    gaps: bool,
}

struct Host {
    id: i32,
    agent_id: Uuid,
    entities: Vec<Entity>,
}

/// How many values batches hold that are present.
pub fn values(batches: &[Batch]) -> u64 {
    let rows = batches.iter().flat_map(|batch| match &batch.data {
        Data::Samples { rows, .. } => rows.as_slice(),
        _ => &[],
    });
    rows.map(|row| row.values.iter().flatten().count() as u64).sum()
}

impl Fleet {
    /// The hosts with these ids; tick 0 is at `begin_ms`.
    pub fn new(seed: u64, ids: &[i32], begin_ms: i64, gaps: bool) -> Self {
        let mut noise = Noise::new(seed);
        let mut host = |id: &i32| Host { id: *id, agent_id: Uuid::new_v4(), entities: generator::host(&mut noise) };
        let hosts = ids.iter().map(&mut host).collect();
        Self { hosts, epoch: Uuid::new_v4(), noise, begin_ms, gaps }
    }

    /// All hosts' ticks. With gaps, one in fifty is missing, and three hosts are away by turns, 20 minutes of each hour.
    pub fn ticks(&mut self, ticks: Range<i64>) -> Vec<Batch> {
        let mut batches = Vec::new();
        for tick in ticks {
            for number in 0..self.hosts.len() {
                let Some(host) = self.hosts.get_mut(number) else { continue };
                let rows = host.entities.iter_mut().map(|entity| entity.tick(&mut self.noise)).collect();
                let away = (tick / 240) % 3 == number as i64 % 3 && number < 3;
                if self.gaps && (away || self.noise.chance(0.02)) {
                    continue;
                }
                batches.push(self.batch(number, tick, rows));
            }
        }
        batches
    }

    /// Ticks of GPUs alone, with [`THIN`] alone.
    pub fn thin_ticks(&mut self, ticks: Range<i64>) -> Vec<Batch> {
        let mut batches = Vec::new();
        for tick in ticks {
            for number in 0..self.hosts.len() {
                let Some(host) = self.hosts.get_mut(number) else { continue };
                let gpus = host.entities.iter_mut().filter(|entity| entity.kind() == EntityKind::Gpu);
                let rows = gpus.map(|gpu| thin(gpu.tick(&mut self.noise))).collect();
                batches.push(self.batch(number, tick, rows));
            }
        }
        batches
    }

    fn batch(&self, number: usize, tick: i64, rows: Vec<Row>) -> Batch {
        let tick_ms = self.begin_ms + tick * TICK_MS;
        let (host_id, agent_id) = (self.hosts[number].id, self.hosts[number].agent_id);
        Batch {
            host_id,
            agent_id,
            epoch: self.epoch,
            seq: tick as u64,
            live: false,
            received_ms: tick_ms,
            left_out: Vec::new(),
            data: Data::Samples { tick_ms, rows },
        }
    }
}

fn thin(mut row: Row) -> Row {
    for (value, metric) in row.values.iter_mut().zip(row.kind.metrics()) {
        *value = value.filter(|_| THIN.contains(&metric.name));
    }
    row
}
