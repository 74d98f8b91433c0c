//! Exactly once: repeats, reorderings, evictions, crashes, bad clocks, two flushes at once.

use crate::{Agent, Fixture, NOW_MS, host_row};
use fleetlight_controller::store::Store;
use fleetlight_controller::store::flush::{Data, Outcome};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::EntityKind;
use std::time::Duration;
use uuid::Uuid;

fn event(subject: &str) -> Event {
    Event {
        id: Uuid::new_v4(),
        at_ms: NOW_MS,
        kind: EntityKind::Container,
        key: "c0ffee".into(),
        subject: subject.into(),
        severity: Severity::Warn,
        fact: Fact::ContainerDied { exit_code: Some(137), oom_killed: true, last_lines: vec!["a\0b".into()] },
    }
}

#[tokio::test]
async fn repeats_reorderings_and_overlaps_are_stored_once() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let tick = |seq: u64| agent.tick(seq, NOW_MS - 100_000 + seq as i64 * 1_000);
    // One session sends 1–6, its successor what it was not told of, newest first, and both overlap.
    let first = fixture.flush(&[tick(1), tick(2), tick(3)]).await;
    assert_eq!(first, [Outcome::Stored; 3]);
    let second = fixture.flush(&[tick(6), tick(5), tick(2), tick(6), tick(4)]).await;
    use Outcome::{Duplicate, Stored};
    assert_eq!(second, [Stored, Stored, Duplicate, Duplicate, Stored]);
    assert_eq!(fixture.flush(&[tick(1), tick(4), tick(9)]).await, [Duplicate, Duplicate, Stored]);

    let cpu: Vec<f32> = sqlx::query_scalar("select cpu_percent from host_hot order by ts")
        .fetch_all(&fixture.pool)
        .await
        .expect("rows");
    assert_eq!(cpu, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0]);
    assert_eq!(
        fixture.count("gpu_hot where power_watts = 100 and pcie_link_width = 16 and fan_percent is null").await,
        7
    );
    let ts: i64 =
        sqlx::query_scalar("select ms_of(min(ts)) from host_hot").fetch_one(&fixture.pool).await.expect("a time");
    assert_eq!(ts, NOW_MS - 99_000, "milliseconds survive");
    let strange = Uuid::new_v4();
    let stored = fixture.store.stored(agent.host_id, &[agent.epoch, strange]).await.expect("asked");
    let stored: std::collections::HashMap<_, _> = stored.into_iter().collect();
    assert_eq!(stored[&agent.epoch].intervals(), [(1, 6), (9, 9)]);
    assert_eq!(stored[&strange].intervals(), [], "nothing is an answer, too");
}

#[tokio::test]
async fn what_an_agent_sends_again_after_it_was_enrolled_again_is_stored_once() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let tick = |agent: &Agent, seq: u64| agent.tick(seq, NOW_MS + seq as i64);
    fixture.flush(&[tick(&agent, 1), tick(&agent, 2)]).await;
    // The same run of the same host, with a new key.
    let renewed = Agent { agent_id: Uuid::new_v4(), ..agent };
    let outcomes = fixture.flush(&[tick(&renewed, 1), tick(&renewed, 2), tick(&renewed, 3)]).await;
    assert_eq!(outcomes, [Outcome::Duplicate, Outcome::Duplicate, Outcome::Stored]);
    assert_eq!(fixture.count("host_hot").await, 3);
}

#[tokio::test]
async fn epochs_and_agents_have_sequences_of_their_own() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let restarted = Agent { epoch: Uuid::new_v4(), ..agent };
    let other = Agent::new(fixture.host("beta").await);
    let outcomes = fixture.flush(&[agent.tick(1, NOW_MS), restarted.tick(1, NOW_MS), other.tick(1, NOW_MS)]).await;
    assert_eq!(outcomes, [Outcome::Stored; 3]);
    assert_eq!(fixture.count("host_hot").await, 3);
    assert_eq!(fixture.count("entities").await, 4, "a host and a GPU each");
}

#[tokio::test]
async fn what_was_evicted_is_counted_and_not_asked_for() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    fixture.flush(&[agent.tick(3, NOW_MS)]).await;
    assert_eq!(fixture.flush(&[agent.batch(2, Data::Evicted { last: 5 })]).await, [Outcome::Stored]);
    let stored = async || fixture.store.stored(agent.host_id, &[agent.epoch]).await.expect("asked")[0].1.clone();
    assert_eq!(stored().await.intervals(), [(2, 5)]);
    // On its way all the same, or said again: the agent has counted it as lost, and it stays so.
    let again = [agent.tick(4, NOW_MS), agent.batch(2, Data::Evicted { last: 5 })];
    assert_eq!(fixture.flush(&again).await, [Outcome::Duplicate; 2]);
    assert_eq!(fixture.count("host_hot").await, 1);
    assert_eq!(fixture.count("quarantine where reason = 'evicted' and batches = 3 and last_seq = 2").await, 1);
}

#[tokio::test]
async fn numbers_that_cannot_be_held_are_not_acked() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let outcomes = fixture
        .flush(&[agent.tick(u64::MAX, NOW_MS), agent.batch(9, Data::Evicted { last: 3 }), agent.tick(0, NOW_MS)])
        .await;
    assert_eq!(outcomes, [Outcome::Withheld, Outcome::Withheld, Outcome::Stored]);
    assert_eq!(fixture.count("host_hot").await, 1);
}

