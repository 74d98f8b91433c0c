//! Batches in memory: those that are not on disk yet or cannot be, and a tail of those that are.
//!
//! All are of the running epoch. Those that are not on disk are bounded, and what is forced out is
//! lost; the tail is bounded, too, and what leaves it is read from disk when it is asked for.

use super::format::Lane;
use super::payload::Payload;
use crate::limits::{SPOOL_TAIL_BATCHES, SPOOL_TAIL_BYTES};
use fleetlight_protocol::intervals::IntervalSet;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
struct Slot {
    payload: Payload,
    cost: usize,
    on_disk: bool,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    samples: BTreeMap<u64, Slot>,
    facts: BTreeMap<u64, Slot>,
    /// Of those not on disk.
    bytes: usize,
    /// Those on disk, in the order of writing.
    tail: VecDeque<(Lane, u64)>,
    tail_bytes: usize,
}

impl Memory {
    fn lane(&mut self, lane: Lane) -> &mut BTreeMap<u64, Slot> {
        match lane {
            Lane::Samples => &mut self.samples,
            Lane::Facts => &mut self.facts,
        }
    }

    pub fn insert(&mut self, seq: u64, payload: Payload) {
        let (cost, lane) = (payload.cost(), payload.lane());
        self.bytes += cost;
        self.lane(lane).insert(seq, Slot { payload, cost, on_disk: false });
    }

    /// Forces out what is beyond `bound`: samples first, the oldest first.
    pub fn evict(&mut self, bound: usize) -> IntervalSet {
        let mut evicted = IntervalSet::default();
        while self.bytes > bound {
            let waiting = |lane: &BTreeMap<u64, Slot>| lane.iter().find(|(_, slot)| !slot.on_disk).map(|(seq, _)| *seq);
            let oldest = waiting(&self.samples).map(|seq| (Lane::Samples, seq));
            let oldest = oldest.or_else(|| waiting(&self.facts).map(|seq| (Lane::Facts, seq)));
            let Some((lane, seq)) = oldest else { break };
            if self.samples.len() + self.facts.len() == 1 {
                break;
            }
            self.drop_one(lane, seq);
            evicted.insert(seq, seq);
        }
        evicted
    }

    /// The batches from `from` on that are not on disk, in order, at most `most`.
    pub fn waiting(&self, from: u64, most: usize) -> Vec<(u64, Payload)> {
        let (mut samples, mut facts) = (self.samples.range(from..).peekable(), self.facts.range(from..).peekable());
        let mut found = Vec::new();
        while found.len() < most {
            let next = match (samples.peek(), facts.peek()) {
                (Some((one, _)), Some((other, _))) if one < other => samples.next(),
                (_, Some(_)) => facts.next(),
                (_, None) => samples.next(),
            };
            let Some((seq, slot)) = next else { break };
            if !slot.on_disk {
                found.push((*seq, slot.payload.clone()));
            }
        }
        found
    }

    /// A batch has come to disk, and joins the tail.
    pub fn written(&mut self, lane: Lane, seq: u64) {
        let Some(slot) = self.lane(lane).get_mut(&seq).filter(|slot| !slot.on_disk) else { return };
        slot.on_disk = true;
        let cost = slot.cost;
        self.bytes -= cost;
        self.tail_bytes += cost;
        self.tail.push_back((lane, seq));
        while let Some(&(lane, seq)) = self.tail.front() {
            let held = self.lane(lane).get(&seq).is_some_and(|slot| slot.on_disk);
            if held && self.tail_bytes <= SPOOL_TAIL_BYTES && self.tail.len() <= SPOOL_TAIL_BATCHES {
                break;
            }
            self.tail.pop_front();
            if held {
                self.drop_one(lane, seq);
            }
        }
    }

    /// The file of these was given up: they go from the tail, too.
    pub fn forget(&mut self, seqs: &IntervalSet) {
        for lane in [Lane::Samples, Lane::Facts] {
            let held = self.lane(lane).iter().filter(|(seq, slot)| slot.on_disk && seqs.contains(**seq));
            let held: Vec<u64> = held.map(|(seq, _)| *seq).collect();
            held.into_iter().for_each(|seq| self.drop_one(lane, seq));
        }
    }

    /// The file of these is gone: they are to be written again. Returns the first of them.
    pub fn unwritten(&mut self, seqs: &IntervalSet) -> Option<u64> {
        let mut first = None;
        for slots in [&mut self.samples, &mut self.facts] {
            for (seq, slot) in slots.iter_mut().filter(|(seq, slot)| slot.on_disk && seqs.contains(**seq)) {
                slot.on_disk = false;
                self.tail_bytes -= slot.cost;
                self.bytes += slot.cost;
                first = Some(first.map_or(*seq, |first: u64| first.min(*seq)));
            }
        }
        first
    }

    /// The first batch of a lane with `after < seq < before`.
    pub fn find(&self, lane: Lane, after: u64, before: u64) -> Option<(u64, Payload)> {
        let lane = if lane == Lane::Samples { &self.samples } else { &self.facts };
        let from = after.checked_add(1).filter(|from| *from < before)?;
        lane.range(from..before).next().map(|(seq, slot)| (*seq, slot.payload.clone()))
    }

    /// How many batches of a lane with `after < seq < before` are not on disk.
    pub fn count_unwritten(&self, lane: Lane, after: u64, before: u64) -> u64 {
        let lane = if lane == Lane::Samples { &self.samples } else { &self.facts };
        let waiting = lane.iter().filter(|(seq, slot)| !slot.on_disk && (after + 1..before).contains(*seq));
        waiting.count() as u64
    }

    pub fn acked(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        for lane in [Lane::Samples, Lane::Facts] {
            let seqs: Vec<u64> = self.lane(lane).range(first..=last).map(|(seq, _)| *seq).collect();
            seqs.into_iter().for_each(|seq| self.drop_one(lane, seq));
        }
    }

    /// Whether one of these numbers is held.
    pub fn holds(&self, first: u64, last: u64) -> bool {
        [&self.samples, &self.facts].into_iter().any(|lane| lane.range(first..=last).next().is_some())
    }

    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.facts.is_empty()
    }

    /// All numbers that are held.
    pub fn seqs(&self) -> IntervalSet {
        let mut seqs = IntervalSet::default();
        self.samples.keys().chain(self.facts.keys()).for_each(|seq| seqs.insert(*seq, *seq));
        seqs
    }

    fn drop_one(&mut self, lane: Lane, seq: u64) {
        let Some(slot) = self.lane(lane).remove(&seq) else { return };
        if slot.on_disk {
            self.tail_bytes -= slot.cost;
        } else {
            self.bytes -= slot.cost;
        }
    }
}
