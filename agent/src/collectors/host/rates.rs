//! Counters into rates: what was read before, and when.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Shorter spans say more about the scheduler than about the counter.
const SHORTEST: Duration = Duration::from_millis(50);

/// The counters of the previous read, by the entity's name.
///
/// An entity that a read does not name is forgotten: when it returns, its counters began anew.
#[derive(Debug)]
pub struct Previous<C> {
    counters: HashMap<String, (C, u64)>,
    round: u64,
    at: Option<Instant>,
}

impl<C> Default for Previous<C> {
    fn default() -> Self {
        Self { counters: HashMap::new(), round: 0, at: None }
    }
}

impl<C: Copy> Previous<C> {
    /// Begins a read; gives the seconds since the one before, if rates can be made from it.
    pub fn begin(&mut self, now: Instant) -> Option<f64> {
        self.round += 1;
        seconds_between(self.at.replace(now)?, now)
    }

    /// Keeps the counters of `name` and gives those of the read before.
    pub fn replace(&mut self, name: &str, now: C) -> Option<C> {
        match self.counters.get_mut(name) {
            Some((kept, round)) => {
                *round = self.round;
                Some(std::mem::replace(kept, now))
            }
            None => {
                self.counters.insert(name.to_owned(), (now, self.round));
                None
            }
        }
    }

    /// Ends a read: forgets what it did not name.
    pub fn end(&mut self) {
        let current = self.round;
        self.counters.retain(|_, (_, round)| *round == current);
    }
}

/// Seconds from one reading to the next; none if they are too close.
pub fn seconds_between(before: Instant, now: Instant) -> Option<f64> {
    let span = now.saturating_duration_since(before);
    (span >= SHORTEST).then_some(span.as_secs_f64())
}

/// Growth per second; none if the counter went backwards, since then it was reset or has wrapped.
pub fn rate(now: u64, before: u64, seconds: f64) -> Option<f64> {
    Some(now.checked_sub(before)? as f64 / seconds)
}

/// Share of the elapsed time, 0–100, of a counter that counts time in `per_second`ths of a second.
pub fn time_share(now: u64, before: u64, per_second: f64, seconds: f64) -> Option<f64> {
    // The kernel books a span when it ends, so that a short read may see more than has elapsed.
    Some((rate(now, before, seconds)? / per_second * 100.0).min(100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_goes_backwards_has_no_rate() {
        assert_eq!(rate(150, 100, 5.0), Some(10.0));
        assert_eq!(rate(99, 100, 5.0), None);
        assert_eq!(time_share(2_500, 0, 1_000.0, 5.0), Some(50.0));
        assert_eq!(time_share(6_000, 0, 1_000.0, 5.0), Some(100.0));
    }

    #[test]
    fn an_entity_that_was_away_begins_anew() {
        let mut previous = Previous::default();
        let start = Instant::now();
        for (tick, present, expected) in [(0, true, None), (5, true, Some(7)), (10, false, None), (15, true, None)] {
            let seconds = previous.begin(start + Duration::from_secs(tick));
            assert_eq!(seconds, (tick > 0).then_some(5.0));
            let before = present.then(|| previous.replace("eth0", 7)).flatten();
            assert_eq!(before, expected, "at {tick} s");
            previous.end();
        }
    }

    #[test]
    fn readings_in_the_same_moment_make_no_rate() {
        let mut previous = Previous::<u64>::default();
        let now = Instant::now();
        assert_eq!(previous.begin(now), None);
        assert_eq!(previous.begin(now), None);
    }
}
