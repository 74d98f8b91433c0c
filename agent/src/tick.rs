//! The grid of ticks that all collectors of a host share.
//!
//! A tick's time stamp is a multiple of the interval; the work begins a fixed phase after it, which
//! differs from host to host, so that a thousand hosts do not report in the same millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

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
        Self { interval, phase, last_ms: None }
    }

    /// Waits for the next tick; also says how many were skipped since the one before.
    pub async fn next(&mut self) -> (Tick, u64) {
        let step = self.interval.as_millis() as i64;
        let phase = self.phase.as_millis() as i64;
        let now_ms = wall_ms();
        let mut at_ms = (now_ms - phase).div_euclid(step) * step;
        if self.last_ms.is_some_and(|last| at_ms <= last && last - at_ms < step) || self.last_ms.is_none() {
            at_ms += step;
        }
        let due = Instant::now() + Duration::from_millis((at_ms + phase - now_ms).max(0) as u64);
        tokio::time::sleep_until(due).await;
        let skipped = self.last_ms.map_or(0, |last| ((at_ms - last) / step - 1).max(0) as u64);
        self.last_ms = Some(at_ms);
        (Tick { at_ms, due }, skipped)
    }
}
