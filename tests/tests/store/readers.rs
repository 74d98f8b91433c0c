//! Whoever reads for long holds up neither packing nor what arrives.

use crate::packing::{CLOSED_MS, HOUR_MS, LEAF, filled};
use crate::{Agent, Fixture, NOW_MS};
use fleetlight_controller::limits::{PARTITION_DROP_WAIT, STORE_ACQUIRE_WAIT, STORE_CONNECTIONS, STORE_QUESTIONS};
use fleetlight_controller::store::flush::Outcome;
use fleetlight_controller::store::series::SeriesQuery;
use fleetlight_controller::store::tables;
use fleetlight_protocol::samples::EntityKind;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// As pg_dump begins: one snapshot for all, and a lock on every table, to the end.
async fn dump(fixture: &Fixture) -> Transaction<'static, Postgres> {
    let mut dump = fixture.pool.begin().await.expect("begins");
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *dump).await.expect("set");
    let sql = "select string_agg(oid::regclass::text, ', ') from pg_class
               where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace";
    let tables: String = sqlx::query_scalar(sql).fetch_one(&mut *dump).await.expect("listed");
    let lock = format!("lock table {tables} in access share mode");
    sqlx::query(AssertSqlSafe(lock)).execute(&mut *dump).await.expect("locked");
    dump
}

async fn seen(reader: &mut Transaction<'static, Postgres>) -> i64 {
    sqlx::query_scalar("select count(*) from gpu_samples").fetch_one(&mut **reader).await.expect("reads")
}

/// Stores a tick again and again; the longest that one took.
async fn live(fixture: &Fixture, agent: &Agent, stop: impl Future<Output = ()>) -> Duration {
    let (mut longest, mut seq, stopped) = (Duration::ZERO, 1_000, Cell::new(false));
    let ticks = async {
        // The last one ends, too: one that is dropped keeps its locks until its connection is used again.
        while !stopped.get() {
            let began = Instant::now();
            let tick = agent.tick(seq, NOW_MS + seq as i64);
            assert_eq!(fixture.store.flush(&[tick], NOW_MS).await.expect("flushes"), [Outcome::Stored]);
            longest = longest.max(began.elapsed());
            seq += 1;
        }
    };
    let stop = async {
        stop.await;
        stopped.set(true);
    };
    tokio::join!(ticks, stop);
    longest
}

#[tokio::test]
async fn hours_are_packed_while_one_dump_follows_the_other() {
    let (fixture, agent) = filled().await;
    let mut first = dump(&fixture).await;
    let began = Instant::now();
    let packing = async {
        let done = fixture.store.compact(CLOSED_MS).await.expect("compacts");
        assert_eq!(done.hours, 2, "the host's and the GPU's; what is empty anyway waits");
    };
    let longest = Box::pin(live(&fixture, &agent, packing)).await;
    assert!(longest < 2 * PARTITION_DROP_WAIT, "live samples waited {longest:?}");
    assert!(began.elapsed() < 5 * PARTITION_DROP_WAIT, "waits once, and not for each of {}", tables::all().len());
    assert_eq!(seen(&mut first).await, 120, "the dump sees each row once");
    let mut second = dump(&fixture).await;
    first.rollback().await.expect("done");
    assert_eq!(fixture.count("gpu_packed where n = 120").await, 1);
    assert_eq!(fixture.count("gpu_hot_2025112108").await, 0);

    // Nothing is packed twice, and what comes late is merged although the partition is still there.
    fixture.flush(&[agent.tick(200, NOW_MS - HOUR_MS + 700_000)]).await;
    let done = fixture.store.compact(CLOSED_MS).await.expect("compacts");
    assert_eq!((done.hours, done.merged), (0, 2));
    assert_eq!(fixture.count("gpu_packed").await, 1);
    assert_eq!(fixture.count(LEAF).await, 1);
    let whole = seen(&mut second).await;
    second.rollback().await.expect("done");
    assert_eq!(fixture.store.compact(CLOSED_MS).await.expect("compacts").hours, tables::all().len());
    assert_eq!(fixture.count(LEAF).await, 0);
    assert_eq!(fixture.count("gpu_samples").await, whole + 1);
}

