//! Closed hours become chunks: nothing lost, nothing twice, whoever writes or dies meanwhile.

use crate::ingest::event;
use crate::{Agent, Fixture, NOW_MS, gpu_row, host_row};
use fleetlight_controller::store::flush::{Data, Outcome};
use fleetlight_controller::store::retention::Retention;
use fleetlight_controller::store::{Store, tables};
use sqlx::AssertSqlSafe;
use std::time::Duration;

pub const HOUR_MS: i64 = 3_600_000;
/// When the hour before [`NOW_MS`] is over, with its grace.
pub const CLOSED_MS: i64 = NOW_MS + 600_000;
pub const LEAF: &str = "pg_class where relname = 'gpu_hot_2025112108'";

/// Ten minutes of the hour before [`NOW_MS`], a tick every five seconds.
pub async fn filled() -> (Fixture, Agent) {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let ticks: Vec<_> = (0..120).map(|tick| agent.tick(tick, NOW_MS - HOUR_MS + tick as i64 * 5_000)).collect();
    fixture.flush(&ticks).await;
    (fixture, agent)
}

/// Waits until somebody waits for a lock in a statement like this.
pub async fn until_waiting(fixture: &Fixture, statement: &str) -> i32 {
    for _ in 0..2_000 {
        let waiting: Option<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock' and query like $1 limit 1",
        )
        .bind(statement)
        .fetch_optional(&fixture.pool)
        .await
        .expect("asked");
        if let Some(pid) = waiting {
            return pid;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody waits in {statement}");
}

#[tokio::test]
async fn a_closed_hour_becomes_one_row_an_entity() {
    let (fixture, agent) = filled().await;
    fixture.flush(&[agent.tick(500, NOW_MS + 1_000)]).await;
    let open = fixture.store.compact(NOW_MS + 200_000).await.expect("compacts");
    assert_eq!(open.hours, 0, "the grace is not over");
    let done = fixture.store.compact(CLOSED_MS).await.expect("compacts");
    assert_eq!(done.hours, tables::all().len());
    assert_eq!(fixture.count(LEAF).await, 0);
    assert_eq!(fixture.count("gpu_hot").await, 1, "the open hour stays");
    assert_eq!(fixture.count("gpu_packed where n = 120 and step_ms = 5000 and skipped is null").await, 1);
    assert_eq!(fixture.count("gpu_packed where fan_percent is null and power_watts[120] = 100").await, 1);
    assert_eq!(fixture.count("host_samples where host = 'alpha' and key = '' and memory_used_bytes = 4096").await, 121);
    assert_eq!(fixture.count("gpu_quarter where count = 120 and covered_s = 600 and power_watts_avg = 100").await, 1);
    assert_eq!(fixture.store.compact(CLOSED_MS).await.expect("again").hours, 0);
}

#[tokio::test]
async fn a_row_that_commits_while_its_hour_is_packed_is_kept() {
    let (fixture, agent) = filled().await;
    let mut late = fixture.pool.begin().await.expect("begins");
    let sql = "insert into gpu_hot (ts, host_id, entity_id, power_watts)
               select ts + interval '1 s', host_id, entity_id, 777 from gpu_hot limit 1";
    sqlx::raw_sql(sql).execute(&mut *late).await.expect("written, not committed");
    let commit = async {
        until_waiting(&fixture, "%gpu_hot_2025112108%").await;
        late.commit().await.expect("commits");
    };
    let (compacted, ()) = tokio::join!(fixture.store.compact(CLOSED_MS), commit);
    compacted.expect("compacts");
    assert_eq!(fixture.count(LEAF).await, 0);
    assert_eq!(fixture.count("gpu_samples").await, 121);
    assert_eq!(fixture.count(&format!("gpu_samples where host_id = {} and power_watts = 777", agent.host_id)).await, 1);
}

#[tokio::test]
async fn an_hour_is_closed_only_after_the_flushes_that_write_to_it() {
    let (fixture, agent) = filled().await;
    // The flush has copied a sample of the hour and waits to insert its event.
    let mut blocker = fixture.pool.begin().await.expect("begins");
    sqlx::query("lock table events in access exclusive mode").execute(&mut *blocker).await.expect("locked");
    let batches = [agent.tick(700, NOW_MS - 1_000), agent.batch(701, Data::Events(vec![event("alpha")]))];
    let release = async {
        until_waiting(&fixture, "insert into events%").await;
        let closing = fixture.store.clone();
        let closing = tokio::spawn(async move { closing.compact(CLOSED_MS).await });
        until_waiting(&fixture, "%pg_advisory_xact_lock%update packing%").await;
        blocker.rollback().await.expect("lets go");
        closing.await.expect("runs").expect("compacts")
    };
    let (flushed, compacted) = tokio::join!(fixture.store.flush(&batches, NOW_MS), release);
    assert_eq!(flushed.expect("flushes"), [Outcome::Stored; 2]);
    assert!(compacted.hours > 0);
    assert_eq!(fixture.count("gpu_packed where n = 121 and skipped is not null").await, 1);
    assert_eq!(fixture.count("gpu_late").await, 0);
}

#[tokio::test]
async fn late_rows_wait_in_late_and_are_merged() {
    let (fixture, agent) = filled().await;
    fixture.store.compact(CLOSED_MS).await.expect("compacts");
    // Another controller, which does not know yet that the hour is closed.
    let other = Store::connect(&fixture.url).await.expect("connects");
    let tick = |seq: u64| agent.tick(seq, NOW_MS - HOUR_MS + seq as i64 * 5_000);
    assert_eq!(fixture.flush(&[tick(130)]).await, [Outcome::Stored]);
    assert_eq!(other.flush(&[tick(131), tick(5)], CLOSED_MS).await.expect("flushes")[0], Outcome::Stored);
    assert_eq!(fixture.count("gpu_late").await, 2);
    assert_eq!(fixture.count("gpu_samples").await, 122, "seen at once");
    let new =
        agent.batch(140, Data::Samples { tick_ms: NOW_MS - 1_000, rows: vec![gpu_row("GPU-1", 5.0), host_row(1.0)] });
    fixture.flush(&[new]).await;

    let done = fixture.store.compact(CLOSED_MS).await.expect("compacts");
    assert_eq!(done.merged, 2, "an hour of gpu, an hour of host");
    assert_eq!(fixture.count("gpu_late").await, 0);
    assert_eq!(fixture.count("gpu_packed").await, 2, "one an entity");
    assert_eq!(fixture.count("gpu_packed where n = 122 and skipped[121] = 10 and skipped[1] = 0").await, 1);
    assert_eq!(fixture.count("gpu_samples").await, 123);
    assert_eq!(fixture.count("gpu_quarter where count = 122").await, 1, "its quarter was made again");
    assert_eq!(fixture.count("gpu_quarter").await, 2);
}

#[tokio::test]
async fn late_rows_that_cannot_be_merged_hold_up_nothing_else() {
    let (fixture, agent) = filled().await;
    fixture.store.compact(CLOSED_MS).await.expect("compacts");
    let ticks = [(500, NOW_MS - HOUR_MS + 2_500), (501, NOW_MS - 2 * HOUR_MS), (502, NOW_MS - 3 * HOUR_MS)];
    fixture.flush(&ticks.map(|(seq, tick_ms)| agent.tick(seq, tick_ms))).await;
    fixture.flush(&[agent.tick(503, NOW_MS + 1_000)]).await;
    let broken = format!(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$;
         create trigger broken before delete on host_late for each row when (old.ts = time_of({})) execute function refuse()",
        NOW_MS - 2 * HOUR_MS
    );
    sqlx::raw_sql(AssertSqlSafe(broken)).execute(&fixture.pool).await.expect("broken");
    let done = fixture.store.compact(CLOSED_MS + HOUR_MS).await.expect("the rest is done");
    assert_eq!((done.hours, done.merged), (tables::all().len(), 5), "the hour of all tables; all late hours but one");
    assert_eq!(fixture.count("host_samples").await, 124, "it waits where it is read");
    sqlx::raw_sql("drop trigger broken on host_late").execute(&fixture.pool).await.expect("mended");
    assert_eq!(fixture.store.compact(CLOSED_MS + HOUR_MS).await.expect("compacts").merged, 1);
}

#[tokio::test]
async fn one_late_hour_of_a_host_is_found_without_its_others() {
    let fixture = Fixture::new().await;
    let many = format!(
        "insert into gpu_late (ts, host_id, entity_id)
         select time_of({NOW_MS}) + n * interval '5 s', n % 4, n % 80 from generate_series(1, 40000) as n"
    );
    sqlx::raw_sql(AssertSqlSafe(many)).execute(&fixture.pool).await.expect("filled");
    sqlx::raw_sql("analyze gpu_late").execute(&fixture.pool).await.expect("analyzed");
    let explain = format!(
        "explain delete from gpu_late where host_id = 1 and ts >= time_of({NOW_MS}) and ts < time_of({})",
        NOW_MS + HOUR_MS
    );
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&fixture.pool).await.expect("planned");
    assert!(plan.iter().any(|line| line.contains("gpu_late_by_host")), "{plan:?}");
}

