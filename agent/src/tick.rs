//! The grid of ticks that all collectors of a host share.
//!
//! A tick's time stamp is a multiple of the interval; the work begins a fixed phase after it, which
//! differs from host to host, so that a thousand hosts do not report in the same millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A clock that was set back by at most so many intervals is waited for.
const SMALL_STEPS: i64 = 2;

/// One tick of one collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Grid time, milliseconds since the Unix epoch; a multiple of the interval.
    pub at_ms: i64,
    /// When the work was due.
    pub due: Instant,
}

/// Yields the ticks of one interval. Ticks that passed while the collector was busy are counted
/// and skipped, never made up for.
#[derive(Debug)]
pub struct Ticks {
    interval: Duration,
    phase: Duration,
    last_ms: Option<i64>,
    wall: fn() -> i64,
}

/// Milliseconds since the Unix epoch, by the host's clock.
#[must_use]
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

impl Ticks {
    /// Ticks every `interval`, `phase` (taken modulo the interval) after the grid.
    #[must_use]
    pub fn new(interval: Duration, phase: Duration) -> Self {
        let phase = Duration::from_millis(phase.as_millis() as u64 % interval.as_millis().max(1) as u64);
        Self { interval, phase, last_ms: None, wall: wall_ms }
    }

    /// Waits for the next tick; also says how many were skipped since the one before.
    pub async fn next(&mut self) -> (Tick, u64) {
        let step = self.interval.as_millis() as i64;
        let phase = self.phase.as_millis() as i64;
        let now_ms = (self.wall)();
        let mut at_ms = (now_ms - phase).div_euclid(step) * step;
        at_ms += match self.last_ms {
            None => step,
            // The clock may have been set back by a little: no tick is given twice. Set back by more,
            // the grid goes on from there.
            Some(last) if at_ms <= last && last - at_ms <= SMALL_STEPS * step => last + step - at_ms,
            Some(_) => 0,
        };
        let due = Instant::now() + Duration::from_millis((at_ms + phase - now_ms).max(0) as u64);
        tokio::time::sleep_until(due).await;
        let skipped = self.last_ms.map_or(0, |last| ((at_ms - last) / step - 1).max(0) as u64);
        self.last_ms = Some(at_ms);
        (Tick { at_ms, due }, skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn ticks_lie_on_the_grid_and_none_is_given_twice() {
        static NOW: AtomicI64 = AtomicI64::new(10_000_400);
        let mut ticks = Ticks::new(SECOND, Duration::from_millis(1_250));
        ticks.wall = || NOW.load(Ordering::Relaxed);
        let began = Instant::now();
        let (first, _) = ticks.next().await;
        assert_eq!(first.at_ms, 10_001_000, "the grid");
        assert_eq!(began.elapsed().as_millis(), 850, "a quarter second after it");

        NOW.store(10_001_250, Ordering::Relaxed);
        assert_eq!(ticks.next().await.0.at_ms, 10_002_000);

        // Set back by less than a tick, and by more than one.
        for behind in [10_001_900, 10_002_100] {
            NOW.store(behind, Ordering::Relaxed);
            let (tick, skipped) = ticks.next().await;
            assert_eq!(skipped, 0);
            assert!(tick.at_ms > 10_002_000, "{} was given already", tick.at_ms);
        }

        // Busy for three seconds: two ticks are counted and not made up for.
        NOW.store(10_007_300, Ordering::Relaxed);
        advance(SECOND).await;
        assert_eq!(ticks.next().await, (Tick { at_ms: 10_007_000, due: Instant::now() }, 2));

        // Set back by an hour: the grid goes on from there.
        NOW.store(6_400_000, Ordering::Relaxed);
        assert_eq!(ticks.next().await.0.at_ms, 6_399_000);
    }
}
