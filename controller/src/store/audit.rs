//! The audit log: a row before each act, a closing after it. Rows are never changed or deleted (0041_audit.sql).

use super::{Store, StoreError, doing, storable, storable_json};
use crate::limits::{AUDIT_OPEN_FOR, AUDIT_PER_PAGE, COMMAND_GIVEN_UP_AFTER};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder, Row};
use uuid::Uuid;

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// None for a name that is no account's.
    pub user_id: Option<i32>,
    pub name: String,
    pub role: String,
    /// How they proved who they are: `session`, `token`, `password`, …
    pub authenticated: String,
    pub address: String,
    pub request_id: String,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// `container.restart`, `join_token.make`.
    pub action: String,
    pub host_id: Option<i32>,
    /// What it is done to, for people.
    pub subject: String,
    pub detail: Value,
}

/// An act and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AuditRecord {
    pub id: i64,
    pub at_ms: i64,
    pub user_id: Option<i32>,
    pub user: String,
    pub role: String,
    pub authenticated: String,
    pub address: String,
    pub request_id: String,
    pub action: String,
    pub host_id: Option<i32>,
    pub host: Option<String>,
    pub subject: String,
    pub detail: Value,
    pub command_id: Option<Uuid>,
    pub bulk_id: Option<Uuid>,
    /// `open` until it is closed.
    pub outcome: String,
    pub result: Option<Value>,
    pub closed_ms: Option<i64>,
    /// The truth about an act that had been closed without it.
    pub late: bool,
}

/// Which acts; all of them without any.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub user: Option<String>,
    /// A whole name, or the part before the dot.
    pub action: Option<String>,
    pub host_id: Option<i32>,
    pub outcome: Option<String>,
    pub from_ms: Option<i64>,
    pub to_ms: Option<i64>,
    /// Only rows before this one.
    pub before: Option<i64>,
}

impl Store {
    /// Writes that an act is about to begin; its number.
    ///
    /// # Errors
    /// The database does not answer: the act must not begin.
    pub async fn begin_audit(&self, who: &Who, act: &Act, now_ms: i64) -> Result<i64, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(doing("reaching the database"))?;
        insert(&mut connection, who, act, Links::default(), now_ms).await
    }

    /// Writes how an act ended.
    ///
    /// # Errors
    /// The database does not answer; the sweep closes it later.
    pub async fn close_audit(&self, id: i64, outcome: &str, detail: Value, now_ms: i64) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await.map_err(doing("reaching the database"))?;
        close(&mut connection, id, outcome, detail, now_ms).await
    }

    /// Writes an act that has ended already: a login, a refusal.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn note_audit(&self, who: &Who, act: &Act, outcome: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await.map_err(doing("writing the audit log"))?;
        let id = insert(&mut transaction, who, act, Links::default(), now_ms).await?;
        close(&mut transaction, id, outcome, json!({}), now_ms).await?;
        transaction.commit().await.map_err(doing("writing the audit log"))
    }

    /// Newest first, at most [`AUDIT_PER_PAGE`].
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        let mut query = QueryBuilder::new(
            "select id, ms_of(at) as at_ms, user_id, user_name, role, authenticated, address, request_id, action, host_id,
                    host_name, subject, detail, command_id, bulk_id, outcome, result, ms_of(closed_at) as closed_ms, late
             from audit_log where true",
        );
        if let Some(before) = filter.before {
            query.push(" and id < ").push_bind(before);
        }
        if let Some(user) = &filter.user {
            query.push(" and user_name = ").push_bind(storable(user).into_owned());
        }
        if let Some(action) = &filter.action {
            let action = storable(action).into_owned();
            query.push(" and (action = ").push_bind(action.clone());
            query.push(" or split_part(action, '.', 1) = ").push_bind(action).push(")");
        }
        if let Some(host_id) = filter.host_id {
            query.push(" and host_id = ").push_bind(host_id);
        }
        if let Some(outcome) = &filter.outcome {
            query.push(" and outcome = ").push_bind(storable(outcome).into_owned());
        }
        if let Some(from_ms) = filter.from_ms {
            query.push(" and at >= time_of(").push_bind(from_ms.clamp(0, super::FAR_MS)).push(")");
        }
        if let Some(to_ms) = filter.to_ms {
            query.push(" and at < time_of(").push_bind(to_ms.clamp(0, super::FAR_MS)).push(")");
        }
        query.push(" order by id desc limit ").push_bind(limit.min(AUDIT_PER_PAGE) as i64);
        let rows = query.build().fetch_all(&self.questions).await.map_err(doing("reading the audit log"))?;
        Ok(rows.iter().map(record).collect())
    }

    /// Closes acts that whoever did them never closed: the caller broke off, or the controller went down, between the act
    /// and its closing.
    /// Those of commands and bulks are closed with them. What is older than a month, counted back from the last act
    /// before a controller that was away for longer, has been looked at.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sweep_audit(&self, now_ms: i64) -> Result<u64, StoreError> {
        let words =
            "nobody wrote how this ended: whoever asked broke off, or the controller stopped; look at what is true now";
        let done = sqlx::query(
            "insert into audit_closings (audit_id, at, outcome, detail)
             select id, time_of($1), 'unknown', jsonb_build_object('reason', $4::text)
             from audit where command_id is null and bulk_id is null
                 and at > least(time_of($2), (select max(at) from audit where at < time_of($3)) - interval '30 d')
                 and at < time_of($3)
                 and not exists (select from audit_closings where audit_id = audit.id)",
        )
        .bind(now_ms)
        .bind(now_ms - COMMAND_GIVEN_UP_AFTER.as_millis() as i64)
        .bind(now_ms - AUDIT_OPEN_FOR.as_millis() as i64)
        .bind(words)
        .execute(&self.pool)
        .await
        .map_err(doing("closing what the audit log has open"))?;
        Ok(done.rows_affected())
    }
}

