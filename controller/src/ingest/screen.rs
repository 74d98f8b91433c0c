//! What one host may have: entities, documents, sizes. What is beyond is taken out of its batch and counted;
//! the rest goes on.
//!
//! Only memory: after a restart of the controller every host begins with room.

use crate::limits::{
    COMMAND_WORDS, DOCUMENT_BYTES, DOCUMENT_BYTES_PER_HOST, DOCUMENTS_PER_HOST, ENTITIES_PER_HOST,
    ENTITY_FORGOTTEN_AFTER, EVENT_BYTES, REPLAYED_ENTITIES_PER_HOST, SCREEN_SWEEP_EVERY,
};
use crate::store::quarantine::{LeftOut, Reason};
use crate::transport::{Inbound, Payload};
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::{Event, Fact};
use fleetlight_protocol::limits::{OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES};
use fleetlight_protocol::samples::{EntityKind, Row};
use fleetlight_protocol::uplink::Class;
use serde::Serialize;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// All hosts; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Screen(Arc<Mutex<HashMap<i32, HostShare>>>);

/// What one host has.
#[derive(Debug)]
struct HostShare {
    sampled: Entities,
    /// History comes hundreds of times as fast as it was made: it has room of its own, and takes none of the
    /// present's.
    replayed: Entities,
    documents: HashMap<(EntityKind, String), usize>,
    document_bytes: usize,
}

/// Those that came of late, in a bounded number.
#[derive(Debug)]
struct Entities {
    /// Their hashes, keyed so that nobody can make two collide; when they came last.
    seen: HashMap<u64, Instant>,
    hasher: RandomState,
    swept: Instant,
    most: usize,
}

impl Screen {
    /// Takes out of a batch what its host may not have, and says what that was.
    pub fn pass(&self, arrived: &mut Inbound) -> Vec<LeftOut> {
        let now = Instant::now();
        let mut hosts = self.lock();
        let host = hosts.entry(arrived.agent.host_id).or_insert_with(|| HostShare::new(now));
        let mut out = match &mut arrived.payload {
            Payload::Samples { rows, .. } if arrived.class == Class::Replay => host.replayed.keep(rows, now),
            Payload::Samples { rows, .. } => host.sampled.keep(rows, now),
            Payload::Events(events) => {
                events.iter_mut().for_each(cut_result);
                large_ones(events, event_size, EVENT_BYTES, "an event")
            }
            Payload::Inventory(documents) => {
                let mut out = large_ones(documents, size, DOCUMENT_BYTES, "a document");
                out.extend(host.documents(documents));
                out
            }
            Payload::Evicted { .. } => Vec::new(),
        };
        if arrived.held_back {
            let detail = "it sends more than one agent may: held back, and stored all the same".to_owned();
            out.push(LeftOut { reason: Reason::Rate, rows: 0, detail });
        }
        out
    }

