//! Inventory: documents with validity times.

use super::flush::{Batch, Data};
use super::{Store, StoreError, doing, storable, untagged};
use crate::limits::{CONFIRM_AFTER, MOMENT_ROWS};
use fleetlight_protocol::document::{Body, Document, fingerprint};
use fleetlight_protocol::samples::EntityKind;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use std::borrow::Cow;

/// Takes all documents of a flush in, in their order.
pub async fn put<'a>(
    connection: &mut PgConnection,
    batches: impl Iterator<Item = &'a Batch>,
) -> Result<(), StoreError> {
    let mut hosts = Vec::new();
    let mut kinds = Vec::new();
    let mut keys: Vec<Cow<'_, str>> = Vec::new();
    let mut times = Vec::new();
    let mut bodies = Vec::new();
    let mut epochs = Vec::new();
    for batch in batches {
        let Data::Documents(documents) = &batch.data else { continue };
        for document in documents {
            hosts.push(batch.host_id);
            kinds.push(document.kind as i16);
            keys.push(storable(&document.key));
            times.push(believable(document.observed_ms, batch.received_ms));
            bodies.push(document.body.as_ref().map(|body| Json(inside(body))));
            epochs.push(batch.epoch);
        }
    }
    if hosts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "select put_document(host_id, kind, key, time_of(at), body, epoch)
         from unnest($1::int[], $2::smallint[], $3::text[], $4::bigint[], $5::jsonb[], $6::uuid[])
         as d (host_id, kind, key, at, body, epoch)",
    )
    .bind(hosts)
    .bind(kinds)
    .bind(keys)
    .bind(times)
    .bind(bodies)
    .bind(epochs)
    .execute(connection)
    .await
    .map_err(doing("storing documents"))?;
    Ok(())
}

/// A document describes the present: where the host's clock cannot be right, it is true from its arrival on.
/// Never later: after a clock that ran ahead is set right, what comes next would look old.
fn believable(observed_ms: i64, received_ms: i64) -> i64 {
    if (0..=received_ms).contains(&observed_ms) { observed_ms } else { received_ms }
}

/// The body as people read it in the table: without the enum's outer name, which the kind gives.
fn inside(body: &Body) -> Value {
    untagged(body)
}

/// The inverse of [`inside`]. Bodies of a newer build may not be readable: they are then not known.
fn body(kind: EntityKind, inside: Value) -> Option<Body> {
    let mut tagged = serde_json::Map::new();
    tagged.insert(kind.name().to_owned(), inside);
    serde_json::from_value(Value::Object(tagged)).ok()
}

fn document(row: &PgRow) -> Option<Document> {
    let kind = kind_of(row.get("kind"))?;
    let body = row.get::<Option<Json<Value>>, _>("body").map(|Json(inside)| body(kind, inside));
    // A body that was there and cannot be read is left out; none at all is a document too.
    let body = match body {
        Some(None) => return None,
        Some(Some(body)) => Some(body),
        None => None,
    };
    Some(Document { kind, key: row.get("key"), observed_ms: row.get("at_ms"), body })
}

/// The kind of a column.
pub(super) fn kind_of(number: i16) -> Option<EntityKind> {
    u8::try_from(number).ok().and_then(EntityKind::from_wire)
}

