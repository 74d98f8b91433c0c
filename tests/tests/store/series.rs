//! Charts, last values and past moments, wherever the samples are by then.

use crate::{Agent, Fixture, NOW_MS, gpu_row, host_row};
use fleetlight_controller::store::Store;
use fleetlight_controller::store::flush::Data;
use fleetlight_controller::store::retention::Retention;
use fleetlight_controller::store::series::{FleetQuery, Series, SeriesError, SeriesQuery, Source};
use fleetlight_protocol::samples::{EntityKind, Row};

const HOUR_MS: i64 = 3_600_000;
/// Half a day before [`NOW_MS`], and a line between two half days.
const NOON_MS: i64 = NOW_MS - 21 * HOUR_MS;

fn query(host_id: i32) -> SeriesQuery {
    SeriesQuery {
        host_id,
        kind: EntityKind::Gpu,
        metrics: vec!["power_watts".into(), "fan_percent".into()],
        keys: None,
        from_ms: NOW_MS - 60_000,
        to_ms: NOW_MS,
        buckets: 1_200,
        now_ms: NOW_MS,
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

/// Four hours of two GPUs from [`NOON_MS`] on, each ten minutes' gap an hour; then `pass` makes time pass.
async fn four_hours() -> (Fixture, Agent) {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let ticks = (0..4 * 720_u64).filter(|tick| tick % 720 < 600);
    let batches: Vec<_> = ticks
        .map(|tick| {
            let watts = (tick % 97) as f64;
            let rows = vec![gpu_row("GPU-0", watts), gpu_row("GPU-1", 1_000.0), host_row(tick as f64)];
            samples(agent, tick, NOON_MS + tick as i64 * 5_000, rows)
        })
        .collect();
    fixture.flush(&batches).await;
    (fixture, agent)
}

async fn ask(fixture: &Fixture, query: &SeriesQuery) -> Series {
    fixture.store.series(query).await.expect("answers")
}

fn near(one: &Series, two: &Series) {
    assert_eq!(one.times_ms, two.times_ms);
    assert_eq!(one.series.len(), two.series.len());
    for (one, two) in one.series.iter().zip(&two.series) {
        assert_eq!((&one.key, one.metric, &one.min, &one.max), (&two.key, two.metric, &two.min, &two.max));
        let agree = |(one, two): (&Option<f64>, &Option<f64>)| match (one, two) {
            (Some(one), Some(two)) => (one - two).abs() < 1e-3,
            (one, two) => one == two,
        };
        assert!(one.avg.iter().zip(&two.avg).all(agree), "{:?} {:?}", one.avg, two.avg);
    }
}

#[tokio::test]
async fn the_answer_is_the_same_from_hot_packed_and_rollups() {
    let (fixture, agent) = four_hours().await;
    let range = SeriesQuery { from_ms: NOON_MS - HOUR_MS, to_ms: NOON_MS + 5 * HOUR_MS, ..query(agent.host_id) };
    // Buckets of 20 s, 2 min and 15 min.
    let asked = [1_200, 200, 25].map(|buckets| SeriesQuery { buckets, ..range.clone() });
    let mut hot = Vec::new();
    for query in &asked {
        hot.push(ask(&fixture, query).await);
    }
    assert_eq!(hot.iter().map(|series| series.step_ms).collect::<Vec<_>>(), [20_000, 120_000, 900_000]);
    assert_eq!(hot[2].series[0].avg.iter().filter(|avg| avg.is_none()).count(), 8, "before and after");
    assert_eq!(hot[0].series[0].avg.iter().filter(|avg| avg.is_none()).count(), 360 + 120, "and the gaps");

    // Two hours packed; then all, the minutes due; then the minutes made; then one hour late.
    for (now_ms, minutes) in [(NOON_MS + 2 * HOUR_MS, 0), (NOON_MS + 11 * HOUR_MS, 0), (NOON_MS + 13 * HOUR_MS, 2)] {
        fixture.store.compact(now_ms + 400_000).await.expect("compacts");
        assert_eq!(fixture.count("gpu_minute").await, minutes);
        for (query, expected) in asked.iter().zip(&hot) {
            near(&ask(&fixture, query).await, expected);
        }
    }
    let late = samples(agent, 9_000, NOON_MS + 3_300_000, vec![gpu_row("GPU-0", 5_000.0)]);
    fixture.store.flush(&[late], NOW_MS).await.expect("flushes");
    for compacted in [false, true] {
        for query in &asked {
            let series = ask(&fixture, query).await;
            let most = series.series[0].max.iter().flatten().copied().fold(0.0, f64::max);
            assert_eq!(most, 5_000.0, "late rows are seen at once; compacted: {compacted}");
        }
        fixture.store.compact(NOON_MS + 14 * HOUR_MS).await.expect("compacts");
    }
}

#[tokio::test]
async fn what_is_older_than_samples_are_kept_comes_from_rollups() {
    let (fixture, agent) = four_hours().await;
    fixture.store.compact(NOON_MS + 13 * HOUR_MS).await.expect("compacts");
    let fine = SeriesQuery { from_ms: NOON_MS, to_ms: NOON_MS + HOUR_MS, ..query(agent.host_id) };
    let store = fixture.store.clone().keeping(Retention { raw_days: 2, minute_days: 30, quarter_days: 60 });
    for (days, step_ms) in [(1, 5_000), (5, 60_000), (40, 900_000)] {
        let now_ms = NOON_MS + days * 24 * HOUR_MS;
        store.drop_expired(now_ms).await.expect("drops");
        let series = store.series(&SeriesQuery { now_ms, ..fine.clone() }).await.expect("answers");
        assert_eq!(series.step_ms, step_ms);
        assert_eq!(series.series[0].max.iter().flatten().copied().fold(0.0, f64::max), 96.0, "after {days} days");
        let then = store.fleet_at(NOON_MS + 1_800_000, now_ms).await.expect("answers");
        assert_eq!(then[&agent.host_id].rows.len(), 3, "after {days} days");
    }
}

#[tokio::test]
async fn what_was_dropped_before_retention_was_raised_comes_from_rollups() {
    let (fixture, agent) = four_hours().await;
    fixture.store.compact(NOON_MS + 13 * HOUR_MS).await.expect("compacts");
    let now_ms = NOON_MS + 5 * 24 * HOUR_MS;
    let short = Retention { raw_days: 2, minute_days: 30, quarter_days: 60 };
    fixture.store.clone().keeping(short).drop_expired(now_ms).await.expect("drops");
    assert_eq!(fixture.count("gpu_packed").await, 0);
    // A controller that starts with the new setting.
    let store = Store::connect(&fixture.url).await.expect("connects").keeping(Retention { raw_days: 10, ..short });
    let fine = SeriesQuery { from_ms: NOON_MS, to_ms: NOON_MS + HOUR_MS, now_ms, ..query(agent.host_id) };
    let series = store.series(&fine).await.expect("answers");
    assert_eq!((series.source, series.step_ms), (Source::Minutes, 60_000));
    assert_eq!(series.series[0].max.iter().flatten().copied().fold(0.0, f64::max), 96.0);
    assert_eq!(store.source_at(NOON_MS + 1_800_000, now_ms), Source::Minutes);
    let then = store.fleet_at(NOON_MS + 1_800_000, now_ms).await.expect("answers");
    assert_eq!(then[&agent.host_id].rows.len(), 3);
}

#[tokio::test]
async fn a_fleet_is_one_line() {
    let (fixture, _) = four_hours().await;
    let other = Agent::new(fixture.host("beta").await);
    fixture.flush(&[samples(other, 1, NOON_MS + 30_000, vec![gpu_row("GPU-0", 9_000.0)])]).await;
    let query = FleetQuery {
        kind: EntityKind::Gpu,
        metrics: vec!["power_watts".into()],
        from_ms: NOON_MS,
        to_ms: NOON_MS + 4 * HOUR_MS,
        buckets: 17,
        now_ms: NOW_MS,
    };
    let hot = fixture.store.fleet_series(&query).await.expect("answers");
    fixture.store.compact(NOON_MS + 13 * HOUR_MS).await.expect("compacts");
    let packed = fixture.store.fleet_series(&query).await.expect("answers");
    assert_eq!((packed.step_ms, packed.series.len()), (900_000, 1));
    assert_eq!(packed.series[0].max[0], Some(9_000.0));
    assert_eq!((&hot.series[0].min, &hot.series[0].max), (&packed.series[0].min, &packed.series[0].max));
    assert_eq!(packed.series[0].avg.iter().flatten().count(), 16);
    assert_eq!(fixture.count("gpu_fleet").await, 16, "a row for each quarter of the fleet");

    // The same from the quarters of each GPU, while the fleet's own lines are due.
    let due = "insert into fleet_due (kind, begins) select distinct 6, date_trunc('hour', t0) from gpu_fleet
               where t0 < (select min(t0) + interval '2 hours' from gpu_fleet)";
    sqlx::raw_sql(due).execute(&fixture.pool).await.expect("due");
    sqlx::raw_sql(
        "update gpu_fleet set power_watts_avg = -1 where t0 < (select min(t0) + interval '2 hours' from gpu_fleet)",
    )
    .execute(&fixture.pool)
    .await
    .expect("wrong where they are due");
    near(&fixture.store.fleet_series(&query).await.expect("answers"), &packed);
    fixture.store.compact(NOON_MS + 13 * HOUR_MS).await.expect("compacts");
    assert_eq!(fixture.count("fleet_due").await, 0);
    near(&fixture.store.fleet_series(&query).await.expect("answers"), &packed);

    // What comes late is in the fleet's line at once, and after it is merged.
    let late = samples(other, 2, NOON_MS + 2 * HOUR_MS + 5_000, vec![gpu_row("GPU-0", 70_000.0)]);
    fixture.store.flush(&[late], NOW_MS).await.expect("flushes");
    for compacted in [false, true] {
        let series = fixture.store.fleet_series(&query).await.expect("answers");
        assert_eq!(series.series[0].max[8], Some(70_000.0), "compacted: {compacted}");
        fixture.store.compact(NOON_MS + 13 * HOUR_MS).await.expect("compacts");
    }
}

#[tokio::test]
async fn in_a_fleet_each_host_weighs_by_time_whatever_its_interval() {
    let fixture = Fixture::new().await;
    let mut batches = Vec::new();
    for (name, interval_ms, watts) in [("fast", 1_000_i64, 100.0), ("slow", 60_000, 0.0)] {
        let agent = Agent::new(fixture.host(name).await);
        let document = "insert into inventory (host_id, kind, key, valid_from, body, said_epoch, said_at)
                        values ($1, 0, '', time_of(0), jsonb_build_object('interval_ms', $2::bigint), gen_random_uuid(), now())";
        sqlx::query(document).bind(agent.host_id).bind(interval_ms).execute(&fixture.pool).await.expect("stated");
        let ticks = (0..HOUR_MS / 2).step_by(interval_ms as usize).zip(0..);
        batches.extend(ticks.map(|(ms, seq)| samples(agent, seq, NOON_MS + ms, vec![gpu_row("GPU-0", watts)])));
    }
    fixture.flush(&batches).await;
    // Buckets of 30 s, a minute and 15 minutes.
    let query = |buckets| FleetQuery {
        kind: EntityKind::Gpu,
        metrics: vec!["power_watts".into()],
        from_ms: NOON_MS,
        to_ms: NOON_MS + HOUR_MS / 2,
        buckets,
        now_ms: NOW_MS,
    };
    let asked = [(61, 30_000, [50.0, 100.0]), (31, 60_000, [50.0, 50.0]), (3, 900_000, [50.0, 50.0])];
    // Hot; packed, the minutes due; the minutes made.
    for hours in [0, 2, 13] {
        fixture.store.compact(NOON_MS + hours * HOUR_MS).await.expect("compacts");
        for (buckets, step_ms, avg) in asked {
            let series = fixture.store.fleet_series(&query(buckets)).await.expect("answers");
            assert_eq!(series.step_ms, step_ms);
            let told = &series.series[0].avg;
            let near = told
                .iter()
                .zip(avg.iter().cycle())
                .all(|(told, avg)| told.is_some_and(|told| (told - avg).abs() < 1e-3));
            assert!(near, "{step_ms} ms after {hours} hours: {told:?}");
        }
    }
    assert_eq!(fixture.count("gpu_minute").await, 2);
}

#[tokio::test]
async fn a_past_moment_is_rebuilt() {
    let (fixture, agent) = four_hours().await;
    let moments = [NOON_MS + 2_003_000, NOON_MS + HOUR_MS, NOON_MS + HOUR_MS - 560_000, NOON_MS + HOUR_MS - 400_000];
    let seen = async || {
        let mut seen = Vec::new();
        for at_ms in moments {
            seen.push(fixture.store.fleet_at(at_ms, NOW_MS).await.expect("answers"));
        }
        seen
    };
    let hot = seen().await;
    let then = &hot[0][&agent.host_id];
    assert_eq!(then.tick_ms, Some(NOON_MS + 2_000_000));
    assert_eq!(then.rows, [host_row(400.0), gpu_row("GPU-0", 12.0), gpu_row("GPU-1", 1_000.0)]);
    assert_eq!(hot[2][&agent.host_id].tick_ms, Some(NOON_MS + 2_995_000), "the last before a gap");
    assert!(hot[3].is_empty(), "in the gap nobody knows");
    fixture.flush(&[samples(agent, 9_999, NOON_MS - 5_000, vec![gpu_row("gone", 1.0)])]).await;
    fixture.store.compact(NOON_MS + 8 * HOUR_MS).await.expect("compacts");
    assert_eq!(seen().await, hot);

    let latest = fixture.store.latest(agent.host_id).await.expect("asked").expect("samples");
    assert_eq!(latest.tick_ms, NOON_MS + 3 * HOUR_MS + 2_995_000);
    assert_eq!(latest.rows.len(), 3, "also of a host that has been away for long");
}
