//! Samples as a busy fleet gives them: autocorrelated walks, busy and idle phases, at the accuracy
//! of the catalogue. The same seed gives the same values.

use fleetlight_agent::random::Random;
use fleetlight_protocol::metric::{Metric, Unit};
use fleetlight_protocol::samples::{EntityKind, Row};

/// What shakes the walks.
#[derive(Debug, Clone)]
pub struct Noise(Random);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(Random(seed))
    }

    /// 0 to 1.
    pub fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    pub fn chance(&mut self, of: f64) -> bool {
        self.unit() < of
    }

    /// Mean 0, deviation about 1.
    fn bell(&mut self) -> f64 {
        (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) * 1.732
    }
}

/// One entity that goes on from tick to tick.
#[derive(Debug)]
pub struct Entity {
    kind: EntityKind,
    key: String,
    busy: bool,
    /// How often it is busy at all.
    eager: bool,
    state: Vec<f64>,
}

impl Entity {
    pub fn new(kind: EntityKind, key: String, noise: &mut Noise) -> Self {
        let state = kind.metrics().iter().map(|metric| start(metric, noise)).collect();
        Self { kind, key, busy: noise.chance(0.5), eager: noise.chance(0.6), state }
    }

    pub fn kind(&self) -> EntityKind {
        self.kind
    }

    pub fn tick(&mut self, noise: &mut Noise) -> Row {
        // A phase lasts three quarters of an hour on average.
        if noise.chance(1.0 / 540.0) {
            self.busy = self.eager && !self.busy;
        }
        let mut values = Vec::with_capacity(self.state.len());
        for (metric, state) in self.kind.metrics().iter().zip(&mut self.state) {
            let value = advance(metric, state, self.busy, noise);
            values.push(
                value.and_then(|value| metric.resolution.encode(value)).map(|code| metric.resolution.decode(code)),
            );
        }
        Row { kind: self.kind, key: self.key.clone(), values }
    }
}

fn is_fixed(metric: &Metric) -> bool {
    ["total", "limit", "link", "remap", "retired", "ecc", "replays"].iter().any(|part| metric.name.contains(part))
        || metric.unit == Unit::State
}

fn start(metric: &Metric, noise: &mut Noise) -> f64 {
    match metric.unit {
        Unit::Bytes if is_fixed(metric) => 85_899_345_920.0,
        Unit::Bytes => noise.unit() * 40e9,
        Unit::Watts if is_fixed(metric) => 700.0,
        Unit::Joules => noise.unit() * 1e9,
        Unit::Count if metric.name.contains("inodes") => 1e6 + noise.unit() * 1e6,
        Unit::Count if is_fixed(metric) => 16.0,
        _ => 0.0,
    }
}

/// None: this card does not say.
fn advance(metric: &Metric, state: &mut f64, busy: bool, noise: &mut Noise) -> Option<f64> {
    if matches!(metric.name, "fan_percent" | "encoder_percent" | "decoder_percent") {
        return None;
    }
    if is_fixed(metric) {
        return Some(*state);
    }
    // Bytes change in jumps or not at all.
    let jumps = metric.name.contains("used") && noise.chance(if busy { 0.5 } else { 0.02 });
    Some(match metric.unit {
        Unit::Percent if busy => walk(state, noise, 75.0, 5.0).min(100.0),
        Unit::Percent if metric.name.contains("psi") || metric.name.contains("throttled") => {
            walk(state, noise, 0.0, 0.01)
        }
        Unit::Percent => walk(state, noise, 0.3, 0.1),
        Unit::Celsius => walk(state, noise, if busy { 68.0 } else { 34.0 }, 0.5),
        Unit::Watts if busy => walk(state, noise, 480.0, 20.0),
        Unit::Watts => walk(state, noise, 72.0, 0.6),
        Unit::Megahertz if busy => 1_980.0 - (noise.unit() * 4.0).floor() * 15.0,
        Unit::Megahertz => 345.0,
        Unit::Joules => {
            *state += if busy { 2_400.0 + noise.bell() * 100.0 } else { 360.0 };
            *state
        }
        Unit::BytesPerSecond if busy => walk(state, noise, 2e7, 4e6),
        Unit::BytesPerSecond | Unit::PerSecond if noise.chance(0.9) => 0.0,
        Unit::BytesPerSecond | Unit::PerSecond => noise.unit() * 5e3,
        Unit::Seconds => 0.000_2 * (1.0 + 0.3 * noise.bell()).abs(),
        Unit::Bits => f64::from(if busy { 4 } else { 1 }),
        Unit::Bytes if jumps => {
            *state = (*state + noise.bell() * 2e7).clamp(1e8, 8e10);
            *state
        }
        Unit::Bytes => *state,
        _ if busy => walk(state, noise, 12.0, 0.8),
        _ => walk(state, noise, 3.0, 0.02),
    })
}

/// Drawn towards `home` and shaken by `shake`.
fn walk(state: &mut f64, noise: &mut Noise, home: f64, shake: f64) -> f64 {
    *state = (*state + (home - *state) * 0.2 + noise.bell() * shake).max(0.0);
    *state
}

/// What the figures are about: a host with GPUs, mounts and containers.
pub fn host(noise: &mut Noise) -> Vec<Entity> {
    let mut entities = vec![Entity::new(EntityKind::Host, String::new(), noise)];
    for (kind, count) in [(EntityKind::Gpu, 8), (EntityKind::Mount, 4), (EntityKind::Container, 25)] {
        entities.extend((0..count).map(|number| Entity::new(kind, format!("{}-{number}", kind.name()), noise)));
    }
    entities
}
