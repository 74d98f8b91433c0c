//! A map from entities to something, ordered by kind and key.

use fleetlight_protocol::samples::EntityKind;
use std::collections::BTreeMap;

const KINDS: usize = EntityKind::ALL.len();

#[derive(Debug)]
pub struct Entities<T>([BTreeMap<String, T>; KINDS]);

impl<T> Default for Entities<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| BTreeMap::new()))
    }
}

impl<T> Entities<T> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(BTreeMap::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn get(&self, kind: EntityKind, key: &str) -> Option<&T> {
        self.0[kind as usize].get(key)
    }

    pub fn insert(&mut self, kind: EntityKind, key: &str, value: T) {
        let of_kind = &mut self.0[kind as usize];
        // Most of what arrives is known: its key need not be copied.
        match of_kind.get_mut(key) {
            Some(known) => *known = value,
            None => {
                of_kind.insert(key.to_owned(), value);
            }
        }
    }

    pub fn remove(&mut self, kind: EntityKind, key: &str) {
        self.0[kind as usize].remove(key);
    }

    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for of_kind in &mut self.0 {
            of_kind.retain(|_, value| keep(value));
        }
    }

    pub fn of(&self, kind: EntityKind) -> impl Iterator<Item = (&str, &T)> {
        self.0[kind as usize].iter().map(|(key, value)| (key.as_str(), value))
    }

    pub fn entries(&self) -> impl Iterator<Item = (EntityKind, &str, &T)> {
        let kinds = EntityKind::ALL.into_iter().zip(&self.0);
        kinds.flat_map(|(kind, of_kind)| of_kind.iter().map(move |(key, value)| (kind, key.as_str(), value)))
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries().map(|(_, key, value)| (key, value))
    }
}
