//! Property: a chart is what its rows give, wherever each of them is stored by then: hot, late, packed or merged.

use crate::packing::HOUR_MS;
use crate::rollups::{Tick, gpu, row};
use crate::{Agent, Fixture, NOW_MS};
use fleetlight_controller::store::flush::Data;
use fleetlight_controller::store::series::{Line, Series, SeriesQuery, Source};
use fleetlight_protocol::samples::EntityKind;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};

const METRICS: [&str; 2] = ["power_watts", "energy_joules"];
const LEAD_MS: i64 = 600_000;

/// One row as the chart must show it.
#[derive(Debug, Clone)]
struct Seen {
    at_ms: i64,
    key: String,
    values: [Option<f64>; 2],
}

/// What is asked: where it begins and ends, and in how many buckets.
#[derive(Debug, Clone)]
struct Range {
    begin_ms: i64,
    length_ms: i64,
    buckets: usize,
}

fn range() -> impl Strategy<Value = Range> {
    let buckets = prop_oneof![3 => 400..1_201_usize, 1 => 2..400_usize];
    (0..LEAD_MS + HOUR_MS, 1..3 * HOUR_MS, buckets).prop_map(|(begin_ms, length_ms, buckets)| Range {
        begin_ms,
        length_ms,
        buckets,
    })
}

struct World {
    fixture: Fixture,
    agent: Agent,
    seq: AtomicI64,
    cases: AtomicI64,
}

impl World {
    async fn flush(&self, now_ms: i64, rows: &[(Seen, Tick)]) {
        let batch = |(seen, tick): &(Seen, Tick)| {
            let seq = self.seq.fetch_add(1, Ordering::Relaxed) as u64;
            self.agent.batch(seq, Data::Samples { tick_ms: seen.at_ms, rows: vec![row(&seen.key, tick)] })
        };
        let batches: Vec<_> = rows.iter().map(batch).collect();
        self.fixture.store.flush(&batches, now_ms).await.expect("flushes");
    }

    /// Two hours, of which the first is packed while the second is open.
    async fn holds(&self, gpus: &[Vec<Tick>], ranges: &[Range]) {
        let hour_ms = NOW_MS + self.cases.fetch_add(1, Ordering::Relaxed) * 12 * HOUR_MS;
        let at = |number: usize, tick: &Tick, begin_ms: i64| {
            let values = [tick.power.map(f64::from), tick.energy.map(|value| value as f64)];
            (Seen { at_ms: begin_ms + tick.at_ms, key: format!("GPU-{number}"), values }, tick.clone())
        };
        let first = gpus.iter().enumerate().flat_map(|(number, ticks)| ticks.iter().map(move |tick| (number, tick)));
        let second =
            gpus.iter().rev().enumerate().flat_map(|(number, ticks)| ticks.iter().map(move |tick| (number, tick)));
        let (late, timely): (Vec<_>, Vec<_>) =
            first.map(|(number, tick)| at(number, tick, hour_ms)).partition(|(_, tick)| tick.late);
        let open: Vec<_> = second.map(|(number, tick)| at(number, tick, hour_ms + HOUR_MS)).collect();
        let closed_ms = hour_ms + HOUR_MS + 400_000;

        self.flush(hour_ms + HOUR_MS, &timely).await;
        self.flush(hour_ms + 2 * HOUR_MS, &open).await;
        let mut rows: Vec<Seen> = timely.iter().chain(&open).map(|(seen, _)| seen.clone()).collect();
        self.agree(hour_ms, &rows, ranges).await;
        self.fixture.store.compact(closed_ms).await.expect("packs");
        self.agree(hour_ms, &rows, ranges).await;
        self.flush(closed_ms, &late).await;
        rows.extend(late.into_iter().map(|(seen, _)| seen));
        self.agree(hour_ms, &rows, ranges).await;
        self.fixture.store.compact(closed_ms).await.expect("merges");
        self.agree(hour_ms, &rows, ranges).await;
    }

    async fn agree(&self, hour_ms: i64, rows: &[Seen], ranges: &[Range]) {
        for Range { begin_ms, length_ms, buckets } in ranges {
            let from_ms = hour_ms - LEAD_MS + begin_ms;
            let query = SeriesQuery {
                host_id: self.agent.host_id,
                kind: EntityKind::Gpu,
                metrics: METRICS.map(str::to_owned).to_vec(),
                keys: None,
                from_ms,
                to_ms: from_ms + length_ms,
                buckets: *buckets,
                now_ms: hour_ms + 2 * HOUR_MS,
            };
            let series = self.fixture.store.series(&query).await.expect("answers");
            shows(&series, rows);
            let one = SeriesQuery { keys: Some(vec!["GPU-0".into()]), ..query };
            let one = self.fixture.store.series(&one).await.expect("answers");
            let of_key: Vec<Line> = series.series.into_iter().filter(|line| line.key == "GPU-0").collect();
            assert_eq!(one.series, of_key, "by key");
        }
    }
}

fn shows(series: &Series, rows: &[Seen]) {
    let rows: Vec<&Seen> = rows.iter().filter(|row| (series.from_ms..series.to_ms).contains(&row.at_ms)).collect();
    let keys: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let told: BTreeSet<&str> = series.series.iter().map(|line| line.key.as_str()).collect();
    assert_eq!(told, keys);
    for line in &series.series {
        let place = METRICS.iter().position(|metric| *metric == line.metric).expect("asked for");
        let mut buckets: Vec<Vec<f64>> = vec![Vec::new(); series.times_ms.len()];
        for row in rows.iter().filter(|row| row.key == line.key) {
            let bucket = (row.at_ms - series.from_ms) / series.step_ms;
            buckets[bucket as usize].extend(row.values[place]);
        }
        for (number, values) in buckets.iter().enumerate() {
            let told = [line.avg[number], line.min[number], line.max[number]];
            agrees(told, values, series.source).unwrap_or_else(|| {
                panic!(
                    "{} {} bucket {number} of {} ms: {told:?} is not {values:?}",
                    line.key, line.metric, series.step_ms
                )
            });
        }
    }
}

/// Rollups keep seven digits, and weigh by time, which is tested with them.
fn agrees([avg, min, max]: [Option<f64>; 3], values: &[f64], source: Source) -> Option<()> {
    let near = |one: f64, two: f64| (one - two).abs() <= two.abs().max(1.0) * 1e-6;
    let (Some(avg), Some(min), Some(max)) = (avg, min, max) else { return values.is_empty().then_some(()) };
    let least = values.iter().copied().reduce(f64::min)?;
    let most = values.iter().copied().reduce(f64::max)?;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let slack = least.abs().max(most.abs()).max(1.0) * 1e-6;
    let averaged = match source {
        Source::Samples => (avg - mean).abs() <= slack,
        Source::Minutes | Source::Quarters => (least - slack..=most + slack).contains(&avg),
    };
    (near(min, least) && near(max, most) && averaged).then_some(())
}

#[test]
fn a_chart_is_what_its_rows_give_wherever_they_are() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let world = runtime.block_on(async {
        let fixture = Fixture::new().await;
        let agent = Agent::new(fixture.host("alpha").await);
        World { fixture, agent, seq: AtomicI64::new(0), cases: AtomicI64::new(0) }
    });
    // Shrinking asks the database some hundred times more; the failing case itself says enough.
    let config = Config { cases: 6, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let cases = (proptest::collection::vec(gpu(), 1..4), proptest::collection::vec(range(), 2));
    let outcome = TestRunner::new(config).run(&cases, |(gpus, ranges)| {
        runtime.block_on(world.holds(&gpus, &ranges));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
