//! Sets of sequence numbers as closed intervals: what the ledger and the spool reckon with.
//!
//! Invariant: intervals ascend and neither overlap nor touch, so that equal sets are equal values.

use std::fmt::Write as _;

/// The largest number that an `int8multirange` can hold: its upper bounds are exclusive.
pub const SEQ_MAX: u64 = i64::MAX as u64 - 1;

/// A set of numbers up to [`SEQ_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntervalSet(Vec<(u64, u64)>);

impl IntervalSet {
    /// Adds `first..=last`. Numbers above [`SEQ_MAX`] cannot be held and are left out.
    pub fn insert(&mut self, first: u64, last: u64) {
        let last = last.min(SEQ_MAX);
        if first > last {
            return;
        }
        // What overlaps or touches the new interval becomes part of it.
        let (from, to) = self.neighbours(first, last);
        let joined = match self.0.get(from..to) {
            Some([one, .., other]) => (first.min(one.0), last.max(other.1)),
            Some([one]) => (first.min(one.0), last.max(one.1)),
            _ => (first, last),
        };
        self.0.splice(from..to, [joined]);
    }

    /// Adds `first..=last` unless that would make more than `most` intervals: a full set still grows
    /// at its edges, which is how its gaps close. Whether all of it is in the set now.
    #[must_use]
    pub fn insert_within(&mut self, first: u64, last: u64, most: usize) -> bool {
        if first > last || last > SEQ_MAX {
            return false;
        }
        let (from, to) = self.neighbours(first, last);
        let fits = from < to || self.0.len() < most;
        if fits {
            self.insert(first, last);
        }
        fits
    }

    /// How many numbers of `first..=last` are not in the set.
    #[must_use]
    pub fn missing(&self, first: u64, last: u64) -> u64 {
        let (from, to) = self.neighbours(first, last);
        let held = |&(begin, end): &(u64, u64)| (end.min(last) + 1).saturating_sub(begin.max(first));
        let held: u64 = self.0.get(from..to).unwrap_or_default().iter().map(held).sum();
        (last - first + 1).saturating_sub(held)
    }

    /// The intervals that overlap or touch `first..=last`, as a range of places.
    fn neighbours(&self, first: u64, last: u64) -> (usize, usize) {
        let from = self.0.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = self.0.partition_point(|(begin, _)| *begin <= last.saturating_add(1));
        (from, to)
    }

    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.missing(number, number) == 0
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|(first, last)| self.insert(*first, *last));
    }

    /// Takes `first..=last` out.
    pub fn remove(&mut self, first: u64, last: u64) {
        let mut gone = Self::default();
        gone.insert(first, last);
        self.subtract(&gone);
    }

    /// Takes all of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        let mut left = Vec::new();
        for &(first, last) in &self.0 {
            let mut from = first;
            while from <= last {
                let (covered, end) = other.next_in(from).unwrap_or((u64::MAX, u64::MAX));
                if covered > from {
                    left.push((from, last.min(covered - 1)));
                }
                from = end.saturating_add(1);
                if covered > last {
                    break;
                }
            }
        }
        self.0 = left;
    }

    /// The smallest number from `from` on that is in the set, and the end of its interval.
    #[must_use]
    pub fn next_in(&self, from: u64) -> Option<(u64, u64)> {
        let at = self.0.partition_point(|(_, end)| *end < from);
        self.0.get(at).map(|(begin, end)| ((*begin).max(from), *end))
    }

    /// The smallest number from `from` on that is in the set and not in `other`.
    #[must_use]
    pub fn next_without(&self, other: &Self, mut from: u64) -> Option<u64> {
        loop {
            let (number, _) = self.next_in(from)?;
            match other.next_in(number) {
                Some((covered, end)) if covered == number => from = end + 1,
                _ => return Some(number),
            }
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers, not how many intervals.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// How many intervals, not how many numbers.
    #[must_use]
    pub fn intervals(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// As Postgres writes an `int8multirange`: `{[1,4),[7,8)}`.
    #[must_use]
    pub fn to_multirange(&self) -> String {
        let mut text = String::from("{");
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, "{comma}[{first},{})", last + 1);
        }
        text.push('}');
        text
    }

    /// The inverse of [`IntervalSet::to_multirange`]; none for text in any other form.
    #[must_use]
    pub fn from_multirange(text: &str) -> Option<Self> {
        let inside = text.strip_prefix('{')?.strip_suffix('}')?;
        let mut set = Self::default();
        for range in inside.split_inclusive(')').map(|range| range.trim_start_matches(',')) {
            let (first, end) = range.strip_prefix('[')?.strip_suffix(')')?.split_once(',')?;
            set.insert(first.parse().ok()?, end.parse::<u64>().ok()?.checked_sub(1)?);
        }
        Some(set)
    }
}

#[cfg(test)]
#[path = "intervals_tests.rs"]
mod tests;