impl Store {
    /// What was true of a host at a moment; `None`: what is true now.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn documents(&self, host_id: i32, at_ms: Option<i64>) -> Result<Vec<Document>, StoreError> {
        let query = match at_ms {
            None => sqlx::query(
                "select kind, key, ms_of(valid_from) as at_ms, body from inventory
                 where host_id = $1 and valid_to is null order by kind, key",
            )
            .bind(host_id),
            Some(at_ms) => sqlx::query(
                "select kind, key, ms_of(valid_from) as at_ms, body from inventory
                 where host_id = $1 and valid_from <= time_of($2) and (valid_to is null or valid_to > time_of($2))
                 order by kind, key",
            )
            .bind(host_id)
            .bind(at_ms),
        };
        let rows = query.fetch_all(&self.pool).await.map_err(doing("reading documents"))?;
        Ok(rows.iter().filter_map(document).collect())
    }

    /// What was true of all hosts at a moment, each with its host.
    pub(super) async fn fleet_documents(
        &self,
        kinds: &[EntityKind],
        at_ms: i64,
    ) -> Result<Vec<(i32, Document)>, StoreError> {
        let kinds: Vec<i16> = kinds.iter().map(|kind| *kind as i16).collect();
        let rows = sqlx::query(
            "select host_id, kind, key, ms_of(valid_from) as at_ms, body from inventory
             where valid_from <= time_of($1) and (valid_to is null or valid_to > time_of($1)) and kind = any($2)
             order by host_id, kind, key limit $3",
        )
        .bind(at_ms)
        .bind(kinds)
        .bind(MOMENT_ROWS as i64 + 1)
        .fetch_all(&self.questions)
        .await
        .map_err(doing("reading the documents of a moment"))?;
        Ok(rows.iter().filter_map(|row| Some((row.get("host_id"), document(row)?))).collect())
    }

    /// Which of an agent's kinds differ from what is stored, by their hashes.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn differing(
        &self,
        host_id: i32,
        hashes: &[(EntityKind, String)],
    ) -> Result<Vec<EntityKind>, StoreError> {
        let documents = self.documents(host_id, None).await?;
        let differs = |kind: EntityKind, hash: &str| {
            let of_kind = documents.iter().filter(|document| document.kind == kind);
            let bodies = of_kind.filter_map(|document| Some((document.key.as_str(), document.body.as_ref()?)));
            fingerprint(bodies) != hash
        };
        Ok(hashes.iter().filter(|(kind, hash)| differs(*kind, hash)).map(|(kind, _)| *kind).collect())
    }

    /// Ends the documents that a host's running agent has not confirmed since it started: what they
    /// describe vanished while no agent looked. Each comes back without a body, for the live view.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn end_unconfirmed(&self, now_ms: i64) -> Result<Vec<(i32, Document)>, StoreError> {
        let rows = sqlx::query(
            "with running as (
                 select distinct on (host_id) host_id, epoch, live_at from ledger
                 where live_at is not null order by host_id, live_at desc)
             update inventory set valid_to = greatest(live_at, valid_from + interval '1 millisecond')
             from running where inventory.host_id = running.host_id and valid_to is null
             and said_epoch <> running.epoch and said_at < live_at and live_at < time_of($1)
             returning inventory.host_id, kind, key, ms_of(valid_to) as at_ms, null::jsonb as body",
        )
        .bind(now_ms.saturating_sub(CONFIRM_AFTER.as_millis() as i64))
        .fetch_all(&self.pool)
        .await
        .map_err(doing("ending unconfirmed documents"))?;
        Ok(rows.iter().filter_map(|row| Some((row.get("host_id"), document(row)?))).collect())
    }

    /// Forgets documents that ended before a moment.
    pub(super) async fn forget_documents_before(&self, ms: i64) -> Result<u64, StoreError> {
        let done = sqlx::query("delete from inventory where valid_to < time_of($1)")
            .bind(ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting old documents"))?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::document::{
        CollectorDocument, ContainerDocument, GpuDocument, GpuDriverDocument, GpuProcessDocument, HostDocument,
        MountDocument,
    };
    use fleetlight_protocol::samples::MountState;
    use serde_json::json;

    #[test]
    fn every_body_survives_without_its_outer_name() {
        let mount = MountDocument {
            mount_point: "/".into(),
            source: "/dev/sda1".into(),
            fs_type: "ext4".into(),
            options: "rw".into(),
            remote: false,
            state: MountState::Ok,
            reason: String::new(),
        };
        let bodies = [
            (EntityKind::Host, Body::Host(HostDocument { cpu_count: 3, ..Default::default() })),
            (EntityKind::Mount, Body::Mount(mount)),
            (EntityKind::Gpu, Body::Gpu(Box::new(GpuDocument { index: 2, ..Default::default() }))),
            (EntityKind::GpuDriver, Body::GpuDriver(GpuDriverDocument { gpus: 1, ..Default::default() })),
            (EntityKind::GpuProcess, Body::GpuProcess(GpuProcessDocument { pid: 7, ..Default::default() })),
            (EntityKind::Container, Body::Container(Box::new(ContainerDocument { restarts: 4, ..Default::default() }))),
            (EntityKind::Collector, Body::Collector(CollectorDocument { interval_ms: 5, ..Default::default() })),
        ];
        for (kind, original) in bodies {
            assert_eq!(body(kind, inside(&original)), Some(original), "{}", kind.name());
        }
        assert_eq!(body(EntityKind::Core, json!({})), None, "cores have no documents");
    }

    #[test]
    fn impossible_times_become_the_arrival() {
        assert_eq!(believable(5_000, 9_000), 5_000, "old news is news");
        assert_eq!(believable(9_001, 9_000), 9_000, "a clock that is a little ahead");
        assert_eq!(believable(i64::MAX, 9_000), 9_000);
        assert_eq!(believable(-1, 9_000), 9_000);
    }
}
