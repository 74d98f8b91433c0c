//! Seeded choices: the same seed chooses the same faults in the same order. When they meet the processes is the
//! machine's doing.

use fleetlight_agent::random;
use std::time::Duration;

/// One loop's choices.
#[derive(Debug, Clone)]
pub struct Random(random::Random);

impl Random {
    /// Loops of the same seed draw from streams of their own.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(random::Random(random::Random(seed).draw() ^ random::Random(!stream).draw()))
    }

    /// From `least` to `most`, both included.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.draw() % (most - least + 1)
    }

    pub fn ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.within(least, most))
    }

    /// One of every so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.within(1, times) == 1
    }
}

/// Gives each of `all` once in an order of its own, then again in another.
#[derive(Debug)]
pub struct Rounds<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Copy> Rounds<T> {
    pub fn new(all: &[T]) -> Self {
        Self { all: all.to_vec(), left: Vec::new() }
    }

    pub fn next(&mut self, random: &mut Random) -> T {
        if self.left.is_empty() {
            self.left = self.all.clone();
        }
        let at = random.within(0, self.left.len() as u64 - 1) as usize;
        self.left.swap_remove(at)
    }
}
