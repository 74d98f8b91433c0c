//! How fast one person may ask: a bucket each, in memory.

use crate::limits::{COMMAND_ASKERS, COMMANDS_AT_ONCE, COMMANDS_PER_SECOND};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<String, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn at(self, now: Instant) -> Self {
        let more = now.saturating_duration_since(self.at).as_secs_f64() * COMMANDS_PER_SECOND;
        Self { left: (self.left + more).min(COMMANDS_AT_ONCE), at: now }
    }
}

impl Rates {
    /// Takes one from the bucket of `name`, or says how long to wait for it.
    ///
    /// # Errors
    /// The wait.
    pub fn take(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= COMMAND_ASKERS {
            // Whoever has a full bucket need not be remembered.
            buckets.retain(|_, bucket| bucket.at(now).left < COMMANDS_AT_ONCE);
        }
        if buckets.len() >= COMMAND_ASKERS && !buckets.contains_key(name) {
            return Err(Duration::from_secs(1));
        }
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket { left: COMMANDS_AT_ONCE, at: now });
        *bucket = bucket.at(now);
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / COMMANDS_PER_SECOND));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_a_steady_stream_for_each_alone() {
        let (rates, now) = (Rates::default(), Instant::now());
        for _ in 0..COMMANDS_AT_ONCE as u32 {
            assert_eq!(rates.take("admin", now), Ok(()));
        }
        let wait = rates.take("admin", now).expect_err("empty");
        assert_eq!(rates.take("other", now), Ok(()));
        assert_eq!(rates.take("admin", now + wait), Ok(()));
        assert!(rates.take("admin", now + wait).is_err());
    }
}