/// What an act belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Links {
    pub command_id: Option<Uuid>,
    pub bulk_id: Option<Uuid>,
}

/// The number of a new row. Its commit waits for the disk, whatever the server's default is.
pub(super) async fn insert(
    connection: &mut PgConnection,
    who: &Who,
    act: &Act,
    links: Links,
    now_ms: i64,
) -> Result<i64, StoreError> {
    let mut detail = act.detail.clone();
    storable_json(&mut detail);
    sqlx::query_scalar(
        "insert into audit (at, user_id, user_name, role, authenticated, address, request_id, action, host_id, subject,
                            detail, command_id, bulk_id)
         select time_of($1), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
         from set_config('synchronous_commit', 'on', true)
         returning id",
    )
    .bind(now_ms)
    .bind(who.user_id)
    .bind(storable(&who.name))
    .bind(storable(&who.role))
    .bind(storable(&who.authenticated))
    .bind(storable(&who.address))
    .bind(storable(&who.request_id))
    .bind(storable(&act.action))
    .bind(act.host_id)
    .bind(storable(&act.subject))
    .bind(Json(detail))
    .bind(links.command_id)
    .bind(links.bulk_id)
    .fetch_one(connection)
    .await
    .map_err(doing("writing the audit log"))
}

pub(super) async fn close(
    connection: &mut PgConnection,
    id: i64,
    outcome: &str,
    mut detail: Value,
    now_ms: i64,
) -> Result<(), StoreError> {
    storable_json(&mut detail);
    sqlx::query("insert into audit_closings (audit_id, at, outcome, detail) values ($1, time_of($2), $3, $4)")
        .bind(id)
        .bind(now_ms)
        .bind(storable(outcome))
        .bind(Json(detail))
        .execute(connection)
        .await
        .map_err(doing("closing an act in the audit log"))?;
    Ok(())
}

fn record(row: &PgRow) -> AuditRecord {
    AuditRecord {
        id: row.get("id"),
        at_ms: row.get("at_ms"),
        user_id: row.get("user_id"),
        user: row.get("user_name"),
        role: row.get("role"),
        authenticated: row.get("authenticated"),
        address: row.get("address"),
        request_id: row.get("request_id"),
        action: row.get("action"),
        host_id: row.get("host_id"),
        host: row.get("host_name"),
        subject: row.get("subject"),
        detail: row.get::<Json<Value>, _>("detail").0,
        command_id: row.get("command_id"),
        bulk_id: row.get("bulk_id"),
        outcome: row.get("outcome"),
        result: row.get::<Option<Json<Value>>, _>("result").map(|result| result.0),
        closed_ms: row.get("closed_ms"),
        late: row.get("late"),
    }
}
