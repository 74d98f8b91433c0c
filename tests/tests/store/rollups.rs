//! Properties: chunks give back what went in, and rollups are those of the rows themselves.

use crate::packing::HOUR_MS;
use crate::{Agent, Fixture, NOW_MS};
use fleetlight_controller::store::flush::{Batch, Data};
use fleetlight_protocol::samples::{GpuSample, Row, Sample};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

/// What is asked of one tick of one GPU: time in the hour, late or not, three columns of three types.
#[derive(Debug, Clone)]
pub struct Tick {
    pub at_ms: i64,
    pub late: bool,
    pub power: Option<f32>,
    pub energy: Option<i64>,
    width: Option<i16>,
}

/// A GPU that is there for a part of the hour, on a grid with gaps or on none.
pub fn gpu() -> impl Strategy<Value = Vec<Tick>> {
    let grid = prop_oneof![4 => Just(5_000_i64), 1 => Just(1_000), 1 => Just(60_000), 1 => Just(137)];
    (grid, 0..5_000_i64, 0..HOUR_MS, 1..90_usize, any::<u8>()).prop_flat_map(|(step, phase, birth, most, gaps)| {
        let first = birth / step * step + phase % step;
        let one = (any::<u8>(), 0..10_u8, value(), value(), 0..4_u8);
        proptest::collection::vec(one, 1..=most).prop_map(move |ticks| {
            let mut made = Vec::new();
            for (place, (draw, late, power, energy, width)) in ticks.into_iter().enumerate() {
                let at_ms = first + place as i64 * step;
                if at_ms >= HOUR_MS || draw < gaps / 2 {
                    continue;
                }
                let power = power.map(|value| value as f32 / 8.0);
                let energy = energy.map(|value| i64::from(value) << 20);
                let width = (width > 0).then_some(i16::from(width));
                made.push(Tick { at_ms, late: late == 0, power, energy, width });
            }
            made
        })
    })
}

fn value() -> impl Strategy<Value = Option<i32>> {
    prop_oneof![1 => Just(None), 3 => (-1_000_000..1_000_000_i32).prop_map(Some), 3 => Just(Some(7))]
}

type Seen = (i64, String, Option<f32>, Option<i64>, Option<i16>);

pub fn row(key: &str, tick: &Tick) -> Row {
    GpuSample {
        power_watts: tick.power.map(f64::from),
        energy_joules: tick.energy.map(|value| value as f64),
        pcie_link_width: tick.width.map(f64::from),
        ..Default::default()
    }
    .row(key)
}

/// An hour of its own for each case: closed ones do not open again.
struct World {
    fixture: Fixture,
    agent: Agent,
    seq: AtomicI64,
    half_day: AtomicI64,
}

impl World {
    async fn seen(&self, hour_ms: i64) -> Vec<Seen> {
        let to_ms = hour_ms + HOUR_MS;
        let sql = format!(
            "select ms_of(ts), key, power_watts, energy_joules, pcie_link_width
             from gpu_samples(time_of({hour_ms}), time_of({to_ms})) order by 2, 1"
        );
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&self.fixture.pool).await.expect("reads")
    }

    async fn flush(&self, hour_ms: i64, now_ms: i64, gpus: &[Vec<Tick>], late: bool) {
        let mut batches: Vec<Batch> = Vec::new();
        for (number, ticks) in gpus.iter().enumerate() {
            for tick in ticks.iter().filter(|tick| tick.late == late) {
                let seq = self.seq.fetch_add(1, Ordering::Relaxed) as u64;
                let rows = vec![row(&format!("GPU-{number}"), tick)];
                batches.push(self.agent.batch(seq, Data::Samples { tick_ms: hour_ms + tick.at_ms, rows }));
            }
        }
        self.fixture.store.flush(&batches, now_ms).await.expect("flushes");
    }

    async fn holds(&self, gpus: &[Vec<Tick>]) {
        let hour_ms = NOW_MS.div_euclid(12 * HOUR_MS) * 12 * HOUR_MS
            + (self.half_day.fetch_add(1, Ordering::Relaxed) + 1) * 12 * HOUR_MS;
        let mut all: Vec<Seen> = Vec::new();
        for (number, ticks) in gpus.iter().enumerate() {
            let seen =
                |tick: &Tick| (hour_ms + tick.at_ms, format!("GPU-{number}"), tick.power, tick.energy, tick.width);
            all.extend(ticks.iter().map(seen));
        }
        let closed_ms = hour_ms + HOUR_MS + 400_000;
        self.flush(hour_ms, hour_ms + HOUR_MS, gpus, false).await;
        self.fixture.store.compact(closed_ms).await.expect("packs");
        self.flush(hour_ms, closed_ms, gpus, true).await;
        assert_eq!(self.seen(hour_ms).await, all, "packed and late");
        self.fixture.store.compact(closed_ms).await.expect("merges");
        assert_eq!(self.fixture.count("gpu_late").await, 0);
        assert_eq!(self.seen(hour_ms).await, all, "packed");
        let chunks = format!("gpu_packed where t0 >= time_of({hour_ms})");
        let entities = gpus.iter().filter(|ticks| !ticks.is_empty()).count();
        assert_eq!(self.fixture.count(&chunks).await as usize, entities);

        let quarters = format!(
            "select ms_of(t0), key, count, covered_s, power_watts_avg, power_watts_min, power_watts_max,
             energy_joules_avg, energy_joules_min, energy_joules_max
             from gpu_quarter join entities on id = entity_id where t0 >= time_of({hour_ms})"
        );
        self.agree(&quarters, rollup(hour_ms, gpus, 900_000)).await;
        self.fixture.store.compact(hour_ms + 12 * HOUR_MS + 400_000).await.expect("makes the minutes");
        let minutes = format!(
            "select ms_of(t0) + (i - 1 + coalesce(skipped[i], 0)) * 60000, key, count[i], covered_s[i],
             power_watts_avg[i], power_watts_min[i], power_watts_max[i],
             energy_joules_avg[i], energy_joules_min[i], energy_joules_max[i]
             from gpu_minute join entities on id = entity_id, generate_series(1, n) as i where t0 >= time_of({hour_ms})"
        );
        self.agree(&minutes, rollup(hour_ms, gpus, 60_000)).await;
    }

    async fn agree(&self, sql: &str, expected: BTreeMap<(i64, String), Bucket>) {
        let found: Vec<Found> =
            sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(&self.fixture.pool).await.expect("reads");
        let found: BTreeMap<(i64, String), Bucket> = found
            .into_iter()
            .map(|(at, key, count, covered, a, b, c, d, e, f)| ((at, key), (count, Some(covered), [a, b, c, d, e, f])))
            .collect();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (place, bucket) in &expected {
            let other = &found[place];
            assert_eq!(other.0, bucket.0, "{place:?}");
            let near = |one: Option<f32>, two: Option<f32>| match (one, two) {
                (Some(one), Some(two)) => (one - two).abs() <= one.abs().max(1.0) * 1e-5,
                (one, two) => one == two,
            };
            let agree = near(other.1, bucket.1) && other.2.iter().zip(bucket.2).all(|(one, two)| near(*one, two));
            assert!(agree, "{place:?}: {other:?} is not {bucket:?}");
        }
    }
}

