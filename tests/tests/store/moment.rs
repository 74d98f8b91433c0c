//! Any past moment of the fleet: who was there, with which numbers, wherever they are by then.

use crate::packing::HOUR_MS;
use crate::{Agent, Fixture, NOW_MS, gpu_row, host_row};
use fleetlight_controller::store::Store;
use fleetlight_controller::store::flush::Data;
use fleetlight_controller::store::series::SeriesError;
use fleetlight_protocol::samples::{ContainerSample, EntityKind, Sample};
use sqlx::AssertSqlSafe;
use std::time::{Duration, Instant};

/// A line between two half days, so that both hours of a test are of one.
const NOON_MS: i64 = NOW_MS - 21 * HOUR_MS;
const MINUTE_MS: i64 = 60_000;

/// What was seen at a moment: host, key and power of each GPU.
async fn gpus(fixture: &Fixture, at_ms: i64) -> Vec<(i32, String, f64)> {
    let then = fixture.store.kinds_at(&[EntityKind::Gpu], at_ms, NOW_MS).await.expect("answers");
    let mut seen = Vec::new();
    for (host, moment) in then {
        assert!(moment.documents.is_empty() && moment.rows.iter().all(|row| row.kind == EntityKind::Gpu));
        let place = EntityKind::Gpu.metrics().iter().position(|metric| metric.name == "power_watts").expect("there");
        seen.extend(moment.rows.into_iter().map(|row| (host, row.key, row.values[place].expect("stated"))));
    }
    seen.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    seen
}

/// Minutes of birth and of death.
type Life = (i64, i64);

/// Whether a minute lies in one of these lives.
fn lived(times: &[Life], minute: i64) -> bool {
    times.iter().any(|(birth, death)| (*birth..*death).contains(&minute))
}

#[tokio::test]
async fn births_and_deaths_are_seen_at_their_moment() {
    let fixture = Fixture::new().await;
    let (alpha, beta) = (Agent::new(fixture.host("alpha").await), Agent::new(fixture.host("beta").await));
    // Minutes of life: one all the time, one that is born, dies and comes back, one of a host that comes later.
    let lives: [(Agent, &str, &[Life]); 3] =
        [(alpha, "again", &[(10, 50), (75, 90)]), (alpha, "always", &[(0, 120)]), (beta, "later", &[(65, 120)])];
    let mut batches = Vec::new();
    for minute in 0..120 {
        for (agent, seq) in [(alpha, minute * 2), (beta, minute * 2 + 1)] {
            let there = lives.iter().filter(|(of, _, times)| of.host_id == agent.host_id && lived(times, minute));
            let rows: Vec<_> = there.map(|(_, key, _)| gpu_row(key, minute as f64)).collect();
            batches.push(agent.batch(seq as u64, Data::Samples { tick_ms: NOON_MS + minute * MINUTE_MS, rows }));
        }
    }
    fixture.flush(&batches).await;
    let expected = |at_ms: i64| -> Vec<(i32, String, f64)> {
        let mut seen = Vec::new();
        for (agent, key, times) in &lives {
            let last = (0..120).rev().find(|minute| {
                let tick_ms = NOON_MS + minute * MINUTE_MS;
                tick_ms <= at_ms && tick_ms > at_ms - 90_000 && lived(times, *minute)
            });
            seen.extend(last.map(|minute| (agent.host_id, (*key).to_owned(), minute as f64)));
        }
        seen
    };
    // Around each birth and death, and where one hour's chunk ends and the next one's begins.
    let changes = [0, 10, 50, 60, 65, 75, 90, 120];
    let around = [-30_000, -1, 0, 29_999, 30_000, 90_000];
    let moments: Vec<i64> =
        changes.into_iter().flat_map(|minute| around.map(|ms| NOON_MS + minute * MINUTE_MS + ms)).collect();
    // Hot; then the first hour packed and the second hot; then both packed.
    for packed in [0, 1, 2] {
        if packed > 0 {
            fixture.store.compact(NOON_MS + packed * HOUR_MS + 400_000).await.expect("compacts");
        }
        assert_eq!(fixture.count("gpu_packed").await > 0, packed > 0);
        for at_ms in &moments {
            assert_eq!(
                gpus(&fixture, *at_ms).await,
                expected(*at_ms),
                "at {} s, {packed} h packed",
                (at_ms - NOON_MS) / 1_000
            );
        }
    }
    // From minutes: the last one that has begun.
    fixture.store.compact(NOON_MS + 13 * HOUR_MS).await.expect("compacts");
    let late_ms = NOON_MS + 20 * 24 * HOUR_MS;
    for (minute, count) in [(30, 2), (60, 1), (80, 3), (110, 2)] {
        let at_ms = NOON_MS + minute * MINUTE_MS + 30_000;
        let then = fixture.store.fleet_at(at_ms, late_ms).await.expect("answers");
        assert_eq!(then.values().map(|host| host.rows.len()).sum::<usize>(), count, "minute {minute}");
    }
}

