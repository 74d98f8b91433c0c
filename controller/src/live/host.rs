//! The present of one host: last rows, documents, recent events.
//!
//! Invariants: at most [`ENTITIES_PER_HOST`] rows and as many documents, at most
//! [`EVENTS_PER_HOST`] events, each event once; a row or document of an entity that is gone is gone.

use super::entities::Entities;
use super::presence::{Now, Presence};
use super::problems::{Severity, problems, share};
use super::summary::Summary;
use super::view::{DocumentView, EventView, Host, HostDetail, RowView};
use crate::limits::{
    CLOCK_OFFSET_MS, DEFAULT_INTERVAL_MS, ENDED_PER_HOST, ENTITIES_PER_HOST, EVENTS_PER_HOST, ROW_KEPT_TICKS,
};
use fleetlight_protocol::document::{Body, ContainerDocument, Document, HostDocument, MountDocument};
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::{EntityKind, Row};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The last numbers of one entity.
#[derive(Debug)]
pub struct LatestRow {
    pub tick_ms: i64,
    pub values: Vec<Option<f64>>,
}

/// An event that was news.
pub type TakenEvent = Arc<EventView>;

/// What a host last said.
#[derive(Debug, Default)]
pub struct HostData {
    pub rows: Entities<LatestRow>,
    pub documents: Entities<Document>,
    /// Oldest first.
    pub events: VecDeque<Arc<EventView>>,
    /// Documents that ended, and when; the last ones.
    ended: VecDeque<(EntityKind, String, i64)>,
    /// Grid time of the newest samples.
    pub tick_ms: Option<i64>,
}

/// How full a local, writable mount is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FillLevel {
    /// As `df` says: used of what is used or available.
    pub bytes_percent: Option<f64>,
    pub inodes_percent: Option<f64>,
}

impl HostData {
    /// The last value of one metric of one entity.
    #[must_use]
    pub fn value(&self, kind: EntityKind, key: &str, metric: &str) -> Option<f64> {
        let position = kind.metrics().iter().position(|known| known.name == metric)?;
        self.rows.get(kind, key)?.values.get(position).copied().flatten()
    }

    #[must_use]
    pub fn host_document(&self) -> Option<&HostDocument> {
        match &self.documents.get(EntityKind::Host, "")?.body {
            Some(Body::Host(host)) => Some(host),
            _ => None,
        }
    }

    pub fn containers(&self) -> impl Iterator<Item = &ContainerDocument> {
        self.documents.of(EntityKind::Container).filter_map(|(_, document)| match &document.body {
            Some(Body::Container(container)) => Some(container.as_ref()),
            _ => None,
        })
    }

    /// Sampling interval in force.
    #[must_use]
    pub fn interval_ms(&self) -> u32 {
        self.host_document()
            .map(|host| host.interval_ms)
            .filter(|interval| *interval > 0)
            .unwrap_or(DEFAULT_INTERVAL_MS)
    }

    /// Fill levels of the mounts whose filling up is this host's problem: local and writable.
    pub fn fill_levels(&self) -> impl Iterator<Item = (&str, FillLevel)> {
        self.documents.of(EntityKind::Mount).filter_map(|(key, document)| match &document.body {
            Some(Body::Mount(mount)) if is_local_and_writable(mount) => Some((key, self.fill_level(key))),
            _ => None,
        })
    }

    fn fill_level(&self, key: &str) -> FillLevel {
        let number = |metric| self.value(EntityKind::Mount, key, metric);
        let used = number("used_bytes");
        let usable = used.zip(number("available_bytes")).map(|(used, available)| used + available);
        FillLevel {
            bytes_percent: share(used, usable),
            inodes_percent: share(number("inodes_used"), number("inodes_total")),
        }
    }

    /// Lets go of rows from a future that never was: the host's clock ran ahead and was set back to
    /// `tick_ms`. Kept, they would hold up every row until that time has come.
    pub fn forget_future(&mut self, tick_ms: i64, wall_ms: i64) {
        if self.tick_ms.is_some_and(|newest| newest > wall_ms.saturating_add(CLOCK_OFFSET_MS) && newest > tick_ms) {
            self.rows = Entities::default();
            self.tick_ms = None;
        }
    }

    /// Takes rows that are not older than what is known. Returns whether they were news.
    pub fn take_rows(&mut self, tick_ms: i64, rows: &[Row]) -> bool {
        if self.tick_ms.is_some_and(|newest| tick_ms < newest.saturating_sub(self.row_kept_ms())) {
            return false;
        }
        for row in rows {
            let known = self.rows.get(row.kind, &row.key).map(|last| last.tick_ms);
            if known.is_some_and(|known| known > tick_ms) || (known.is_none() && self.rows.len() >= ENTITIES_PER_HOST) {
                continue;
            }
            self.rows.insert(row.kind, &row.key, LatestRow { tick_ms, values: row.values.clone() });
        }
        self.tick_ms = self.tick_ms.max(Some(tick_ms));
        true
    }

    /// Drops rows whose entity has not been sampled for some ticks of the slowest collector.
    pub fn drop_old_rows(&mut self) {
        if let Some(newest) = self.tick_ms {
            let oldest = newest.saturating_sub(self.row_kept_ms());
            self.rows.retain(|row| row.tick_ms >= oldest);
        }
    }

