//! The present as `docs/api.md` states it: hosts, rows, documents and events as JSON.

use super::presence::HostState;
use super::problems::Problem;
use super::summary::Summary;
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::Row;
use fleetlight_protocol::untagged;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Deref;
use std::sync::Arc;

/// One host of the fleet.
#[derive(Debug, Clone, PartialEq, serde::Serialize, JsonSchema)]
pub struct Host {
    pub id: i32,
    pub name: String,
    pub state: HostState,
    pub last_seen_ms: Option<i64>,
    pub connected_since_ms: Option<i64>,
    pub agent_version: Option<String>,
    pub address: Option<String>,
    pub clock_offset_ms: Option<i64>,
    pub round_trip_ms: Option<u32>,
    pub interval_ms: u32,
    /// While history is yet to come.
    pub catching_up: Option<CatchingUp>,
    /// Worst first.
    pub problems: Vec<Problem>,
    pub summary: Summary,
}

/// History that is yet to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, JsonSchema)]
pub struct CatchingUp {
    /// The time that it covers.
    pub behind_ms: i64,
    pub batches_left: u64,
}

impl Host {
    /// Whether a reader must hear of the difference at once: another state, or other problems.
    #[must_use]
    pub fn differs_in_state(&self, other: &Self) -> bool {
        let identity = |host: &Self| -> Vec<_> {
            host.problems.iter().map(|problem| (problem.severity, problem.kind, problem.key.clone())).collect()
        };
        self.state != other.state || self.name != other.name || identity(self) != identity(other)
    }

    /// Sorts worst first: by the worst problem, then state, then name.
    #[must_use]
    pub fn urgency(&self) -> (u8, Reverse<HostState>, &str, i32) {
        let severity = self.problems.first().map_or(2, |problem| problem.severity as u8);
        (severity, Reverse(self.state), &self.name, self.id)
    }
}

/// One host with everything that is known of its present.
#[derive(Debug, Clone, serde::Serialize, JsonSchema)]
pub struct HostDetail {
    #[serde(flatten)]
    pub host: Host,
    pub documents: Vec<DocumentView>,
    pub rows: Vec<RowView>,
    pub tick_ms: Option<i64>,
}

/// Serializes what an [`Arc`] holds.
#[derive(Debug)]
pub struct Shared<T>(pub Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Shared<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// `{kind, key, values}`.
#[derive(Debug, Clone, PartialEq)]
pub struct RowView(pub Row);

impl Serialize for RowView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Row", 3)?;
        row.serialize_field("kind", &self.0.kind)?;
        row.serialize_field("key", &self.0.key)?;
        row.serialize_field("values", &self.0.values)?;
        row.end()
    }
}

impl JsonSchema for RowView {
    fn schema_name() -> Cow<'static, str> {
        "Row".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "kind": { "type": "string" },
                "key": { "type": "string" },
                "values": {
                    "description": "In the catalogue's order.",
                    "type": "array",
                    "items": { "type": ["number", "null"] },
                },
            },
            "required": ["kind", "key", "values"],
        })
    }
}

/// `{kind, key, observed_ms, body}`, the body without the enum's outer name.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentView(pub Document);

impl Serialize for DocumentView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Document", 4)?;
        document.serialize_field("kind", &self.0.kind)?;
        document.serialize_field("key", &self.0.key)?;
        document.serialize_field("observed_ms", &self.0.observed_ms)?;
        document.serialize_field("body", &self.0.body.as_ref().map(untagged))?;
        document.end()
    }
}

impl JsonSchema for DocumentView {
    fn schema_name() -> Cow<'static, str> {
        "Document".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "kind": { "type": "string" },
                "key": { "type": "string" },
                "observed_ms": { "type": "integer" },
                "body": { "description": "By its kind; null: gone.", "type": ["object", "null"] },
            },
            "required": ["kind", "key", "observed_ms", "body"],
        })
    }
}

/// `{id, host_id, at_ms, kind, key, subject, severity, fact, detail}`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventView {
    pub host_id: i32,
    pub event: Event,
}

impl Serialize for EventView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = &self.event;
        let mut view = serializer.serialize_struct("Event", 9)?;
        view.serialize_field("id", &event.id)?;
        view.serialize_field("host_id", &self.host_id)?;
        view.serialize_field("at_ms", &event.at_ms)?;
        view.serialize_field("kind", &event.kind)?;
        view.serialize_field("key", &event.key)?;
        view.serialize_field("subject", &event.subject)?;
        view.serialize_field("severity", &event.severity)?;
        view.serialize_field("fact", event.fact.name())?;
        view.serialize_field("detail", &untagged(&event.fact))?;
        view.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::document::{Body, CollectorDocument};
    use fleetlight_protocol::event::{Fact, Severity};
    use fleetlight_protocol::samples::EntityKind;
    use serde_json::{Value, json};
    use uuid::Uuid;

    #[test]
    fn documents_lose_their_outer_name_and_gone_ones_their_body() {
        let body = Some(Body::Collector(CollectorDocument::default()));
        let mut document = Document { kind: EntityKind::Collector, key: "host".into(), observed_ms: 7, body };
        assert_eq!(
            serde_json::to_value(DocumentView(document.clone())).unwrap(),
            json!({"kind": "collector", "key": "host", "observed_ms": 7,
                   "body": {"state": "ok", "reason": "", "interval_ms": 0}})
        );
        document.body = None;
        assert_eq!(serde_json::to_value(DocumentView(document)).unwrap()["body"], Value::Null);
    }

    #[test]
    fn events_name_their_fact_and_spread_its_fields() {
        let fact = Fact::ContainerDied { exit_code: Some(137), oom_killed: true, last_lines: vec!["out".into()] };
        let event = Event {
            id: Uuid::nil(),
            at_ms: 1,
            kind: EntityKind::Container,
            key: "c0".into(),
            subject: "web".into(),
            severity: Severity::Warn,
            fact,
        };
        let view = serde_json::to_value(EventView { host_id: 3, event }).unwrap();
        assert_eq!(view["fact"], "container_died");
        assert_eq!(view["detail"], json!({"exit_code": 137, "oom_killed": true, "last_lines": ["out"]}));
    }

    #[test]
    fn rows_keep_absent_apart_from_zero() {
        let row = Row { kind: EntityKind::Core, key: "cpu0".into(), values: vec![None, Some(0.0)] };
        let text = serde_json::to_string(&RowView(row)).unwrap();
        assert_eq!(text, r#"{"kind":"core","key":"cpu0","values":[null,0.0]}"#);
    }
}
