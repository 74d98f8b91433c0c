//! Whether the controller's clock is good enough to drop data by.
//!
//! A clock that runs years ahead, until the network has set it right, would close hours that are yet to come, and
//! have everything dropped as too old. Neither can be undone. So both wait until a host's clock has agreed, and
//! wait again when the controller's has leapt ahead since.

use crate::limits::CLOCK_AGREES;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ClockCheck(Arc<Mutex<Option<Agreed>>>);

/// When a host last agreed, by both of the controller's clocks.
#[derive(Debug)]
struct Agreed {
    at: Instant,
    wall_ms: i64,
}

impl ClockCheck {
    /// A tick that a host took just now has arrived.
    pub fn heard(&self, tick_ms: i64, received_ms: i64) {
        if u128::from(tick_ms.abs_diff(received_ms)) <= CLOCK_AGREES.as_millis() {
            *self.lock() = Some(Agreed { at: Instant::now(), wall_ms: received_ms });
        }
    }

    /// Whether this is the time by what has been heard.
    pub fn believes(&self, now_ms: i64) -> bool {
        self.lock().as_ref().is_some_and(|agreed| {
            let longest = agreed.at.elapsed() + CLOCK_AGREES;
            i128::from(now_ms) - i128::from(agreed.wall_ms) <= longest.as_millis() as i128
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Agreed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    const NOW_MS: i64 = 1_763_715_600_000;
    const DAY_MS: i64 = 86_400_000;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_dropped_by_a_clock_that_no_host_agrees_with() {
        let check = ClockCheck::default();
        assert!(!check.believes(NOW_MS), "nobody was heard");
        check.heard(NOW_MS - 3_650 * DAY_MS, NOW_MS);
        assert!(!check.believes(NOW_MS), "ours is ten years ahead, or theirs behind");
        check.heard(NOW_MS - 5_000, NOW_MS);
        assert!(check.believes(NOW_MS));
        assert!(!check.believes(NOW_MS + 3_650 * DAY_MS), "it leapt");
        check.heard(i64::MIN, i64::MAX);
        advance(Duration::from_millis(DAY_MS as u64)).await;
        assert!(check.believes(NOW_MS + DAY_MS), "all hosts may be away for long");
    }
}
