//! Charts and last values from the hot tables.

use crate::{Agent, Fixture, NOW_MS, gpu_row, host_row};
use fleetlight_controller::store::flush::Data;
use fleetlight_controller::store::series::{SeriesError, SeriesQuery};
use fleetlight_protocol::samples::{EntityKind, Row};

fn query(host_id: i32) -> SeriesQuery {
    SeriesQuery {
        host_id,
        kind: EntityKind::Gpu,
        metrics: vec!["power_watts".into(), "fan_percent".into()],
        keys: None,
        from_ms: NOW_MS - 60_000,
        to_ms: NOW_MS,
        buckets: 1_200,
    }
}

fn samples(agent: Agent, seq: u64, tick_ms: i64, rows: Vec<Row>) -> fleetlight_controller::store::flush::Batch {
    agent.batch(seq, Data::Samples { tick_ms, rows })
}

#[tokio::test]
async fn gaps_are_null_and_buckets_hold_average_and_extremes() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let other = Agent::new(fixture.host("beta").await);
    let mut batches = Vec::new();
    for (seq, (second, watts)) in [(0, 10.0), (5, 20.0), (10, 30.0), (40, 40.0), (55, 50.0)].into_iter().enumerate() {
        let tick = NOW_MS - 60_000 + second * 1_000;
        batches.push(samples(agent, seq as u64, tick, vec![gpu_row("GPU-0", watts), gpu_row("GPU-1", 1.0)]));
        batches.push(samples(other, seq as u64, tick, vec![gpu_row("GPU-0", 999.0)]));
    }
    fixture.flush(&batches).await;

    let fine = fixture.store.series(&query(agent.host_id)).await.expect("answers");
    assert_eq!((fine.step_ms, fine.times_ms.len()), (5_000, 12), "never finer than the sampling interval");
    assert_eq!((fine.from_ms, fine.times_ms[0]), (NOW_MS - 60_000, NOW_MS - 60_000));
    let names: Vec<_> = fine.series.iter().map(|line| (line.key.as_str(), line.metric)).collect();
    let expected =
        [("GPU-0", "power_watts"), ("GPU-0", "fan_percent"), ("GPU-1", "power_watts"), ("GPU-1", "fan_percent")];
    assert_eq!(names, expected);
    let gap = None;
    let seen = [Some(10.0), Some(20.0), Some(30.0), gap, gap, gap, gap, gap, Some(40.0), gap, gap, Some(50.0)];
    assert_eq!(fine.series[0].avg, seen);
    assert_eq!(fine.series[1].avg, [None; 12], "what the card does not say is absent");

    let coarse = SeriesQuery { buckets: 5, keys: Some(vec!["GPU-0".into()]), ..query(agent.host_id) };
    let coarse = fixture.store.series(&coarse).await.expect("answers");
    assert_eq!((coarse.step_ms, coarse.series.len()), (15_000, 2));
    assert_eq!(coarse.series[0].avg, [Some(20.0), None, Some(40.0), Some(50.0)]);
    assert_eq!(coarse.series[0].min, [Some(10.0), None, Some(40.0), Some(50.0)]);
    assert_eq!(coarse.series[0].max, [Some(30.0), None, Some(40.0), Some(50.0)]);
}

#[tokio::test]
async fn a_range_across_hours_without_data_is_a_gap() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    fixture.flush(&[agent.tick(1, NOW_MS - 3 * 3_600_000), agent.tick(2, NOW_MS - 1_000)]).await;
    let day = SeriesQuery { from_ms: NOW_MS - 24 * 3_600_000, buckets: 25, ..query(agent.host_id) };
    let series = fixture.store.series(&day).await.expect("answers");
    assert_eq!(series.step_ms, 3_600_000);
    let filled: Vec<usize> = (0..24).filter(|bucket| series.series[0].avg[*bucket].is_some()).collect();
    assert_eq!(filled, [21, 23]);
}

#[tokio::test]
async fn questions_at_fault_are_answered_in_words() {
    let fixture = Fixture::new().await;
    let host_id = fixture.host("alpha").await;
    for (bad, word) in [
        (SeriesQuery { metrics: vec!["x; drop table hosts".into()], ..query(host_id) }, "catalogue"),
        (SeriesQuery { from_ms: NOW_MS, ..query(host_id) }, "before"),
        (SeriesQuery { kind: EntityKind::GpuDriver, ..query(host_id) }, "no metric"),
    ] {
        let Err(SeriesError::Question(message)) = fixture.store.series(&bad).await else { panic!("{bad:?}") };
        assert!(message.contains(word), "{message}");
    }
    let nothing = fixture.store.series(&query(host_id)).await.expect("a host without samples has an empty chart");
    assert_eq!(nothing.series, []);
}

#[tokio::test]
async fn the_last_numbers_outlive_the_controller() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    assert_eq!(fixture.store.latest(agent.host_id).await.expect("asked"), None);
    let old = vec![host_row(1.0), gpu_row("GPU-0", 5.0), gpu_row("gone long ago", 6.0)];
    fixture
        .flush(&[
            samples(agent, 1, NOW_MS - 7_200_000, old),
            samples(agent, 2, NOW_MS - 5_000, vec![host_row(2.0), gpu_row("GPU-0", 7.0)]),
            samples(agent, 3, NOW_MS, vec![host_row(3.0)]),
        ])
        .await;
    let latest = fixture.store.latest(agent.host_id).await.expect("asked").expect("samples");
    assert_eq!(latest.tick_ms, NOW_MS);
    assert_eq!(latest.rows, [host_row(3.0), gpu_row("GPU-0", 7.0)]);
}
