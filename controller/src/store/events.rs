//! Events: facts at a time, newest first when read.

use super::documents::kind_of;
use super::flush::{Batch, Data};
use super::{FAR_MS, Store, StoreError, doing, storable, untagged};
use crate::limits::{EVENT_AGE, EVENTS_PER_PAGE, TICK_AHEAD};
use fleetlight_protocol::event::{Event, Severity};
use fleetlight_protocol::samples::EntityKind;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct StoredEvent {
    pub id: Uuid,
    pub host_id: i32,
    pub at_ms: i64,
    #[schemars(with = "String")]
    pub kind: EntityKind,
    pub key: String,
    /// The entity's name for people, as it was then.
    pub subject: String,
    #[schemars(with = "String")]
    pub severity: Severity,
    /// [`fleetlight_protocol::event::Fact::name`]
    pub fact: String,
    /// The fact's fields.
    pub detail: Value,
}

impl StoredEvent {
    /// As an event of this host would be kept.
    #[must_use]
    pub fn of(host_id: i32, event: &Event) -> Self {
        Self {
            id: event.id,
            host_id,
            at_ms: event.at_ms,
            kind: event.kind,
            key: storable(&event.key).into_owned(),
            subject: storable(&event.subject).into_owned(),
            severity: event.severity,
            fact: event.fact.name().to_owned(),
            detail: untagged(&event.brief().fact),
        }
    }
}

/// Stores all events of a flush; repeats are recognised by their ids.
pub async fn insert<'a>(
    connection: &mut PgConnection,
    batches: impl Iterator<Item = &'a Batch>,
) -> Result<(), StoreError> {
    let mut events = Vec::new();
    for batch in batches {
        let Data::Events(said) = &batch.data else { continue };
        events.extend(said.iter().map(|event| believable(StoredEvent::of(batch.host_id, event), batch.received_ms)));
    }
    if events.is_empty() {
        return Ok(());
    }
    // One order for all flushes, so that two never wait for each other.
    events.sort_by_key(|(event, _)| (event.host_id, event.id));
    let column = |of: fn(&StoredEvent) -> &str| events.iter().map(|(event, _)| of(event)).collect::<Vec<_>>();
    sqlx::query(
        "insert into events (host_id, id, at, claimed_ms, kind, key, subject, severity, fact, detail)
         select host_id, id, time_of(at), claimed_ms, kind, key, subject, severity, fact, detail
         from unnest($1::int[], $2::uuid[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $7::text[],
                     $8::smallint[], $9::text[], $10::jsonb[])
         as e (host_id, id, at, claimed_ms, kind, key, subject, severity, fact, detail)
         on conflict (host_id, id) do nothing",
    )
    .bind(events.iter().map(|(event, _)| event.host_id).collect::<Vec<_>>())
    .bind(events.iter().map(|(event, _)| event.id).collect::<Vec<_>>())
    .bind(events.iter().map(|(event, _)| event.at_ms).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, claimed)| *claimed).collect::<Vec<_>>())
    .bind(events.iter().map(|(event, _)| event.kind as i16).collect::<Vec<_>>())
    .bind(column(|event| &event.key))
    .bind(column(|event| &event.subject))
    .bind(events.iter().map(|(event, _)| number_of(event.severity)).collect::<Vec<_>>())
    .bind(column(|event| &event.fact))
    .bind(events.iter().map(|(event, _)| Json(&event.detail)).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map_err(doing("storing events"))?;
    Ok(())
}

/// An event is never dropped for its clock: where that cannot be right it is filed under its
/// arrival, and what the host claimed is kept beside.
fn believable(mut event: StoredEvent, received_ms: i64) -> (StoredEvent, Option<i64>) {
    let (age, ahead) = (EVENT_AGE.as_millis() as i64, TICK_AHEAD.as_millis() as i64);
    if (received_ms.saturating_sub(age)..=received_ms.saturating_add(ahead)).contains(&event.at_ms) {
        return (event, None);
    }
    let claimed = event.at_ms;
    event.at_ms = received_ms;
    (event, Some(claimed))
}

fn number_of(severity: Severity) -> i16 {
    match severity {
        Severity::Info => 0,
        Severity::Warn => 1,
        Severity::Crit => 2,
    }
}

fn severity_of(number: i16) -> Severity {
    match number {
        2.. => Severity::Crit,
        1 => Severity::Warn,
        _ => Severity::Info,
    }
}

fn event(row: &PgRow) -> Option<StoredEvent> {
    Some(StoredEvent {
        host_id: row.get("host_id"),
        id: row.get("id"),
        at_ms: row.get("at_ms"),
        kind: kind_of(row.get("kind"))?,
        key: row.get("key"),
        subject: row.get("subject"),
        severity: severity_of(row.get("severity")),
        fact: row.get("fact"),
        detail: row.get::<Json<Value>, _>("detail").0,
    })
}

impl Store {
    /// Newest first, at most [`EVENTS_PER_PAGE`]; of one host or of all, before a moment or up to now.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn events(
        &self,
        host_id: Option<i32>,
        before_ms: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        const SELECT: &str =
            "select host_id, id, ms_of(at) as at_ms, kind, key, subject, severity, fact, detail from events";
        // Two texts, so that each has a plan for its own index.
        let sql = match host_id {
            Some(_) => format!("{SELECT} where host_id = $1 and at < time_of($2) order by at desc, id desc limit $3"),
            None => format!("{SELECT} where $1::int is null and at < time_of($2) order by at desc, id desc limit $3"),
        };
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(host_id)
            .bind(before_ms.unwrap_or(FAR_MS).min(FAR_MS))
            .bind(limit.min(EVENTS_PER_PAGE) as i64)
            .fetch_all(&self.questions)
            .await
            .map_err(doing("reading events"))?;
        Ok(rows.iter().filter_map(event).collect())
    }

    /// Forgets events before a moment.
    pub(super) async fn forget_events_before(&self, ms: i64) -> Result<u64, StoreError> {
        let done = sqlx::query("delete from events where at < time_of($1)")
            .bind(ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting old events"))?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::event::Fact;

    #[test]
    fn an_impossible_clock_is_kept_beside_the_arrival() {
        let said = |at_ms| Event {
            id: Uuid::nil(),
            at_ms,
            kind: EntityKind::Gpu,
            key: "GPU-1\0".into(),
            subject: "gpu0".into(),
            severity: Severity::Crit,
            fact: Fact::Xid { code: 79, meaning: "fallen off the bus".into() },
        };
        let now = 1_763_715_600_000;
        let stored = |at_ms| believable(StoredEvent::of(1, &said(at_ms)), now);
        assert_eq!((stored(now - 5).0.at_ms, stored(now - 5).1), (now - 5, None));
        assert_eq!((stored(0).0.at_ms, stored(0).1), (now, Some(0)));
        assert_eq!(stored(0).0.key, "GPU-1\u{fffd}");
        assert_eq!(stored(0).0.detail["code"], 79);
    }
}
