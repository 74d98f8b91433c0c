//! Pauses between dials: jittered, doubling, capped; the only place that knows them.

use crate::limits::{BACKOFF_CAP, BACKOFF_CAP_LATER, BACKOFF_FIRST, BACKOFF_PATIENCE};
use crate::random::Random;
use std::time::Duration;
use tokio::time::Instant;

/// The pauses of one outage.
#[derive(Debug)]
pub(super) struct Backoff {
    random: Random,
    failures: u32,
    began: Option<Instant>,
}

impl Backoff {
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), failures: 0, began: None }
    }

    /// The outage is over.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.began = None;
    }

    /// The pause before the next dial: half of it certain, half by chance, so that a fleet that lost
    /// its controller at one moment does not come back at one moment.
    pub fn next(&mut self) -> Duration {
        let began = *self.began.get_or_insert_with(Instant::now);
        let cap = if began.elapsed() < BACKOFF_PATIENCE { BACKOFF_CAP } else { BACKOFF_CAP_LATER };
        let full = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(cap);
        self.failures += 1;
        self.jittered(full)
    }

    /// Between half of `full` and all of it.
    pub fn jittered(&mut self, full: Duration) -> Duration {
        full.mul_f64(0.5 + 0.5 * self.random.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_to_two_seconds_and_after_ten_minutes_to_sixty() {
        let mut backoff = Backoff::new(1);
        let (mut least, mut waited) = (BACKOFF_FIRST, Duration::ZERO);
        while waited < BACKOFF_PATIENCE {
            let pause = backoff.next();
            assert!(pause >= least / 2 && pause <= least, "{pause:?} is not within {least:?}");
            tokio::time::advance(pause).await;
            waited += pause;
            least = (least * 2).min(BACKOFF_CAP);
        }
        let later = backoff.next();
        assert!(later >= BACKOFF_CAP_LATER / 2 && later <= BACKOFF_CAP_LATER, "{later:?}");
        backoff.reset();
        assert!(backoff.next() <= BACKOFF_FIRST);
    }
}
