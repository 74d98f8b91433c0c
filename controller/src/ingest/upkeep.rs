//! What time asks of the store: partitions, forgetting, documents that nobody confirms.

use super::LiveSink;
use super::clock_check::ClockCheck;
use super::screen::Screen;
use crate::limits::{CLOCK_LOOK, CONFIRM_EVERY, UPKEEP_EVERY, UPKEEP_GOODBYE_WAIT};
use crate::store::compaction::Compacted;
use crate::store::{Store, StoreError};
use crate::transport::WallClock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// What it needs.
pub struct Upkeep<L> {
    pub store: Store,
    pub live: Arc<L>,
    pub screen: Screen,
    pub check: ClockCheck,
    pub clock: WallClock,
}

impl<L: LiveSink> Upkeep<L> {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { store, live, screen, check, clock } = self;
        let work = async {
            tokio::join!(keep_up(&store, &check, &clock, &stop), confirm(&store, &*live, &screen, &clock, &stop))
        };
        tokio::select! {
            ((), ()) = work => {}
            // Cut anywhere, what is half done is rolled back and found again.
            () = async { stop.cancelled().await; sleep(UPKEEP_GOODBYE_WAIT).await } => {}
        }
    }
}

async fn keep_up(store: &Store, check: &ClockCheck, clock: &WallClock, stop: &CancellationToken) {
    let mut timer = every(UPKEEP_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = async { timer.tick().await; agreed(check, clock).await } => {}
        }
        if let Err(error) = all(store, clock()).await {
            tracing::warn!(%error, "upkeep failed; the next one is in {} min", UPKEEP_EVERY.as_secs() / 60);
        }
    }
}

/// Waits until the controller's clock can be believed.
async fn agreed(check: &ClockCheck, clock: &WallClock) {
    if check.believes(clock()) {
        return;
    }
    tracing::info!("nothing is packed or dropped until a host's clock agrees with the controller's");
    while !check.believes(clock()) {
        sleep(CLOCK_LOOK).await;
    }
}

async fn all(store: &Store, now_ms: i64) -> Result<(), StoreError> {
    store.upkeep(now_ms).await?;
    // Whatever hinders packing must not fill the disk as well.
    let compacted = store.compact(now_ms).await;
    let dropped = store.drop_expired(now_ms).await?;
    let compacted = compacted?;
    let forgotten = store.forget_entities().await?;
    if compacted != Compacted::default() || dropped > 0 || forgotten > 0 {
        tracing::info!(?compacted, dropped, forgotten, "packed closed hours and dropped what is older than it is kept");
    }
    Ok(())
}

/// A loop of its own: packing an hour may take longer than a gone container should stay in view.
async fn confirm(store: &Store, live: &impl LiveSink, screen: &Screen, clock: &WallClock, stop: &CancellationToken) {
    let mut timer = every(CONFIRM_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = timer.tick() => {}
        }
        end_unconfirmed(store, live, screen, clock()).await;
    }
}

fn every(period: Duration) -> Interval {
    let mut timer = interval(period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// What vanished while no agent looked vanishes from the live view too.
async fn end_unconfirmed(store: &Store, live: &impl LiveSink, screen: &Screen, now_ms: i64) {
    match store.end_unconfirmed(now_ms).await {
        Ok(ended) => ended.into_iter().for_each(|(host_id, document)| {
            screen.ended(host_id, &document);
            live.documents(host_id, &[document]);
        }),
        Err(error) => tracing::warn!(%error, "looking for unconfirmed documents failed"),
    }
}
