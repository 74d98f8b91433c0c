//! Inbound batches → live view → one transaction → acks.
//!
//! Two stages, so that the live view never waits for the database:
//!
//! 1. [`feed`] takes what transport hands over, leaves out what is beyond one host's share ([`screen`]), shows
//!    the rest to the live view at once, and lays it on a bounded pile.
//! 2. [`flusher`] takes from the pile for [`crate::limits::GATHER_FOR`] or until it has enough,
//!    stores all of it in one transaction, and acks. While the database is away it tries again with
//!    growing pauses and keeps what it holds.
//!
//! When the pile is full, further batches are shown but not laid on it, and not acked: their agents
//! hold them. Waiting instead would stop the live view with the database, and blocking single agents
//! would stop theirs. Agents send only at a connect what was not acked, so whose batches were left
//! out is remembered; once there is room again their sessions are ended, they connect anew, learn
//! from the welcome what is stored, and send the rest.
//!
//! A batch that the database refuses must not stop the others: the flush is halved until the
//! offender is alone; that one is counted in quarantine, marked as never to come, acked and logged.

mod clock_check;
mod feed;
mod flusher;
mod pile;
mod retry;
mod screen;
mod sink;
mod upkeep;

pub use sink::LiveSink;

use crate::limits::{HISTORY_BEHIND_AFTER, HISTORY_LOOK};
use crate::store::Store;
use crate::transport::{Inbound, WallClock};
use clock_check::ClockCheck;
use pile::{Owed, Pile};
use screen::Screen;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Ends the session of an agent that is to connect again, and send what was not stored.
pub type Reconnect = Arc<dyn Fn(Uuid) + Send + Sync>;

/// Hears of commands whose ends are stored, by their hosts' word; whatever hosts say that they are.
pub type Closed = Arc<dyn Fn(&[Uuid]) + Send + Sync>;

/// Everything that ingest needs.
pub struct Ingest<L> {
    pub store: Store,
    pub live: Arc<L>,
    pub clock: WallClock,
    pub reconnect: Reconnect,
    pub closed: Closed,
}

/// Tells how far history is behind, for ever.
async fn tell_behind(live: &impl LiveSink, owed: &Owed) {
    let mut timer = interval(HISTORY_LOOK);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        live.history_behind(owed.behind().filter(|behind| *behind >= HISTORY_BEHIND_AFTER));
    }
}

impl<L> std::fmt::Debug for Ingest<L> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ingest").finish_non_exhaustive()
    }
}

impl<L: LiveSink> Ingest<L> {
    /// Runs until `inbound` closes and what it brought is stored; if the database is away then,
    /// for [`crate::limits::DRAIN_WAIT`] at most. Upkeep of the store runs beside.
    pub async fn run(self, inbound: mpsc::Receiver<Inbound>) {
        let (pile, piled) = Pile::new();
        let (screen, check, draining) = (Screen::default(), ClockCheck::default(), CancellationToken::new());
        let flusher = flusher::Flusher {
            store: self.store.clone(),
            clock: self.clock.clone(),
            reconnect: self.reconnect,
            closed: self.closed,
            pile: pile.owed(),
            draining: draining.clone(),
        };
        let upkeep = upkeep::Upkeep {
            store: self.store,
            live: self.live.clone(),
            screen: screen.clone(),
            check: check.clone(),
            clock: self.clock,
        };
        let upkeep = tokio::spawn(upkeep.run(draining.clone()));
        let flushing = tokio::spawn(flusher.run(piled));
        let owed = pile.owed();
        tokio::select! {
            () = feed::run(inbound, &*self.live, screen, check, pile) => {}
            () = tell_behind(&*self.live, &owed) => {}
        }
        draining.cancel();
        for (task, name) in [(flushing, "flushing"), (upkeep, "upkeep")] {
            if let Err(error) = task.await {
                tracing::error!(%error, "the task for {name} failed");
            }
        }
    }
}