#[tokio::test]
async fn a_crash_between_copy_and_commit_leaves_nothing() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let batches = [agent.tick(1, NOW_MS), agent.batch(2, Data::Events(vec![event("web")]))];
    // The flush has copied its samples and now waits to insert its event: there its connection dies.
    let mut blocker = fixture.pool.begin().await.expect("begins");
    sqlx::query("lock table events in access exclusive mode").execute(&mut *blocker).await.expect("locked");
    let kill = async {
        loop {
            let killed: Vec<bool> = sqlx::query_scalar(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock' and query like 'insert into events%'",
            )
            .fetch_all(&fixture.pool)
            .await
            .expect("asked");
            if !killed.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (flushed, ()) = tokio::join!(fixture.store.flush(&batches, NOW_MS), kill);
    let error = flushed.expect_err("its connection died");
    assert!(!error.is_refusal(), "trying again may help: {error}");
    blocker.rollback().await.expect("lets go");
    assert_eq!(fixture.count("host_hot").await, 0);
    assert_eq!(fixture.count("ledger").await, 0);

    assert_eq!(fixture.flush(&batches).await, [Outcome::Stored; 2]);
    assert_eq!(fixture.count("host_hot").await, 1);
    assert_eq!(fixture.count("events").await, 1);
}

#[tokio::test]
async fn two_flushes_at_once_store_each_batch_once() {
    let fixture = Fixture::new().await;
    let other = Store::connect(&fixture.url).await.expect("another controller");
    let (one, two) = (Agent::new(fixture.host("alpha").await), Agent::new(fixture.host("beta").await));
    for round in 0..20 {
        let batches =
            |agents: [Agent; 2]| agents.map(|agent| agent.tick(round, NOW_MS - 60_000 + round as i64 * 1_000));
        let (there, back) = (batches([one, two]), batches([two, one]));
        let (first, second) = tokio::join!(fixture.store.flush(&there, NOW_MS), other.flush(&back, NOW_MS));
        let outcomes = [first.expect("flushes"), second.expect("flushes")].concat();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Stored).count(), 2);
    }
    assert_eq!(fixture.count("host_hot").await, 40);
    assert_eq!(fixture.count("entities").await, 4);
}

#[tokio::test]
async fn impossible_ticks_are_counted_and_acked() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let batches = [
        agent.tick(1, NOW_MS + 11 * 60_000),
        agent.tick(2, NOW_MS - 15 * 24 * 3_600_000),
        agent.tick(3, i64::MAX),
        agent.tick(4, NOW_MS),
    ];
    assert_eq!(fixture.flush(&batches).await, [Outcome::Stored; 4]);
    assert_eq!(fixture.count("host_hot").await, 1);
    let counted = "quarantine where reason = 'time' and batches = 3 and rows = 6 and last_seq = 3";
    assert_eq!(fixture.count(counted).await, 1);
}

#[tokio::test]
async fn what_the_database_refuses_can_be_given_up() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    sqlx::raw_sql("alter table events add check (subject <> 'poison')").execute(&fixture.pool).await.expect("a trap");
    let batch = agent.batch(7, Data::Events(vec![event("poison")]));
    let error = fixture.store.flush(std::slice::from_ref(&batch), NOW_MS).await.expect_err("refused");
    assert!(error.is_refusal(), "{error}");
    fixture.store.refuse(&batch, &error.to_string(), NOW_MS).await.expect("counted");
    assert_eq!(
        fixture
            .count("quarantine where reason = 'refused' and batches = 1 and last_detail like '%check constraint%'")
            .await,
        1
    );
    assert_eq!(fixture.count("ledger where seqs = '{[7,8)}'").await, 1);
}

#[tokio::test]
async fn events_come_back_newest_first_and_once() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let other = Agent::new(fixture.host("beta").await);
    let (mut old, new) = (event("web"), event("db"));
    old.at_ms -= 60_000;
    fixture
        .flush(&[
            agent.batch(1, Data::Events(vec![old.clone(), new.clone()])),
            // After a restart of the agent the same event has another number.
            agent.batch(2, Data::Events(vec![old.clone()])),
            other.batch(1, Data::Events(vec![event("elsewhere")])),
        ])
        .await;
    let events = fixture.store.events(Some(agent.host_id), None, 10).await.expect("read");
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [new.id, old.id]);
    assert_eq!(events[0].fact, "container_died");
    assert_eq!(events[0].detail["exit_code"], 137);
    assert_eq!(events[0].detail["last_lines"][0], "a\u{fffd}b", "what Postgres cannot hold is marked");
    let before = fixture.store.events(Some(agent.host_id), Some(NOW_MS), 10).await.expect("read");
    assert_eq!(before.iter().map(|event| event.id).collect::<Vec<_>>(), [old.id]);
    assert_eq!(fixture.store.events(None, None, 2).await.expect("read").len(), 2);
}

#[tokio::test]
async fn keys_with_zero_bytes_do_not_stop_a_flush() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let mut row = host_row(1.0);
    row.key = "a\0b".into();
    fixture.flush(&[agent.batch(1, Data::Samples { tick_ms: NOW_MS, rows: vec![row.clone(), row] })]).await;
    assert_eq!(fixture.count("entities").await, 1);
    assert_eq!(fixture.count("host_hot").await, 2);
}
