//! Emergency stops that somebody gave on the host itself, in the audit log: a row that is closed at once, in the
//! transaction that stores the host's word as an event.
//!
//! Ids of version 4 are theirs; those that a controller gives are of version 7. What is unknown of those was asked by a
//! controller that has lost it since, as after a restore.

use super::flush::{Batch, Data};
use super::{StoreError, doing, storable};
use crate::limits::BY_HAND_AUDITED;
use fleetlight_protocol::command::CommandResult;
use fleetlight_protocol::event::{Event, Fact};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::{Uuid, Version};

const HOUR_MS: i64 = 3_600_000;

/// Writes each once, however often it is told; no more of one host than [`BY_HAND_AUDITED`] an hour.
pub(super) async fn note<'a>(
    connection: &mut PgConnection,
    batches: impl Iterator<Item = &'a Batch>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let said: BTreeMap<Uuid, (i32, &Event, &CommandResult)> = batches.flat_map(said_by).collect();
    if said.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&CommandResult) -> Option<&str>| -> Vec<Option<String>> {
        said.values().map(|(_, _, result)| of(result).map(|text| storable(text).into_owned())).collect()
    };
    sqlx::query(
        "with told as (
             select t.*, hosts.name as host_name, row_number() over (partition by host_id order by t.id) as nth
             from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
             as t (id, host_id, subject, outcome, asked, observed, reason) join hosts on hosts.id = t.host_id
             where not exists (select from audit where command_id = t.id)
                 and not exists (select from commands where commands.id = t.id)),
         written as (
             insert into audit (at, user_name, role, authenticated, address, request_id, action, host_id, subject, detail,
                                command_id)
             select time_of($8), 'host ' || host_name, '', 'by hand', '', '', 'emergency_stop', host_id, subject, '{}', id
             from told
             where nth + (select count(*) from audit where audit.host_id = told.host_id and authenticated = 'by hand'
                              and at > time_of($9)) <= $10
             returning id, command_id)
         insert into audit_closings (audit_id, at, outcome, detail)
         select written.id, time_of($8), told.outcome,
                jsonb_strip_nulls(jsonb_build_object('asked', asked, 'observed', observed, 'reason', reason))
         from written join told on told.id = written.command_id",
    )
    .bind(said.keys().copied().collect::<Vec<_>>())
    .bind(said.values().map(|(host_id, ..)| *host_id).collect::<Vec<_>>())
    .bind(said.values().map(|(_, event, _)| storable(&event.subject).into_owned()).collect::<Vec<_>>())
    .bind(said.values().map(|(.., result)| result.outcome.name()).collect::<Vec<_>>())
    .bind(texts(|result| Some(&result.asked)))
    .bind(texts(|result| Some(&result.observed)))
    .bind(texts(|result| result.reason.as_deref()))
    .bind(now_ms)
    .bind(now_ms - HOUR_MS)
    .bind(BY_HAND_AUDITED)
    .execute(connection)
    .await
    .map_err(doing("writing what was done by hand into the audit log"))?;
    Ok(())
}

fn said_by(batch: &Batch) -> impl Iterator<Item = (Uuid, (i32, &Event, &CommandResult))> {
    let events = if let Data::Events(events) = &batch.data { events.as_slice() } else { &[] };
    events.iter().filter_map(|event| match &event.fact {
        Fact::CommandFinished(result) if result.command.get_version() == Some(Version::Random) => {
            Some((result.command, (batch.host_id, event, result.as_ref())))
        }
        _ => None,
    })
}