#[tokio::test]
async fn a_moment_of_more_than_an_answer_holds_is_refused() {
    let fixture = Fixture::new().await;
    let host = fixture.host("alpha").await;
    fixture.flush(&[Agent::new(host).tick(1, NOW_MS)]).await;
    let many = format!(
        "insert into entities (host_id, kind, key) select {host}, 8, i::text from generate_series(1, 50001) as i;
         insert into container_hot (ts, host_id, entity_id, cpu_percent)
         select time_of({NOW_MS}), host_id, id, 1 from entities where kind = 8"
    );
    sqlx::raw_sql(AssertSqlSafe(many)).execute(&fixture.pool).await.expect("filled");
    let Err(SeriesError::Question(words)) = fixture.store.fleet_at(NOW_MS, NOW_MS).await else { panic!("refused") };
    assert!(words.contains("50000") && words.contains("kinds"), "{words}");
    assert_eq!(gpus(&fixture, NOW_MS).await.len(), 1, "asked apart, the others are told");
}

/// Rows and index entries of containers that were asked for since the database was made, as soon as they are counted.
async fn probes(fixture: &Fixture) -> (i64, i64) {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let seen: (i64, i64) = sqlx::query_as(
            "select coalesce(sum(idx_scan), 0)::bigint, coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint
             from pg_stat_all_tables where relname like 'container_%' or relname = 'entities'",
        )
        .fetch_one(&fixture.pool)
        .await
        .expect("counted");
        let asking = fixture.count(
            "pg_stat_activity where application_name = 'fleetlight-controller' and datname = current_database()",
        );
        if (asking.await == 0 && seen.1 > 0) || Instant::now() > deadline {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn entities_of_the_past_cost_a_moment_nothing() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let rows = vec![host_row(1.0), ContainerSample { cpu_percent: Some(1.0), ..Default::default() }.row("here")];
    fixture.flush(&[agent.batch(1, Data::Samples { tick_ms: NOW_MS, rows })]).await;
    let many = format!(
        "insert into entities (host_id, kind, key) select {}, 8, i::text from generate_series(1, 50000) as i",
        agent.host_id
    );
    sqlx::raw_sql(AssertSqlSafe(many)).execute(&fixture.pool).await.expect("filled");
    fixture.store.close().await;
    for source in ["samples", "minutes", "quarters"] {
        let asking = Store::connect(&fixture.url).await.expect("connects");
        let days = match source {
            "samples" => 0,
            "minutes" => 20,
            _ => 100,
        };
        let now_ms = NOW_MS + days * 24 * HOUR_MS;
        let then = asking.kinds_at(&[EntityKind::Container], NOW_MS, now_ms).await.expect("answers");
        assert_eq!(then.len(), usize::from(source == "samples"), "{source}");
        let latest = asking.latest(agent.host_id).await.expect("answers").expect("samples");
        assert_eq!(latest.rows.len(), 2, "the host and its container");
        asking.close().await;
    }
    // A backend counts in the open when it ends.
    let (scans, read) = probes(&fixture).await;
    assert!(read > 0 && scans < 1_000 && read < 1_000, "{scans} look-ups and {read} rows for one container");
}