#[tokio::test]
async fn minutes_that_cannot_be_made_hold_up_no_others() {
    let (fixture, _) = filled().await;
    fixture.store.compact(CLOSED_MS).await.expect("compacts");
    // The host's are made before the GPU's.
    let broken =
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$;
                  create trigger broken before insert on host_minute for each row execute function refuse()";
    sqlx::raw_sql(broken).execute(&fixture.pool).await.expect("broken");
    let done = fixture.store.compact(CLOSED_MS + 12 * HOUR_MS).await.expect("the rest is done");
    assert_eq!((done.minutes, fixture.count("gpu_minute").await, fixture.count("minutes_due").await), (1, 1, 1));
    sqlx::raw_sql("drop trigger broken on host_minute").execute(&fixture.pool).await.expect("mended");
    assert_eq!(fixture.store.compact(CLOSED_MS + 12 * HOUR_MS).await.expect("compacts").minutes, 1);
    assert_eq!(fixture.count("minutes_due").await, 0);
}

#[tokio::test]
async fn a_compaction_that_is_killed_is_as_if_it_had_not_begun() {
    let (fixture, _) = filled().await;
    let mut reader = fixture.pool.begin().await.expect("begins");
    sqlx::query("select from gpu_hot").execute(&mut *reader).await.expect("reads, and holds on");
    let kill = async {
        // Packed, and not yet dropped.
        let pid = until_waiting(&fixture, "%drop table gpu_hot_2025112108").await;
        sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&fixture.pool).await.expect("killed");
    };
    let (compacted, ()) = tokio::join!(fixture.store.compact(CLOSED_MS), kill);
    assert_eq!(compacted.expect("goes on with the others").hours, tables::all().len() - 1);
    assert_eq!(fixture.count("gpu_packed").await + fixture.count("gpu_quarter").await, 0);
    assert_eq!(fixture.count("gpu_samples").await, 120);
    // Whoever only waits in vain for readers gives up after a while, and lets them go on.
    let waited = fixture.store.compact(CLOSED_MS).await.expect("compacts");
    assert_eq!((waited.hours, fixture.count(LEAF).await), (1, 1), "packed, and the partition stays");
    reader.rollback().await.expect("lets go");
    assert_eq!(fixture.store.compact(CLOSED_MS).await.expect("compacts").hours, 1);
    assert_eq!(fixture.count("gpu_samples").await, 120);
    assert_eq!(fixture.count("gpu_packed").await, 1);
}

