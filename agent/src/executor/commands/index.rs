//! What the journal's file holds, in memory: enough to know a command again, and what may give way.

use super::journal::{Asked, Entry};
use crate::limits::{COMMAND_LEFT, JOURNAL_AGE, JOURNAL_BYTES, JOURNAL_ENTRIES};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

#[derive(Debug)]
pub(super) struct Index {
    /// Of what was asked for before, something may have been forgotten.
    pub since_ms: i64,
    known: HashMap<Uuid, Known>,
    /// The oldest first.
    by_age: BTreeSet<(i64, Uuid)>,
    /// Results by their number, which rises as they come and holds for this process.
    unsettled: BTreeMap<u64, Uuid>,
    newest: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    asked: Asked,
    bytes: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Accepted,
    Unsettled(u64),
    Settled,
}

impl Known {
    pub fn is_unsettled(self) -> bool {
        matches!(self.state, State::Unsettled(_))
    }

    pub fn has_ended(self) -> bool {
        self.state != State::Accepted
    }

    /// Whether it can give way: nobody waits for it, and it cannot be asked for again.
    fn may_go(self, now_ms: i64) -> bool {
        self.state == State::Settled && self.asked.until_ms < now_ms
    }
}

impl Index {
    /// Numbers go on after `newest`, so that who has heard of results up to there hears of all of these.
    pub fn new(since_ms: i64, newest: u64) -> Self {
        Self { since_ms, known: HashMap::new(), by_age: BTreeSet::new(), unsettled: BTreeMap::new(), newest, bytes: 0 }
    }

    pub fn get(&self, id: Uuid) -> Option<Known> {
        self.known.get(&id).copied()
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    pub fn unsettled(&self, after: u64) -> Option<(u64, Uuid)> {
        self.unsettled.range(after + 1..).next().map(|(number, id)| (*number, *id))
    }

    /// What gives way to `bytes` of this command, and since when everything is known then; none: nothing may go. One that
    /// is known already has its room.
    pub fn room(&self, id: Uuid, bytes: u64, now_ms: i64) -> Option<(Vec<Uuid>, i64)> {
        let (mut leaving, mut since_ms) = (Vec::new(), self.since_ms);
        if self.known.contains_key(&id) {
            return Some((leaving, since_ms));
        }
        let (mut entries, mut total) = (self.known.len() + 1, self.bytes + bytes);
        for (asked_ms, old) in &self.by_age {
            let is_aged = now_ms.saturating_sub(*asked_ms) > JOURNAL_AGE.as_millis() as i64;
            let is_full = entries > JOURNAL_ENTRIES || total > JOURNAL_BYTES;
            if !is_aged && !is_full {
                break;
            }
            let Some(known) = self.get(*old).filter(|known| known.may_go(now_ms)) else { continue };
            leaving.push(*old);
            since_ms = since_ms.max(asked_ms.saturating_add(1));
            entries -= 1;
            total -= known.bytes;
        }
        (entries <= JOURNAL_ENTRIES && total <= JOURNAL_BYTES).then_some((leaving, since_ms))
    }

    pub fn insert(&mut self, id: Uuid, entry: &Entry, bytes: u64, settled: bool) {
        let (asked, state) = match entry {
            Entry::Accepted { asked, .. } => (*asked, State::Accepted),
            Entry::Ended { asked, .. } if settled => (*asked, State::Settled),
            Entry::Ended { asked, .. } => (*asked, State::Unsettled(self.newest + 1)),
        };
        self.add(id, Known { asked, bytes, state });
    }

    /// One that a newer version has written, or that is damaged. When it was asked for is not known: it stays until it
    /// surely cannot be asked for again.
    pub fn insert_unreadable(&mut self, id: Uuid, bytes: u64, now_ms: i64) {
        let asked = Asked { asked_ms: now_ms, until_ms: now_ms.saturating_add(COMMAND_LEFT.as_millis() as i64) };
        self.add(id, Known { asked, bytes, state: State::Settled });
    }

    fn add(&mut self, id: Uuid, known: Known) {
        self.forget(id);
        self.by_age.insert((known.asked.asked_ms, id));
        self.bytes += known.bytes;
        if let State::Unsettled(number) = known.state {
            self.newest = number;
            self.unsettled.insert(number, id);
        }
        self.known.insert(id, known);
    }

    pub fn settle(&mut self, id: Uuid) {
        let Some(known) = self.known.get_mut(&id) else { return };
        if let State::Unsettled(number) = known.state {
            known.state = State::Settled;
            self.unsettled.remove(&number);
        }
    }

    pub fn forget(&mut self, id: Uuid) {
        let Some(known) = self.known.remove(&id) else { return };
        self.by_age.remove(&(known.asked.asked_ms, id));
        self.bytes -= known.bytes;
        if let State::Unsettled(number) = known.state {
            self.unsettled.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    fn with(entries: &[(u128, i64, i64, State)]) -> Index {
        let mut index = Index::new(0, 0);
        for (id, asked_ms, until_ms, state) in entries {
            let asked = Asked { asked_ms: *asked_ms, until_ms: *until_ms };
            index.add(Uuid::from_u128(*id), Known { asked, bytes: 1, state: *state });
        }
        index
    }

    #[test]
    fn what_is_old_and_settled_gives_way_and_the_rest_stays() {
        let index = with(&[
            (1, 0, 60_000, State::Settled),
            (2, 1, 60_000, State::Unsettled(1)),
            (3, 2, 60_000, State::Accepted),
            (4, 3, 40 * DAY_MS, State::Settled),
            (5, 39 * DAY_MS, 39 * DAY_MS, State::Settled),
        ]);
        let (leaving, since_ms) = index.room(Uuid::from_u128(9), 1, 39 * DAY_MS).expect("room");
        assert_eq!((leaving, since_ms), (vec![Uuid::from_u128(1)], 1));
    }

    #[test]
    fn what_cannot_be_read_stays_while_it_could_be_asked_for_again() {
        let mut index = Index::new(0, 0);
        index.insert_unreadable(Uuid::from_u128(1), 1, 50 * DAY_MS);
        let (new, later_ms) = (Uuid::from_u128(2), 51 * DAY_MS);
        assert_eq!(index.room(new, 1, later_ms), Some((vec![], 0)));
        assert_eq!(index.room(new, JOURNAL_BYTES, later_ms), None, "not even for want of room");
        assert!(index.room(new, JOURNAL_BYTES, later_ms + 1).is_some());
    }

    #[test]
    fn a_full_journal_forgets_settled_ones_only_and_says_since_when_it_knows() {
        let mut index = Index::new(5, 0);
        for number in 0..JOURNAL_ENTRIES as u128 {
            let asked = Asked { asked_ms: 10 + number as i64, until_ms: 10 + number as i64 };
            index.add(Uuid::from_u128(number), Known { asked, bytes: 1, state: State::Unsettled(number as u64 + 1) });
        }
        let new = Uuid::from_u128(u128::MAX);
        assert_eq!(index.room(new, 1, DAY_MS), None, "nothing may go");
        assert_eq!(index.room(Uuid::from_u128(7), 1, DAY_MS), Some((vec![], 5)), "a known one has its room");
        index.settle(Uuid::from_u128(3));
        assert_eq!(index.room(new, 1, 12), None, "it could still be asked for");
        assert_eq!(index.room(new, 1, DAY_MS), Some((vec![Uuid::from_u128(3)], 14)));
        assert_eq!(index.room(new, JOURNAL_BYTES, DAY_MS), None);
    }
}
