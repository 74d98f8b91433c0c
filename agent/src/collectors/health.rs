//! The state of a collector, said when it changes: a document for now, an event for the time axis.

use super::Reading;
use crate::tick::wall_ms;
use fleetlight_protocol::document::{Body, CollectorDocument, CollectorState, Document};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::EntityKind;
use std::time::Duration;
use uuid::Uuid;

/// What was last said of a collector, or of the spool.
pub(crate) struct Health {
    name: &'static str,
    interval: Duration,
    said: Option<(CollectorState, String)>,
}

impl Health {
    pub fn new(name: &'static str, interval: Duration) -> Self {
        Self { name, interval, said: None }
    }

    /// The document and event of a change; nothing if nothing changed.
    pub fn change(&mut self, state: CollectorState, reason: String) -> Vec<Reading> {
        if self.said.as_ref().is_some_and(|(old, why)| *old == state && *why == reason) {
            return Vec::new();
        }
        let from = self.said.replace((state, reason.clone())).map_or(CollectorState::Ok, |(old, _)| old);
        match state {
            CollectorState::Ok => tracing::info!(collector = self.name, "works"),
            CollectorState::Absent => tracing::info!(collector = self.name, reason, "has nothing to do here"),
            _ => tracing::warn!(collector = self.name, ?state, reason, "does not work"),
        }
        let now = wall_ms();
        let interval_ms = self.interval.as_millis() as u32;
        let body = Body::Collector(CollectorDocument { state, reason: reason.clone(), interval_ms });
        let document =
            Document { kind: EntityKind::Collector, key: self.name.into(), observed_ms: now, body: Some(body) };
        let mut readings = vec![Reading::Documents(vec![document])];
        if from != state && state != CollectorState::Absent {
            readings.push(Reading::Events(vec![Event {
                id: Uuid::now_v7(),
                at_ms: now,
                kind: EntityKind::Collector,
                key: self.name.into(),
                subject: self.name.into(),
                severity: if state == CollectorState::Ok { Severity::Info } else { Severity::Warn },
                fact: Fact::CollectorChanged { from, to: state, reason },
            }]));
        }
        readings
    }
}