    /// A document ended without the agent's saying so.
    pub fn ended(&self, host_id: i32, document: &Document) {
        if let Some(host) = self.lock().get_mut(&host_id) {
            host.gone(document);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, HostShare>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostShare {
    fn new(now: Instant) -> Self {
        Self {
            sampled: Entities::new(ENTITIES_PER_HOST, now),
            replayed: Entities::new(REPLAYED_ENTITIES_PER_HOST, now),
            documents: HashMap::new(),
            document_bytes: 0,
        }
    }

    fn documents(&mut self, documents: &mut Vec<Document>) -> Vec<LeftOut> {
        let before = documents.len();
        documents.retain(|document| self.takes(document));
        let detail = || {
            let mebibytes = DOCUMENT_BYTES_PER_HOST / (1024 * 1024);
            format!("the host has more than {DOCUMENTS_PER_HOST} documents, or more than {mebibytes} MiB of them")
        };
        left_out(Reason::Documents, before - documents.len(), detail)
    }

    fn takes(&mut self, document: &Document) -> bool {
        if document.body.is_none() {
            self.gone(document);
            return true;
        }
        let identity = (document.kind, document.key.clone());
        let (new, old) = (size(document), self.documents.get(&identity).copied());
        let bytes = self.document_bytes - old.unwrap_or(0) + new;
        let room = (old.is_some() || self.documents.len() < DOCUMENTS_PER_HOST) && bytes <= DOCUMENT_BYTES_PER_HOST;
        if room {
            self.document_bytes = bytes;
            self.documents.insert(identity, new);
        }
        room
    }

    fn gone(&mut self, document: &Document) {
        if let Some(bytes) = self.documents.remove(&(document.kind, document.key.clone())) {
            self.document_bytes -= bytes;
        }
    }
}

impl Entities {
    fn new(most: usize, now: Instant) -> Self {
        Self { seen: HashMap::new(), hasher: RandomState::new(), swept: now, most }
    }

    fn keep(&mut self, rows: &mut Vec<Row>, now: Instant) -> Vec<LeftOut> {
        let before = rows.len();
        rows.retain(|row| self.has_room(row, now));
        let detail = || {
            let (most, minutes) = (self.most, ENTITY_FORGOTTEN_AFTER.as_secs() / 60);
            format!("the host has named more than {most} containers, processes and the like within {minutes} min")
        };
        left_out(Reason::Entities, before - rows.len(), detail)
    }

    fn has_room(&mut self, row: &Row, now: Instant) -> bool {
        let entity = self.hasher.hash_one((row.kind, row.key.as_str()));
        if let Some(seen) = self.seen.get_mut(&entity) {
            *seen = now;
            return true;
        }
        if self.seen.len() >= self.most && now.duration_since(self.swept) >= SCREEN_SWEEP_EVERY {
            self.swept = now;
            self.seen.retain(|_, seen| now.duration_since(*seen) < ENTITY_FORGOTTEN_AFTER);
        }
        let room = self.seen.len() < self.most;
        if room {
            self.seen.insert(entity, now);
        }
        room
    }
}

/// A command is closed by this word alone, so it is not left out for its size: its texts are cut, as the agent should
/// have done.
fn cut_result(event: &mut Event) {
    let Fact::CommandFinished(result) = &mut event.fact else { return };
    let texts = [Some(&mut result.asked), Some(&mut result.observed), result.reason.as_mut()];
    for text in texts.into_iter().flatten() {
        cut(text, COMMAND_WORDS);
    }
    let output = &mut result.output;
    let gone = cut(&mut output.head, OUTPUT_HEAD_BYTES) + cut(&mut output.tail, OUTPUT_TAIL_BYTES);
    output.dropped_bytes = output.dropped_bytes.saturating_add(gone as u64);
}

/// Leaves so many bytes of a text, whole characters; how many go.
fn cut(text: &mut String, bytes: usize) -> usize {
    let before = text.len();
    text.truncate(text.floor_char_boundary(bytes));
    before - text.len()
}

/// As it counts for [`EVENT_BYTES`]; what a command came to has been cut to its own bounds.
fn event_size(event: &Event) -> usize {
    if matches!(event.fact, Fact::CommandFinished(_)) { 0 } else { size(event) }
}

fn large_ones<T>(items: &mut Vec<T>, size: fn(&T) -> usize, most: usize, what: &str) -> Vec<LeftOut> {
    let before = items.len();
    items.retain(|item| size(item) <= most);
    left_out(Reason::Size, before - items.len(), || format!("{what} has more than {} KiB", most / 1024))
}

fn left_out(reason: Reason, rows: usize, detail: impl FnOnce() -> String) -> Vec<LeftOut> {
    if rows == 0 { Vec::new() } else { vec![LeftOut { reason, rows: rows as u64, detail: detail() }] }
}

/// Bytes as JSON, which is how it is kept.
fn size<T: Serialize>(item: &T) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Plain data into a counter: neither can fail.
    let _ = serde_json::to_writer(&mut counter, item);
    counter.0
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
