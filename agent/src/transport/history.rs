//! How much history there is to send, and how much of it the controller has room for.
//!
//! Invariant: against a controller that grants credit, at most one batch goes beyond it.

use crate::limits::{HISTORY_SAID_EVERY, REPLAY_BURST, REPLAY_PAUSE};
use fleetlight_protocol::HISTORY_BY_CREDIT;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Shared by the lane that sends history and the control stream, which takes credit and says how much is left.
#[derive(Debug)]
pub(super) struct History {
    /// Whether this controller grants credit.
    by_credit: bool,
    /// Rows that may still go; what the last batch was larger than that is owed.
    credit: watch::Sender<i64>,
    /// Batches that are yet to be sent.
    left: watch::Sender<u64>,
    /// What was last said of that, and when.
    said: Mutex<(u64, Option<Instant>)>,
}

impl History {
    pub fn new(version: u16) -> Self {
        Self {
            by_credit: version >= HISTORY_BY_CREDIT,
            credit: watch::Sender::new(0),
            left: watch::Sender::new(0),
            said: Mutex::default(),
        }
    }

    /// Whether the past's facts may come as replay.
    pub fn takes_facts(&self) -> bool {
        self.by_credit
    }

    pub fn grant(&self, rows: u64) {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        self.credit.send_modify(|credit| *credit = credit.saturating_add(rows));
    }

    /// Waits until the `count`th batch may go.
    pub async fn room(&self, count: usize) {
        if self.by_credit {
            // An error would mean that the sender is gone, and it is `self`.
            let _ = self.credit.subscribe().wait_for(|credit| *credit > 0).await;
        } else if count > 0 && count.is_multiple_of(REPLAY_BURST) {
            sleep(REPLAY_PAUSE).await;
        }
    }

    /// A batch has gone that counts for so many rows.
    pub fn sent(&self, rows: u64) {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        self.credit.send_modify(|credit| *credit = credit.saturating_sub(rows));
        self.left.send_modify(|left| *left = left.saturating_sub(1));
    }

    pub fn is_left(&self, batches: u64) {
        self.left.send_replace(batches);
    }

    /// Waits until it is time to say how many batches are left, and how many that is.
    pub async fn news(&self) -> u64 {
        if !self.by_credit {
            return std::future::pending().await;
        }
        let mut left = self.left.subscribe();
        loop {
            let now = *left.borrow_and_update();
            let (said, at) = *self.said();
            let waits = at.filter(|_| now > 0).map(|at| at + HISTORY_SAID_EVERY);
            let due = now != said && waits.is_none_or(|until| until <= Instant::now());
            if due {
                *self.said() = (now, Some(Instant::now()));
                return now;
            }
            let later = waits.filter(|_| now != said);
            tokio::select! {
                _ = left.changed() => {}
                () = sleep_until(later.unwrap_or_else(Instant::now)), if later.is_some() => {}
            }
        }
    }

    fn said(&self) -> MutexGuard<'_, (u64, Option<Instant>)> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_without_credit_and_what_was_overdrawn_is_owed() {
        let history = History::new(HISTORY_BY_CREDIT);
        assert!(timeout(HISTORY_SAID_EVERY, history.room(0)).await.is_err());
        history.grant(10);
        assert!(timeout(MOMENT, history.room(0)).await.is_ok());
        history.sent(100);
        history.grant(90);
        assert!(timeout(HISTORY_SAID_EVERY, history.room(1)).await.is_err());
        history.grant(1);
        assert!(timeout(MOMENT, history.room(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_controller_gets_history_at_a_fixed_rate() {
        let history = History::new(HISTORY_BY_CREDIT - 1);
        let began = Instant::now();
        for count in 0..=10 * REPLAY_BURST {
            history.room(count).await;
        }
        assert_eq!(began.elapsed(), REPLAY_PAUSE * 10);
        history.is_left(9);
        assert!(timeout(HISTORY_SAID_EVERY * 9, history.news()).await.is_err(), "it would not understand");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_said_now_and_then_and_its_end_at_once() {
        let history = History::new(HISTORY_BY_CREDIT);
        assert!(timeout(HISTORY_SAID_EVERY * 9, history.news()).await.is_err(), "there is none");
        history.is_left(9);
        assert_eq!(timeout(MOMENT, history.news()).await, Ok(9));
        history.sent(1);
        assert!(timeout(HISTORY_SAID_EVERY - 2 * MOMENT, history.news()).await.is_err());
        assert_eq!(timeout(HISTORY_SAID_EVERY, history.news()).await, Ok(8));
        history.is_left(0);
        assert_eq!(timeout(MOMENT, history.news()).await, Ok(0));
        assert!(timeout(HISTORY_SAID_EVERY * 9, history.news()).await.is_err());
    }
}
