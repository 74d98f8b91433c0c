//! The documents last said of each entity: drops what did not change, hashes what did.

use fleetlight_protocol::document::{Body, Document, fingerprint};
use fleetlight_protocol::samples::EntityKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared between the batcher, which tells it, and the transport, which asks it.
#[derive(Debug, Clone, Default)]
pub struct Inventory(Arc<Mutex<BTreeMap<EntityKind, BTreeMap<String, Document>>>>);

impl Inventory {
    /// Takes documents in; returns those that say something new. `observed_ms` alone is nothing new.
    #[must_use]
    pub fn absorb(&self, documents: Vec<Document>) -> Vec<Document> {
        let mut kinds = self.lock();
        let mut news = Vec::new();
        for document in documents {
            let known = kinds.entry(document.kind).or_default();
            let old = known.get(&document.key).and_then(|old| old.body.as_ref());
            if old == document.body.as_ref() {
                continue;
            }
            match document.body {
                Some(_) => known.insert(document.key.clone(), document.clone()),
                None => known.remove(&document.key),
            };
            news.push(document);
        }
        news
    }

    /// What the hello says: a hash for each kind that has documents.
    #[must_use]
    pub fn hashes(&self) -> Vec<(EntityKind, String)> {
        let kinds = self.lock();
        let kinds = kinds.iter().map(|(kind, documents)| (*kind, fingerprint(bodies(documents))));
        kinds.collect()
    }

    /// Every document of these kinds, as now known.
    #[must_use]
    pub fn documents(&self, wanted: &[EntityKind]) -> Vec<Document> {
        let kinds = self.lock();
        kinds.iter().filter(|(kind, _)| wanted.contains(kind)).flat_map(|(_, all)| all.values().cloned()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<EntityKind, BTreeMap<String, Document>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
