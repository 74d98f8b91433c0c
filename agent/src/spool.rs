//! Batches that the controller has not acknowledged, in memory, bounded.
//!
//! Invariants, each with a test: sequence numbers rise by one and are never given twice; a batch
//! stays until it is acknowledged or forced out; when the bound is reached the oldest samples go
//! first, and facts (events, inventory) only when no sample is left; what was forced out is kept
//! as intervals until the controller has acknowledged those, so that it can tell a gap from a loss.

use crate::limits::{SPOOL_BYTES, SPOOL_GAPS};
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::Row;
use fleetlight_protocol::uplink::Class;
use std::collections::BTreeMap;
use std::ops::Bound::Excluded;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// What a batch holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// The rows of one tick.
    Samples {
        at_ms: i64,
        rows: Arc<[Row]>,
    },
    Events(Arc<[Event]>),
    Inventory(Arc<[Document]>),
}

/// A batch with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub seq: u64,
    pub payload: Payload,
}

/// What there is to send next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Batch(Batch),
    /// These numbers, first and last, were forced out.
    Evicted {
        first: u64,
        last: u64,
    },
    Nothing,
}

/// Shared between the batcher, which fills it, and the transport, which empties it.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    epoch: Uuid,
    bound: usize,
    held: Mutex<Held>,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Held {
    samples: BTreeMap<u64, Payload>,
    facts: BTreeMap<u64, Payload>,
    /// First → last.
    evicted: BTreeMap<u64, u64>,
    bytes: usize,
    evicted_batches: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self::bounded(SPOOL_BYTES)
    }
}

impl Spool {
    /// A spool that holds about `bound` bytes.
    #[must_use]
    pub fn bounded(bound: usize) -> Self {
        let head = watch::Sender::new(1);
        Self(Arc::new(Inner { epoch: Uuid::new_v4(), bound, held: Mutex::default(), head }))
    }

    /// The epoch that this spool's numbers belong to: one for each agent start.
    #[must_use]
    pub fn epoch(&self) -> Uuid {
        self.0.epoch
    }

    /// The next number to be given; changes when a batch comes in. Numbers begin at 1.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.0.head.subscribe()
    }

    /// Takes a batch in and gives it a number.
    pub fn push(&self, payload: Payload) {
        let mut held = self.lock();
        let seq = *self.0.head.borrow();
        held.bytes += cost(&payload);
        match payload {
            Payload::Samples { .. } => held.samples.insert(seq, payload),
            _ => held.facts.insert(seq, payload),
        };
        held.evict(self.0.bound);
        drop(held);
        self.0.head.send_replace(seq + 1);
    }

    /// The first batch of a lane with `after < seq < before`: samples for [`Class::Live`] and
    /// [`Class::Replay`], events, inventory and evicted intervals for [`Class::Facts`].
    #[must_use]
    pub fn next(&self, class: Class, after: u64, before: u64) -> Next {
        if before <= after.saturating_add(1) {
            return Next::Nothing;
        }
        let held = self.lock();
        let range = (Excluded(after), Excluded(before));
        if class != Class::Facts {
            return first(&held.samples, range).map_or(Next::Nothing, Next::Batch);
        }
        let evicted = held.evicted.range(range).next().map(|(first, last)| (*first, *last));
        match (first(&held.facts, range), evicted) {
            (Some(batch), Some((first, _))) if batch.seq < first => Next::Batch(batch),
            (_, Some((first, last))) => Next::Evicted { first, last },
            (Some(batch), None) => Next::Batch(batch),
            (None, None) => Next::Nothing,
        }
    }

    /// Drops `first` to `last`: the controller has them.
    pub fn acked(&self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let mut held = self.lock();
        let held = &mut *held;
        for lane in [&mut held.samples, &mut held.facts] {
            let keys: Vec<u64> = lane.range(first..=last).map(|(seq, _)| *seq).collect();
            for seq in keys {
                held.bytes -= lane.remove(&seq).map_or(0, |payload| cost(&payload));
            }
        }
        held.forget_evicted(first, last);
    }

    /// Whether a batch or an evicted interval with a number below `before` is still unacknowledged.
    #[must_use]
    pub fn holds_below(&self, before: u64) -> bool {
        let held = self.lock();
        let firsts = [held.samples.keys().next(), held.facts.keys().next(), held.evicted.keys().next()];
        firsts.into_iter().flatten().any(|seq| *seq < before)
    }

    /// Batches forced out since the start.
    #[must_use]
    pub fn evicted_batches(&self) -> u64 {
        self.lock().evicted_batches
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first(lane: &BTreeMap<u64, Payload>, range: (std::ops::Bound<u64>, std::ops::Bound<u64>)) -> Option<Batch> {
    lane.range(range).next().map(|(seq, payload)| Batch { seq: *seq, payload: payload.clone() })
}

impl Held {
    fn evict(&mut self, bound: usize) {
        while self.bytes > bound && self.samples.len() + self.facts.len() > 1 {
            let oldest = self.samples.pop_first().or_else(|| self.facts.pop_first());
            let Some((seq, payload)) = oldest else { return };
            self.bytes -= cost(&payload);
            self.evicted_batches += 1;
            self.note_evicted(seq);
        }
    }

    fn note_evicted(&mut self, seq: u64) {
        let before = self.evicted.range_mut(..seq).next_back();
        match before {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => {
                self.evicted.insert(seq, seq);
            }
        }
        if self.evicted.len() > SPOOL_GAPS {
            self.merge_gaps();
        }
    }

    /// Two neighbouring gaps with nothing held between them become one: the numbers between were
    /// acknowledged, and acknowledging them once more changes nothing. Gaps kept apart by held
    /// facts are bounded as those are.
    fn merge_gaps(&mut self) {
        let gaps: Vec<(u64, u64)> = self.evicted.iter().map(|(first, last)| (*first, *last)).collect();
        let mergeable = gaps.windows(2).find(|pair| {
            let between = (Excluded(pair[0].1), Excluded(pair[1].0));
            self.facts.range(between).next().is_none() && self.samples.range(between).next().is_none()
        });
        if let Some(pair) = mergeable {
            self.evicted.remove(&pair[1].0);
            self.evicted.insert(pair[0].0, pair[1].1);
        }
    }

    fn forget_evicted(&mut self, first: u64, last: u64) {
        let hit: Vec<(u64, u64)> =
            self.evicted.range(..=last).map(|(a, b)| (*a, *b)).filter(|(_, b)| *b >= first).collect();
        for (a, b) in hit {
            self.evicted.remove(&a);
            if a < first {
                self.evicted.insert(a, first - 1);
            }
            if b > last {
                self.evicted.insert(last + 1, b);
            }
        }
    }
}

/// Bytes that a payload takes in memory, roughly.
fn cost(payload: &Payload) -> usize {
    match payload {
        Payload::Samples { rows, .. } => {
            64 + rows.iter().map(|row| 64 + row.key.len() + row.values.len() * 16).sum::<usize>()
        }
        Payload::Events(events) => 64 + events.len() * 1_024,
        Payload::Inventory(documents) => 64 + documents.len() * 2_048,
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
