//! How fast one host may send. Beyond it its streams are not read: QUIC's flow control holds the agent back,
//! nothing of it is lost, and nobody else waits.
//!
//! Kept by host and not by session, so that connecting anew gains nothing.

use crate::limits::{
    FACT_BYTES_BURST, FACT_BYTES_PER_SECOND, FRAME_COST_BYTES, FRAME_COST_VALUES, LIVE_VALUES_BURST,
    LIVE_VALUES_PER_SECOND, REPLAY_VALUES_BURST, REPLAY_VALUES_PER_SECOND,
};
use fleetlight_protocol::uplink::Class;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// All hosts that connected since the start: as many as are enrolled.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<i32, Arc<Pace>>>);

/// One host's, for each class: history holds up neither the present nor a death.
#[derive(Debug)]
pub struct Pace {
    facts: Bucket,
    live: Bucket,
    replay: Bucket,
    past_facts: Bucket,
}

/// So much at once, and so much a second.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: Duration,
    /// When it will be full again.
    full_at: Mutex<Instant>,
}

impl Paces {
    pub fn of(&self, host_id: i32) -> Arc<Pace> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(host_id).or_default())
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            facts: Bucket::new(FACT_BYTES_PER_SECOND, FACT_BYTES_BURST),
            live: Bucket::new(LIVE_VALUES_PER_SECOND, LIVE_VALUES_BURST),
            replay: Bucket::new(REPLAY_VALUES_PER_SECOND, REPLAY_VALUES_BURST),
            past_facts: Bucket::new(FACT_BYTES_PER_SECOND, FACT_BYTES_BURST),
        }
    }
}

impl Pace {
    /// Waits until a frame of `bytes` with `values` may go on; whether it had to wait.
    pub async fn wait(&self, class: Class, values: usize, bytes: usize) -> bool {
        match class {
            Class::Facts => self.facts.take(bytes.max(FRAME_COST_BYTES)).await,
            Class::Live => self.live.take(values.max(FRAME_COST_VALUES)).await,
            Class::Replay if values == 0 => self.past_facts.take(bytes.max(FRAME_COST_BYTES)).await,
            Class::Replay => self.replay.take(values.max(FRAME_COST_VALUES)).await,
        }
    }
}

impl Bucket {
    fn new(per_second: u32, burst: u32) -> Self {
        let per_second = f64::from(per_second);
        let burst = Duration::from_secs_f64(f64::from(burst) / per_second);
        Self { per_second, burst, full_at: Mutex::new(Instant::now()) }
    }

    /// Takes `amount` once there is any: it is then owed, so that no frame is too large to go on at all.
    async fn take(&self, amount: usize) -> bool {
        let mut waited = false;
        while let Some(free_at) = self.try_take(amount) {
            waited = true;
            sleep_until(free_at).await;
        }
        waited
    }

    /// Takes it, or says when to try again.
    fn try_take(&self, amount: usize) -> Option<Instant> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let from = (*full_at).max(now);
        if from > now + self.burst {
            return Some(from - self.burst);
        }
        *full_at = from + Duration::from_secs_f64(amount as f64 / self.per_second);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn what_comes_faster_than_allowed_waits_and_classes_do_not_wait_for_each_other() {
        let paces = Paces::default();
        let began = Instant::now();
        let mut waited = 0;
        for _ in 0..100 {
            waited += u32::from(paces.of(1).wait(Class::Replay, REPLAY_VALUES_PER_SECOND as usize, 0).await);
        }
        let spared = u64::from(REPLAY_VALUES_BURST / REPLAY_VALUES_PER_SECOND);
        let took = began.elapsed().as_secs();
        assert!((99 - spared - 1..=100 - spared).contains(&took), "{took} s");
        assert!(waited > 0);
        let now = Instant::now();
        assert!(!paces.of(1).wait(Class::Live, 1_000, 0).await && !paces.of(1).wait(Class::Facts, 0, 1_000).await);
        assert!(!paces.of(2).wait(Class::Replay, 1_000, 0).await, "another host has a pace of its own");
        assert_eq!(Instant::now(), now);
    }

    #[tokio::test(start_paused = true)]
    async fn a_nights_facts_hold_up_no_death() {
        let pace = Pace::default();
        for _ in 0..=1 {
            assert!(!pace.wait(Class::Replay, 0, FACT_BYTES_BURST as usize).await);
        }
        assert!(!pace.wait(Class::Facts, 0, 1_000).await);
        assert!(pace.wait(Class::Replay, 0, 1_000).await);
    }

    #[tokio::test(start_paused = true)]
    async fn empty_frames_without_end_are_held_back_too() {
        let pace = Pace::default();
        let free = LIVE_VALUES_BURST as usize / FRAME_COST_VALUES;
        for _ in 0..=free {
            assert!(!pace.wait(Class::Live, 0, 0).await);
        }
        assert!(pace.wait(Class::Live, 0, 0).await);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_waiting_owes_nothing() {
        let pace = Pace::default();
        let flood = 60 * LIVE_VALUES_PER_SECOND as usize;
        pace.wait(Class::Live, flood, 0).await;
        for _ in 0..1_000 {
            assert!(timeout(Duration::from_millis(1), pace.wait(Class::Live, flood, 0)).await.is_err());
        }
        assert!(timeout(Duration::from_secs(60), pace.wait(Class::Live, 1, 0)).await.expect("soon"));
    }
}
