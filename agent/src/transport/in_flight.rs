//! What one connection has sent and the controller has not acknowledged.

use crate::limits::{IN_FLIGHT, IN_FLIGHT_REPLAY};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// Shared by the lanes, which add, and the control stream, which takes away.
#[derive(Debug, Default)]
pub(super) struct InFlight(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    /// Epoch and first → last; a batch is its own interval.
    sent: BTreeMap<(Uuid, u64), u64>,
    /// Since when an ack has been awaited: the last one, or the first batch after a calm.
    waiting_since: Option<Instant>,
    any_acked: bool,
    /// Sendings so far.
    count: u64,
}

impl InFlight {
    /// Waits until another batch may be sent, of the past or of the present.
    pub async fn room(&self, is_past: bool) {
        let most = if is_past { IN_FLIGHT_REPLAY } else { IN_FLIGHT };
        // An error would mean that the sender is gone, and it is `self`.
        let _ = self.0.subscribe().wait_for(|state| state.sent.len() < most).await;
    }

    pub fn sent(&self, epoch: Uuid, first: u64, last: u64) {
        self.0.send_modify(|state| {
            state.sent.insert((epoch, first), last);
            state.count += 1;
            state.waiting_since.get_or_insert_with(Instant::now);
        });
    }

    pub fn acked(&self, epoch: Uuid, first: u64, last: u64) {
        if first > last {
            return;
        }
        self.0.send_modify(|state| {
            let within = state.sent.range((epoch, first)..=(epoch, last));
            let within: Vec<_> = within.filter(|(_, to)| **to <= last).map(|(from, _)| *from).collect();
            for from in within {
                state.sent.remove(&from);
            }
            state.waiting_since = (!state.sent.is_empty()).then(Instant::now);
            state.any_acked = true;
        });
    }

    /// Whether the controller has acknowledged anything on this connection.
    pub fn any_acked(&self) -> bool {
        self.0.borrow().any_acked
    }

    /// Waits until acks have been missing for `wait`.
    pub async fn stalled(&self, wait: Duration) {
        let mut state = self.0.subscribe();
        loop {
            let awaited = state.wait_for(|state| state.waiting_since.is_some()).await;
            let Some(since) = awaited.ok().and_then(|state| state.waiting_since) else {
                return std::future::pending().await;
            };
            let news = async { state.wait_for(|state| state.waiting_since != Some(since)).await.map(drop) };
            tokio::select! {
                biased;
                _ = news => {}
                () = sleep_until(since + wait) => return,
            }
        }
    }

    /// Waits until something more is sent.
    pub async fn sending(&self) {
        let mut state = self.0.subscribe();
        let count = state.borrow().count;
        let _ = state.wait_for(|state| state.count != count).await;
    }

    /// Waits until everything that was sent is acknowledged.
    pub async fn empty(&self) {
        let _ = self.0.subscribe().wait_for(|state| state.sent.is_empty()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const EPOCH: Uuid = Uuid::nil();
    const WAIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn stalled_means_no_ack_while_one_is_awaited() {
        let in_flight = InFlight::default();
        assert!(timeout(WAIT * 2, in_flight.stalled(WAIT)).await.is_err(), "nothing was sent");
        in_flight.sent(EPOCH, 1, 1);
        in_flight.sent(EPOCH, 2, 2);
        tokio::time::advance(WAIT / 2).await;
        in_flight.acked(EPOCH, 1, 1);
        assert!(timeout(WAIT - Duration::from_secs(1), in_flight.stalled(WAIT)).await.is_err(), "an ack came");
        assert!(timeout(Duration::from_secs(2), in_flight.stalled(WAIT)).await.is_ok());
        in_flight.acked(EPOCH, 2, 2);
        assert!(timeout(WAIT * 2, in_flight.stalled(WAIT)).await.is_err(), "all is acknowledged");
        assert!(timeout(WAIT, in_flight.empty()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_window_waits_for_an_ack() {
        let in_flight = InFlight::default();
        (1..=IN_FLIGHT as u64).for_each(|seq| in_flight.sent(EPOCH, seq, seq));
        assert!(timeout(WAIT, in_flight.room(false)).await.is_err());
        in_flight.acked(EPOCH, 5, 9);
        assert!(timeout(WAIT, in_flight.room(false)).await.is_ok());
    }

    #[test]
    fn an_interval_goes_only_as_a_whole() {
        let in_flight = InFlight::default();
        in_flight.sent(EPOCH, 3, 8);
        in_flight.acked(EPOCH, 3, 7);
        assert_eq!(in_flight.0.borrow().sent.len(), 1);
        in_flight.acked(EPOCH, 1, 8);
        assert!(in_flight.0.borrow().sent.is_empty() && in_flight.any_acked());
    }
}