#[tokio::test]
async fn two_controllers_pack_each_hour_once() {
    let (fixture, _) = filled().await;
    let other = Store::connect(&fixture.url).await.expect("connects");
    let (one, two) = tokio::join!(fixture.store.compact(CLOSED_MS), other.compact(CLOSED_MS));
    one.and(two).expect("both go on");
    fixture.store.compact(CLOSED_MS).await.expect("what was left");
    assert_eq!(fixture.count("gpu_packed").await, 1);
    assert_eq!(fixture.count("gpu_samples").await, 120);
    assert_eq!(fixture.count(LEAF).await, 0);
}

#[tokio::test]
async fn each_tier_is_kept_for_its_time() {
    let (fixture, agent) = filled().await;
    let store = fixture.store.clone().keeping(Retention { raw_days: 2, minute_days: 14, quarter_days: 60 });
    store.compact(CLOSED_MS).await.expect("compacts");
    store.compact(CLOSED_MS + 12 * HOUR_MS).await.expect("makes the minutes");
    assert_eq!(fixture.count("gpu_fleet").await, 1);
    let tiers = async || {
        let mut counts = Vec::new();
        for tier in ["packed", "minute", "quarter"] {
            counts.push(fixture.count(&format!("gpu_{tier}")).await);
        }
        counts
    };
    for (days, expected) in [(2, [1, 1, 1]), (4, [0, 1, 1]), (14, [0, 1, 1]), (22, [0, 0, 1]), (100, [0, 0, 0])] {
        let now_ms = NOW_MS + days * 24 * HOUR_MS;
        let mut reader = fixture.pool.begin().await.expect("begins");
        sqlx::query("select from gpu_packed").execute(&mut *reader).await.expect("reads, and holds on");
        if days == 4 {
            store.drop_expired(now_ms).await.expect("does not wait for ever");
            assert_eq!(tiers().await, [1, 1, 1], "in use: the next time");
        }
        drop(reader);
        store.drop_expired(now_ms).await.expect("drops");
        assert_eq!(tiers().await, expected, "after {days} days");
        if days == 4 {
            // A day that is gone takes no more: its rollups could not be made from a part.
            let late = agent.tick(900, NOW_MS - 1_000);
            assert_eq!(store.flush(&[late], now_ms).await.expect("flushes"), [Outcome::Stored]);
            assert_eq!(fixture.count("quarantine where reason = 'time'").await, 1);
        }
    }
    assert_eq!(fixture.count("gpu_fleet").await, 0);
}

