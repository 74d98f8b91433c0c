//! Short numbers for what samples are about, remembered between flushes while they are in use.

use super::{StoreError, doing};
use crate::limits::{ENTITIES_KNOWN, ENTITY_ROUNDS};
use fleetlight_protocol::samples::EntityKind;
use sqlx::{PgConnection, Row};
use std::collections::{BTreeSet, HashMap};

/// What is remembered, in two generations: what was not asked for while one filled goes with the older.
#[derive(Debug, Default)]
pub struct KnownEntities {
    young: Entities,
    old: Entities,
    /// [`super::packing::Gate::forgettings`] when they were learnt.
    forgettings: i64,
}

impl KnownEntities {
    pub fn get(&mut self, host_id: i32, kind: EntityKind, key: &str) -> Option<i32> {
        if let Some(id) = self.young.get(host_id, kind, key) {
            return Some(id);
        }
        let id = self.old.get(host_id, kind, key)?;
        self.remember(host_id, kind, key.to_owned(), id);
        Some(id)
    }

    /// Starts over if entities were forgotten since. To be called within the gate: none are until its end.
    pub fn as_of(&mut self, forgettings: i64) {
        if self.forgettings != forgettings {
            *self = Self { forgettings, ..Self::default() };
        }
    }

    /// Remembers what has been committed, unless entities were forgotten meanwhile.
    pub fn merge(&mut self, other: Entities, forgettings: i64) {
        if self.forgettings != forgettings {
            return;
        }
        for ((host_id, kind), ids) in other.ids {
            for (key, id) in ids {
                self.remember(host_id, kind, key, id);
            }
        }
    }

    fn remember(&mut self, host_id: i32, kind: EntityKind, key: String, id: i32) {
        if self.young.count >= ENTITIES_KNOWN / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(host_id, kind, key, id);
    }
}

/// Host, kind, key → id. Two levels, so that looking up needs no copy of the key.
#[derive(Debug, Default)]
pub struct Entities {
    ids: HashMap<(i32, EntityKind), HashMap<String, i32>>,
    count: usize,
}

impl Entities {
    pub fn get(&self, host_id: i32, kind: EntityKind, key: &str) -> Option<i32> {
        self.ids.get(&(host_id, kind))?.get(key).copied()
    }

    fn insert(&mut self, host_id: i32, kind: EntityKind, key: String, id: i32) {
        if self.ids.entry((host_id, kind)).or_default().insert(key, id).is_none() {
            self.count += 1;
        }
    }
}

/// What has no number yet, in the order in which all flushes insert.
pub type Unknown = BTreeSet<(i32, EntityKind, String)>;

/// Numbers for all of `unknown`; new ones are made. To be remembered only after the commit.
pub async fn resolve(connection: &mut PgConnection, unknown: &Unknown) -> Result<Entities, StoreError> {
    let mut found = Entities::default();
    if unknown.is_empty() {
        return Ok(found);
    }
    let hosts: Vec<i32> = unknown.iter().map(|(host, _, _)| *host).collect();
    let kinds: Vec<i16> = unknown.iter().map(|(_, kind, _)| *kind as i16).collect();
    let keys: Vec<&str> = unknown.iter().map(|(_, _, key)| key.as_str()).collect();
    for _ in 0..ENTITY_ROUNDS {
        let rows = sqlx::query(
            "with wanted as (
                 select * from unnest($1::int[], $2::smallint[], $3::text[]) as w (host_id, kind, key)),
             made as (
                 insert into entities (host_id, kind, key)
                 select * from wanted w where not exists (
                     select from entities e where (e.host_id, e.kind, e.key) = (w.host_id, w.kind, w.key))
                 order by host_id, kind, key on conflict do nothing
                 returning host_id, kind, key, id)
             select * from made union all
             select host_id, kind, key, id from entities join wanted using (host_id, kind, key)",
        )
        .bind(&hosts)
        .bind(&kinds)
        .bind(&keys)
        .fetch_all(&mut *connection)
        .await
        .map_err(doing("numbering entities"))?;
        for row in &rows {
            if let Some(kind) = u8::try_from(row.get::<i16, _>(1)).ok().and_then(EntityKind::from_wire) {
                found.insert(row.get(0), kind, row.get(2), row.get(3));
            }
        }
        // Fewer: another transaction made some just now; a new snapshot sees them.
        if found.count == unknown.len() {
            return Ok(found);
        }
    }
    Err(StoreError::Unreadable { doing: "numbering entities", what: "fewer entities than it was given".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_outlives_a_flood_of_what_is_not() {
        let mut known = KnownEntities::default();
        let mut used = Entities::default();
        used.insert(1, EntityKind::Container, "web".into(), 7);
        known.merge(used, 0);
        for round in 0..4 {
            let mut flood = Entities::default();
            for name in 0..(ENTITIES_KNOWN / 4) as i32 {
                flood.insert(2, EntityKind::GpuProcess, format!("{round}-{name}"), name);
            }
            known.merge(flood, 0);
            assert_eq!(known.get(1, EntityKind::Container, "web"), Some(7), "round {round}");
        }
        assert_eq!(known.get(2, EntityKind::GpuProcess, "0-0"), None, "forgotten");
        assert!(known.young.count + known.old.count <= ENTITIES_KNOWN);
    }
}