type Bucket = (i32, Option<f32>, [Option<f32>; 6]);
type Real = Option<f32>;
type Found = (i64, String, i32, f32, Real, Real, Real, Real, Real, Real);

/// The rollup as it is meant, from the rows themselves.
fn rollup(hour_ms: i64, gpus: &[Vec<Tick>], width_ms: i64) -> BTreeMap<(i64, String), Bucket> {
    let mut buckets: BTreeMap<(i64, String), Vec<(f64, &Tick)>> = BTreeMap::new();
    for (number, ticks) in gpus.iter().enumerate() {
        for (place, tick) in ticks.iter().enumerate() {
            let before = place.checked_sub(1).map(|other| tick.at_ms - ticks[other].at_ms);
            let after = ticks.get(place + 1).map(|other| other.at_ms - tick.at_ms);
            let weight = [before, after, Some(60_000)].into_iter().flatten().min().expect("one").max(1);
            let at = (hour_ms + tick.at_ms) / width_ms * width_ms;
            buckets.entry((at, format!("GPU-{number}"))).or_default().push((weight as f64, tick));
        }
    }
    let of = |ticks: &[(f64, &Tick)], value: fn(&Tick) -> Option<f64>| {
        let values: Vec<(f64, f64)> =
            ticks.iter().filter_map(|(w, tick)| value(tick).map(|value| (*w, value))).collect();
        let weight: f64 = values.iter().map(|(w, _)| w).sum();
        let avg = values.iter().map(|(w, value)| w * value).sum::<f64>() / weight;
        let least = values.iter().map(|(_, value)| *value).reduce(f64::min);
        let most = values.iter().map(|(_, value)| *value).reduce(f64::max);
        [(!values.is_empty()).then_some(avg), least, most].map(|value| value.map(|value| value as f32))
    };
    let finish = |ticks: Vec<(f64, &Tick)>| {
        let [a, b, c] = of(&ticks, |tick| tick.power.map(f64::from));
        let [d, e, f] = of(&ticks, |tick| tick.energy.map(|value| value as f64));
        let covered = ticks.iter().map(|(w, _)| w).sum::<f64>() / 1_000.0;
        (ticks.len() as i32, Some(covered as f32), [a, b, c, d, e, f])
    };
    buckets.into_iter().map(|(place, ticks)| (place, finish(ticks))).collect()
}

#[test]
fn packed_gives_back_what_went_in_and_rollups_are_those_of_the_rows() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let world = runtime.block_on(async {
        let fixture = Fixture::new().await;
        let agent = Agent::new(fixture.host("alpha").await);
        World { fixture, agent, seq: AtomicI64::new(0), half_day: AtomicI64::new(0) }
    });
    // Shrinking asks the database some hundred times more; the failing case itself says enough.
    let config = Config { cases: 24, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&proptest::collection::vec(gpu(), 1..4), |gpus| {
        runtime.block_on(world.holds(&gpus));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