#[tokio::test]
async fn samples_are_taken_for_as_long_as_they_would_be_kept() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let now_ms = NOW_MS + 40 * 24 * HOUR_MS;
    for (seq, raw_days, days, taken) in [(1, 14, 13, true), (2, 14, 20, false), (3, 30, 20, true), (4, 30, 31, false)] {
        let store = fixture.store.clone().keeping(Retention { raw_days, ..Retention::default() });
        let before = fixture.count("gpu_samples").await;
        let tick = agent.tick(seq, now_ms - days * 24 * HOUR_MS);
        assert_eq!(store.flush(&[tick], now_ms).await.expect("flushes"), [Outcome::Stored], "acked either way");
        assert_eq!(fixture.count("gpu_samples").await - before, i64::from(taken), "{days} of {raw_days} days");
    }
    let refused: i64 = sqlx::query_scalar("select sum(batches)::bigint from quarantine where reason = 'time'")
        .fetch_one(&fixture.pool)
        .await
        .expect("counted");
    assert_eq!(refused, 2);
}

#[tokio::test]
async fn a_new_metric_is_derived_into_all_tiers() {
    let (fixture, _) = filled().await;
    fixture.store.compact(CLOSED_MS).await.expect("compacts");
    let sql = "alter table gpu_hot add column flux real; call derive_tiers('gpu'); call derive_fleet('gpu')";
    sqlx::raw_sql(sql).execute(&fixture.pool).await.expect("migrates");
    assert_eq!(fixture.count("gpu_samples(time_of(0), now()) where flux is null").await, 120);
    let columns =
        "select flux from gpu_late union select flux[1] from gpu_packed union select flux_avg[1] + flux_min[1] from
        gpu_minute union select flux_max from gpu_quarter union select flux_covered_s + flux_avg from gpu_fleet";
    sqlx::query(AssertSqlSafe(columns)).execute(&fixture.pool).await.expect("there");
}
