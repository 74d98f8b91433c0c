//! The documents last said of each entity: drops what did not change, hashes what did. Bounded in
//! number and bytes.

use crate::limits::{DOCUMENTS, DOCUMENTS_BYTES};
use fleetlight_protocol::document::{Body, Document, fingerprint};
use fleetlight_protocol::samples::EntityKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared between the batcher, which tells it, and the transport, which asks it.
#[derive(Debug, Clone, Default)]
pub struct Inventory(Arc<Mutex<Held>>);

type Kinds = BTreeMap<EntityKind, BTreeMap<String, Document>>;

#[derive(Debug, Default)]
struct Held {
    kinds: Kinds,
    documents: usize,
    bytes: usize,
    left_out: u64,
}

impl Inventory {
    /// Takes documents in; returns those that say something new. `observed_ms` alone is nothing new.
    #[must_use]
    pub fn absorb(&self, documents: Vec<Document>) -> Vec<Document> {
        let mut held = self.lock();
        documents.into_iter().filter(|document| held.take(document)).collect()
    }

    /// What the hello says: a hash for each kind that has documents.
    #[must_use]
    pub fn hashes(&self) -> Vec<(EntityKind, String)> {
        let held = self.lock();
        let kinds = held.kinds.iter().map(|(kind, documents)| (*kind, fingerprint(bodies(documents))));
        kinds.collect()
    }

    /// Every document of these kinds, as now known.
    #[must_use]
    pub fn documents(&self, wanted: &[EntityKind]) -> Vec<Document> {
        let held = self.lock();
        held.kinds.iter().filter(|(kind, _)| wanted.contains(kind)).flat_map(|(_, all)| all.values().cloned()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether it says something new, and there is room for it.
    fn take(&mut self, document: &Document) -> bool {
        let known = self.kinds.entry(document.kind).or_default();
        let old = known.get(&document.key);
        if old.and_then(|old| old.body.as_ref()) == document.body.as_ref() {
            return false;
        }
        let without = (self.documents - usize::from(old.is_some()), self.bytes - old.map_or(0, size));
        let with = (without.0 + 1, without.1 + size(document));
        (self.documents, self.bytes) = match document.body {
            None => {
                known.remove(&document.key);
                without
            }
            Some(_) if with.0 > DOCUMENTS || with.1 > DOCUMENTS_BYTES => {
                self.left_out += 1;
                if self.left_out.is_power_of_two() {
                    tracing::warn!(
                        left_out = self.left_out,
                        documents = self.documents,
                        bytes = self.bytes,
                        kind = ?document.kind,
                        "this host has more than the inventory takes; the rest is left out"
                    );
                }
                return false;
            }
            Some(_) => {
                known.insert(document.key.clone(), document.clone());
                with
            }
        };
        true
    }
}

/// Documents are plain data: writing them cannot fail.
fn size(document: &Document) -> usize {
    rmp_serde::to_vec_named(document).map_or(0, |written| written.len())
}

fn bodies(documents: &BTreeMap<String, Document>) -> impl Iterator<Item = (&str, &Body)> {
    documents.iter().filter_map(|(key, document)| Some((key.as_str(), document.body.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::document::CollectorDocument;

    fn document(key: &str, observed_ms: i64, reason: Option<&str>) -> Document {
        let body =
            reason.map(|reason| Body::Collector(CollectorDocument { reason: reason.into(), ..Default::default() }));
        Document { kind: EntityKind::Collector, key: key.into(), observed_ms, body }
    }

    #[test]
    fn only_news_come_out() {
        let inventory = Inventory::default();
        assert_eq!(inventory.absorb(vec![document("host", 1, Some(""))]).len(), 1);
        assert_eq!(inventory.absorb(vec![document("host", 2, Some(""))]), vec![], "seen again is not new");
        assert_eq!(inventory.absorb(vec![document("host", 3, Some("stuck"))]).len(), 1);
        assert_eq!(inventory.absorb(vec![document("host", 4, None)]).len(), 1);
        assert_eq!(inventory.absorb(vec![document("host", 5, None)]), vec![], "gone is gone");
        assert_eq!(inventory.documents(&[EntityKind::Collector]), vec![]);
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        let inventory = Inventory::default();
        let many = (0..DOCUMENTS + 10).map(|number| document(&number.to_string(), 1, Some(""))).collect();
        assert_eq!(inventory.absorb(many).len(), DOCUMENTS);
        assert_eq!(inventory.absorb(vec![document("0", 2, Some("changed"))]).len(), 1, "a known one may change");
        assert_eq!(inventory.absorb(vec![document("more", 2, Some(""))]), vec![]);
        assert_eq!(inventory.absorb(vec![document("0", 3, None)]).len(), 1);
        assert_eq!(inventory.absorb(vec![document("more", 3, Some(""))]).len(), 1, "in its place");

        let inventory = Inventory::default();
        let long = "x".repeat(DOCUMENTS_BYTES / 3);
        let long = |key: &str| inventory.absorb(vec![document(key, 1, Some(&long))]).len();
        assert_eq!([long("a"), long("b"), long("c")], [1, 1, 0]);
        assert_eq!(inventory.absorb(vec![document("a", 2, Some("short"))]).len(), 1);
        assert_eq!(long("c"), 1, "there is room again");
    }

    #[test]
    fn hashes_follow_the_bodies() {
        let inventory = Inventory::default();
        let _ = inventory.absorb(vec![document("host", 1, Some("a"))]);
        let before = inventory.hashes();
        let _ = inventory.absorb(vec![document("host", 2, Some("b"))]);
        assert_ne!(before, inventory.hashes());
        let _ = inventory.absorb(vec![document("host", 3, Some("a"))]);
        assert_eq!(before, inventory.hashes());
    }
}
