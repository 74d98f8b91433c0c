//! Entities without samples are forgotten, and no flush writes samples of one that is gone.

use crate::ingest::event;
use crate::packing::{CLOSED_MS, until_waiting};
use crate::{Agent, Fixture, NOW_MS};
use fleetlight_controller::store::Store;
use fleetlight_controller::store::flush::{Data, Outcome};

/// A host and a GPU whose numbers the store remembers, and no sample of them.
async fn known_without_samples() -> (Fixture, Agent) {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    assert_eq!(fixture.flush(&[agent.tick(1, NOW_MS)]).await, [Outcome::Stored]);
    sqlx::raw_sql("delete from host_hot; delete from gpu_hot").execute(&fixture.pool).await.expect("emptied");
    (fixture, agent)
}

#[tokio::test]
async fn what_has_samples_in_any_tier_is_kept_and_the_rest_is_made_again_when_it_comes_back() {
    let (fixture, agent) = known_without_samples().await;
    let other = Store::connect(&fixture.url).await.expect("connects");
    assert_eq!(other.flush(&[agent.tick(2, NOW_MS)], NOW_MS).await.expect("flushes"), [Outcome::Stored]);
    assert_eq!(fixture.store.forget_entities().await.expect("looks"), 0, "both have samples in hot");
    fixture.store.compact(CLOSED_MS + 3_600_000).await.expect("compacts");
    assert_eq!(fixture.store.forget_entities().await.expect("looks"), 0, "and in packed");
    sqlx::raw_sql("delete from host_packed; delete from gpu_packed").execute(&fixture.pool).await.expect("emptied");
    assert_eq!(fixture.store.forget_entities().await.expect("looks"), 0, "and in quarters");
    assert_eq!(fixture.flush(&[agent.tick(3, NOW_MS + 1)]).await, [Outcome::Stored]);
    sqlx::raw_sql("delete from gpu_quarter").execute(&fixture.pool).await.expect("emptied");
    assert_eq!(fixture.count("gpu_late").await, 1);
    assert_eq!(fixture.store.forget_entities().await.expect("looks"), 0, "and in late");
    fixture.store.compact(NOW_MS + 13 * 3_600_000).await.expect("compacts");
    sqlx::raw_sql("delete from gpu_packed; delete from gpu_quarter").execute(&fixture.pool).await.expect("emptied");
    assert_eq!((fixture.count("gpu_late").await, fixture.count("gpu_minute").await), (0, 1));
    assert_eq!(fixture.store.forget_entities().await.expect("looks"), 0, "and in minutes");
    sqlx::raw_sql("delete from gpu_minute").execute(&fixture.pool).await.expect("emptied");
    assert_eq!(fixture.store.forget_entities().await.expect("looks"), 1, "the GPU");
    assert_eq!(fixture.count("entities").await, 1);

    // Both controllers remember the number of the one that is gone.
    let now_ms = NOW_MS + 14 * 3_600_000;
    for (seq, store) in [(4, &fixture.store), (5, &other)] {
        let stored = store.flush(&[agent.tick(seq, now_ms + seq as i64)], now_ms).await;
        assert_eq!(stored.expect("flushes"), [Outcome::Stored]);
    }
    assert_eq!(fixture.count("entities").await, 2, "made again, once");
    assert_eq!(fixture.count("gpu_samples").await, 2, "none is of an entity that is gone");
}

#[tokio::test]
async fn a_flush_that_writes_meanwhile_keeps_its_entities() {
    let (fixture, agent) = known_without_samples().await;
    // The flush has copied its samples, with numbers that it remembered, and waits to insert its event.
    let mut blocker = fixture.pool.begin().await.expect("begins");
    sqlx::query("lock table events in access exclusive mode").execute(&mut *blocker).await.expect("locked");
    let batches = [agent.tick(2, NOW_MS), agent.batch(3, Data::Events(vec![event("alpha")]))];
    let release = async {
        until_waiting(&fixture, "insert into events%").await;
        let forgetting = fixture.store.clone();
        let forgetting = tokio::spawn(async move { forgetting.forget_entities().await });
        until_waiting(&fixture, "%pg_advisory_xact_lock%").await;
        blocker.rollback().await.expect("lets go");
        forgetting.await.expect("runs").expect("looks")
    };
    let (flushed, forgotten) = tokio::join!(fixture.store.flush(&batches, NOW_MS), release);
    assert_eq!(flushed.expect("flushes"), [Outcome::Stored; 2]);
    assert_eq!(forgotten, 0, "it looked again once the flush was done");
    assert_eq!(fixture.count("packing where forgettings = 0").await, 1, "nobody needs to ask anew");
    assert_eq!(fixture.count("gpu_samples").await, 1);
}
