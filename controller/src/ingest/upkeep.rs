//! What time asks of the store: partitions, forgetting, documents that nobody confirms.

use super::LiveSink;
use super::screen::Screen;
use crate::limits::{CONFIRM_EVERY, UPKEEP_EVERY};
use crate::store::Store;
use crate::transport::WallClock;
use std::sync::Arc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Runs until `stop`.
pub async fn run(store: Store, live: Arc<impl LiveSink>, screen: Screen, clock: WallClock, stop: CancellationToken) {
    let (mut upkeep, mut confirm) = (interval(UPKEEP_EVERY), interval(CONFIRM_EVERY));
    for timer in [&mut upkeep, &mut confirm] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = upkeep.tick() => {
                if let Err(error) = store.upkeep(clock()).await {
                    tracing::warn!(%error, "upkeep failed; the next one is in {} min", UPKEEP_EVERY.as_secs() / 60);
                }
            }
            _ = confirm.tick() => end_unconfirmed(&store, &*live, &screen, clock()).await,
        }
    }
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