    fn row_kept_ms(&self) -> i64 {
        let collectors = self.documents.of(EntityKind::Collector).filter_map(|(_, document)| match &document.body {
            Some(Body::Collector(collector)) => Some(collector.interval_ms),
            _ => None,
        });
        i64::from(collectors.fold(self.interval_ms(), u32::max)) * ROW_KEPT_TICKS
    }

    /// Takes a document unless a newer one is known; a gone entity takes its row with it.
    pub fn take_document(&mut self, document: &Document) -> bool {
        let (kind, key) = (document.kind, document.key.as_str());
        let known = self.documents.get(kind, key).map(|known| known.observed_ms);
        if known.is_some_and(|known| known > document.observed_ms) {
            return false;
        }
        if document.body.is_none() {
            self.rows.remove(kind, key);
            self.documents.remove(kind, key);
            self.ended.push_back((kind, key.to_owned(), document.observed_ms));
            if self.ended.len() > ENDED_PER_HOST {
                self.ended.pop_front();
            }
        } else if known.is_none() && self.has_ended_since(document) {
            return false;
        } else if known.is_some() || self.documents.len() < ENTITIES_PER_HOST {
            self.documents.insert(kind, key, document.clone());
        } else {
            return false;
        }
        true
    }

    /// Whether its entity is gone by what has overtaken this document.
    fn has_ended_since(&self, document: &Document) -> bool {
        self.ended.iter().any(|(kind, key, ended_ms)| {
            (*kind, key) == (document.kind, &document.key) && *ended_ms > document.observed_ms
        })
    }

    /// Takes an event that is not known yet; delivery is at least once.
    pub fn take_event(&mut self, host_id: i32, event: &Event) -> Option<TakenEvent> {
        self.insert_event(self.events.len(), host_id, event)
    }

    /// The same of one that may be older than those that are known; one that is older than all of a full list has
    /// no place in it.
    pub fn take_past_event(&mut self, host_id: i32, event: &Event) -> Option<TakenEvent> {
        // From the front: of what happened since, the clock may have been set back.
        let later = self.events.iter().position(|known| known.event.at_ms > event.at_ms);
        let at = later.unwrap_or(self.events.len());
        (at > 0 || self.events.len() < EVENTS_PER_HOST).then(|| self.insert_event(at, host_id, event))?
    }

    fn insert_event(&mut self, at: usize, host_id: i32, event: &Event) -> Option<TakenEvent> {
        if self.events.iter().any(|known| known.event.id == event.id) {
            return None;
        }
        let view = Arc::new(EventView { host_id, event: event.brief() });
        self.events.insert(at, Arc::clone(&view));
        if self.events.len() > EVENTS_PER_HOST {
            self.events.pop_front();
        }
        Some(view)
    }
}

/// `overlay` and the like repeat the mount beneath them; images are full by nature.
const NOT_OF_ITS_OWN: &[&str] = &["overlay", "squashfs", "iso9660", "erofs", "tmpfs", "devtmpfs", "ramfs", "efivarfs"];

fn is_local_and_writable(mount: &MountDocument) -> bool {
    !mount.remote
        && !NOT_OF_ITS_OWN.contains(&mount.fs_type.as_str())
        && !mount.options.split(',').any(|option| option == "ro")
}

/// A host with its name and what was last told of it.
#[derive(Debug)]
pub struct HostRecord {
    pub id: i32,
    /// Unknown until somebody who knows it has said so; such a host is not shown.
    pub name: Option<String>,
    pub presence: Presence,
    pub data: HostData,
    since: HashMap<(EntityKind, String, Severity), i64>,
}

impl HostRecord {
    #[must_use]
    pub fn new(id: i32) -> Self {
        Self { id, name: None, presence: Presence::default(), data: HostData::default(), since: HashMap::new() }
    }

    /// The host as it is at `now`; none while it has no name.
    pub fn view(&mut self, now: Now) -> Option<Host> {
        let name = self.name.clone()?;
        let interval_ms = self.data.interval_ms();
        let state = self.presence.state(Duration::from_millis(interval_ms.into()), now.at);
        let mut problems = problems(&self.data, &self.presence, state, now.wall_ms);
        let mut since = HashMap::with_capacity(problems.len());
        for problem in &mut problems {
            let identity = (problem.kind, problem.key.clone(), problem.severity);
            if let Some(first) = self.since.get(&identity) {
                problem.since_ms = problem.since_ms.min(*first);
            }
            since.insert(identity, problem.since_ms);
        }
        self.since = since;
        let presence = &self.presence;
        Some(Host {
            id: self.id,
            name,
            state,
            last_seen_ms: presence.last_seen_ms,
            connected_since_ms: presence.connected_since_ms,
            agent_version: presence.agent_version.clone(),
            address: presence.address.clone(),
            clock_offset_ms: presence.clock_offset_ms,
            round_trip_ms: presence.round_trip_ms,
            interval_ms,
            catching_up: presence.catching_up(interval_ms),
            problems,
            summary: Summary::of(&self.data),
        })
    }

    /// The host with all that is known of it.
    pub fn detail(&mut self, now: Now) -> Option<HostDetail> {
        let host = self.view(now)?;
        let documents = self.data.documents.all().map(|(_, document)| DocumentView(document.clone()));
        let rows = self.data.rows.entries();
        let rows = rows.map(|(kind, key, row)| RowView(Row { kind, key: key.to_owned(), values: row.values.clone() }));
        Some(HostDetail { documents: documents.collect(), rows: rows.collect(), host, tick_ms: self.data.tick_ms })
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