#[tokio::test]
async fn a_session_left_open_keeps_the_hours_that_it_read_and_no_other() {
    let (fixture, agent) = filled().await;
    let mut open = fixture.pool.begin().await.expect("begins");
    sqlx::query("select from gpu_hot limit 1").execute(&mut *open).await.expect("reads, and is left");
    for (hour, packed) in (0..3).zip(1..) {
        let (seq, now_ms) = (500 + hour as u64, NOW_MS + hour * HOUR_MS);
        let stored = fixture.store.flush(&[agent.tick(seq, now_ms)], now_ms).await;
        assert_eq!(stored.expect("flushes"), [Outcome::Stored], "what arrives does not wait");
        let done = fixture.store.compact(CLOSED_MS + hour * HOUR_MS).await.expect("compacts");
        assert!(done.hours >= 2, "{done:?}");
        assert_eq!(fixture.count("gpu_packed").await, packed, "each hour when it is over");
        assert_eq!(fixture.count("gpu_samples").await, 120 + packed, "nothing lost, nothing twice");
    }
    // As autovacuum does within a minute.
    sqlx::query("vacuum gpu_hot_2025112109, gpu_hot_2025112110").execute(&fixture.pool).await.expect("vacuumed");
    let bytes = "select relname::text, pg_relation_size(oid) from pg_class
                 where relname like 'gpu_hot_20%' and relkind = 'r' order by relname";
    let parts: Vec<(String, i64)> = sqlx::query_as(bytes).fetch_all(&fixture.pool).await.expect("asked");
    assert!(parts[0].0 == "gpu_hot_2025112108" && parts[0].1 > 0, "{parts:?}");
    assert!(parts[1..3].iter().all(|(_, bytes)| *bytes == 0), "emptied: {parts:?}");
    open.rollback().await.expect("closed");
    fixture.store.compact(CLOSED_MS + 2 * HOUR_MS).await.expect("compacts");
    assert_eq!(fixture.count("pg_class where relname like 'gpu_hot_20%' and relkind = 'r'").await, 1, "the open hour");
    assert_eq!(fixture.count("gpu_samples").await, 120 + 3);
}

#[tokio::test]
async fn slow_questions_hold_up_no_flush() {
    let (fixture, agent) = filled().await;
    let mut blocker = fixture.pool.begin().await.expect("begins");
    sqlx::query("lock table gpu_packed in access exclusive mode").execute(&mut *blocker).await.expect("locked");
    let query = SeriesQuery {
        host_id: agent.host_id,
        kind: EntityKind::Gpu,
        metrics: vec!["power_watts".into()],
        keys: None,
        from_ms: NOW_MS - HOUR_MS,
        to_ms: NOW_MS,
        buckets: 1_200,
        now_ms: NOW_MS,
    };
    let ask = |_| {
        let (store, query) = (fixture.store.clone(), query.clone());
        tokio::spawn(async move { store.series(&query).await })
    };
    let asked: Vec<_> = (0..STORE_CONNECTIONS + STORE_QUESTIONS).map(ask).collect();
    let waiting = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let full = async {
        while fixture.count(waiting).await < i64::from(STORE_QUESTIONS) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(STORE_ACQUIRE_WAIT, full).await.expect("they read as far as they can");
    let tick = agent.tick(500, NOW_MS - 1_000);
    assert_eq!(fixture.flush(&[tick]).await, [Outcome::Stored]);
    assert_eq!(fixture.count(waiting).await, i64::from(STORE_QUESTIONS), "the others wait their turn");
    blocker.rollback().await.expect("lets go");
    let mut answered = 0;
    for question in asked {
        answered += u32::from(question.await.expect("runs").is_ok());
    }
    assert!(answered >= STORE_QUESTIONS, "{answered} have an answer");
}
