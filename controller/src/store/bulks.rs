//! Bulks: the same action on many containers, batch after batch. What a bulk has come to is read from the commands of
//! its items; [`Store::step_bulk`] is the one place where it goes on.

use super::audit::{self, Act, Links, Who};
use super::commands::{self, NewCommand, action_json};
use super::{Store, StoreError, doing, storable, storable_json};
use crate::limits::BULKS_PER_PAGE;
use fleetlight_protocol::command::Action;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use uuid::Uuid;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct NewBulk {
    pub id: Uuid,
    /// `container.restart`
    pub name: String,
    /// As it was asked, for people.
    pub selection: Value,
    pub batch_size: i32,
    pub stop_on_failure: bool,
    pub deadline_seconds: i32,
    pub asked_ms: i64,
    /// In their order, each with the number of its batch.
    pub items: Vec<NewItem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    pub batch: i32,
    pub host_id: i32,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BulkRecord {
    pub id: Uuid,
    pub name: String,
    pub selection: Value,
    pub batch_size: i32,
    pub stop_on_failure: bool,
    pub by: String,
    pub asked_ms: i64,
    /// `running`, `done`, `stopped`, `cancelled`
    pub state: String,
    pub reason: Option<String>,
    pub closed_ms: Option<i64>,
    /// Items, those whose commands have ended, and those of them that are verified.
    pub total: i64,
    pub ended: i64,
    pub verified: i64,
}

/// One container of a bulk.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkItem {
    pub position: i32,
    pub batch: i32,
    pub host_id: i32,
    pub host_name: String,
    pub action: Value,
    pub command_id: Option<Uuid>,
    /// Of its command, once it has one: `queued`, `sent`, `finished`.
    pub state: Option<String>,
    pub outcome: Option<String>,
    pub observed: Option<String>,
    pub reason: Option<String>,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Some of its commands are open, or it has ended before.
    Waits,
    /// These were asked, and wait for a stream.
    Asked(Vec<Uuid>),
    Ended,
}

const SELECT: &str = "select b.id, b.name, b.selection, b.batch_size, b.stop_on_failure, b.who ->> 'name' as by,
    ms_of(b.asked_at) as asked_ms, b.state, b.reason, ms_of(b.closed_at) as closed_ms, n.total, n.ended, n.verified
    from bulks as b cross join lateral (
        select count(*) as total, count(*) filter (where c.state = 'finished') as ended,
               count(*) filter (where c.outcome = 'verified') as verified
        from bulk_items as i left join commands as c on c.id = i.command_id where i.bulk_id = b.id) as n";

impl Store {
    /// Stores a bulk, of which nothing is asked yet, and its row of the audit log.
    ///
    /// # Errors
    /// The database does not answer; a refusal if a host is gone.
    pub async fn make_bulk(&self, bulk: &NewBulk, who: &Who) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await.map_err(doing("storing a bulk"))?;
        let mut selection = bulk.selection.clone();
        storable_json(&mut selection);
        sqlx::query(
            "insert into bulks (id, name, selection, batch_size, stop_on_failure, deadline_seconds, who, asked_at, state)
             values ($1, $2, $3, $4, $5, $6, $7, time_of($8), 'running')",
        )
        .bind(bulk.id)
        .bind(&bulk.name)
        .bind(Json(&selection))
        .bind(bulk.batch_size)
        .bind(bulk.stop_on_failure)
        .bind(bulk.deadline_seconds)
        .bind(Json(who))
        .bind(bulk.asked_ms)
        .execute(&mut *transaction)
        .await
        .map_err(doing("storing a bulk"))?;
        sqlx::query(
            "insert into bulk_items (bulk_id, position, batch, host_id, action)
             select $1, position - 1, batch, host_id, action
             from unnest($2::int[], $3::int[], $4::jsonb[]) with ordinality as i (batch, host_id, action, position)",
        )
        .bind(bulk.id)
        .bind(bulk.items.iter().map(|item| item.batch).collect::<Vec<_>>())
        .bind(bulk.items.iter().map(|item| item.host_id).collect::<Vec<_>>())
        .bind(bulk.items.iter().map(|item| Json(action_json(&item.action))).collect::<Vec<_>>())
        .execute(&mut *transaction)
        .await
        .map_err(doing("storing a bulk's items"))?;
        let detail = json!({
            "selection": selection, "items": bulk.items.len(), "batch_size": bulk.batch_size,
            "stop_on_failure": bulk.stop_on_failure,
        });
        let subject = format!("{} containers", bulk.items.len());
        let act = Act { action: format!("bulk.{}", bulk.name), host_id: None, subject, detail };
        let links = Links { command_id: None, bulk_id: Some(bulk.id) };
        audit::insert(&mut transaction, who, &act, links, bulk.asked_ms).await?;
        transaction.commit().await.map_err(doing("storing a bulk"))
    }

    /// Newest first, at most [`BULKS_PER_PAGE`].
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn bulks(&self, before: Option<Uuid>, limit: usize) -> Result<Vec<BulkRecord>, StoreError> {
        let sql = format!("{SELECT} where $1::uuid is null or b.id < $1 order by b.id desc limit $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(before)
            .bind(limit.min(BULKS_PER_PAGE) as i64)
            .fetch_all(&self.questions)
            .await
            .map_err(doing("listing bulks"))?;
        Ok(rows.iter().map(record).collect())
    }

    /// A bulk with its items in their order.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn bulk(&self, id: Uuid) -> Result<Option<(BulkRecord, Vec<BulkItem>)>, StoreError> {
        let sql = AssertSqlSafe(format!("{SELECT} where b.id = $1"));
        let row = sqlx::query(sql).bind(id).fetch_optional(&self.pool).await.map_err(doing("reading a bulk"))?;
        let Some(row) = row else { return Ok(None) };
        let items = sqlx::query(
            "select i.position, i.batch, i.host_id, hosts.name as host_name, i.action, i.command_id, c.state, c.outcome,
                    c.observed, c.reason
             from bulk_items as i join hosts on hosts.id = i.host_id left join commands as c on c.id = i.command_id
             where i.bulk_id = $1 order by i.position",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("reading a bulk's items"))?;
        Ok(Some((record(&row), items.iter().map(item).collect())))
    }

    /// # Errors
    /// The database does not answer.
    pub async fn running_bulks(&self) -> Result<Vec<Uuid>, StoreError> {
        sqlx::query_scalar("select id from bulks where state = 'running' order by id")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("reading running bulks"))
    }

    /// No further batch begins; whether the bulk was running. What has begun goes to its end.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn cancel_bulk(&self, id: Uuid, by: &str, now_ms: i64) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await.map_err(doing("cancelling a bulk"))?;
        let running = hold(&mut transaction, id).await?.is_some();
        if running {
            let reason = format!("cancelled by {by}");
            end(&mut transaction, id, "cancelled", Some(&reason), now_ms).await?;
        }
        transaction.commit().await.map_err(doing("cancelling a bulk"))?;
        Ok(running)
    }

    /// Goes on with a bulk whose commands have all ended: asks its next batch, or closes it.
    ///
    /// # Errors
    /// The database does not answer; nothing has changed then.
    pub async fn step_bulk(&self, id: Uuid, now_ms: i64) -> Result<Step, StoreError> {
        self.within("going on with a bulk", async |connection| {
            let mut transaction = connection.begin().await.map_err(doing("going on with a bulk"))?;
            let Some(held) = hold(&mut transaction, id).await? else { return Ok(Step::Waits) };
            let (open, failed): (i64, i64) = sqlx::query_as(
                "select count(*) filter (where state <> 'finished'),
                        count(*) filter (where state = 'finished' and outcome <> 'verified')
                 from bulk_items join commands on commands.id = command_id where bulk_items.bulk_id = $1",
            )
            .bind(id)
            .fetch_one(&mut *transaction)
            .await
            .map_err(doing("reading a bulk's commands"))?;
            if open > 0 {
                return Ok(Step::Waits);
            }
            if failed > 0 && held.stop_on_failure {
                let reason = format!("{failed} of the last batch not verified; the rest was not begun");
                end(&mut transaction, id, "stopped", Some(&reason), now_ms).await?;
                transaction.commit().await.map_err(doing("closing a bulk"))?;
                return Ok(Step::Ended);
            }
            if !held.may_go_on(&mut transaction, id).await? {
                let reason = "whoever asked for it was disabled; the rest was not begun";
                end(&mut transaction, id, "stopped", Some(reason), now_ms).await?;
                transaction.commit().await.map_err(doing("closing a bulk"))?;
                return Ok(Step::Ended);
            }
            let asked = held.next_batch(&mut transaction, id, now_ms).await?;
            if asked.is_empty() {
                end(&mut transaction, id, "done", None, now_ms).await?;
            }
            transaction.commit().await.map_err(doing("going on with a bulk"))?;
            Ok(if asked.is_empty() { Step::Ended } else { Step::Asked(asked) })
        })
        .await
    }
}

/// A running bulk that nobody else steps meanwhile.
struct Held {
    stop_on_failure: bool,
    deadline_seconds: i32,
    who: Who,
}

async fn hold(connection: &mut PgConnection, id: Uuid) -> Result<Option<Held>, StoreError> {
    let row = sqlx::query(
        "select stop_on_failure, deadline_seconds, who from bulks, set_config('synchronous_commit', 'on', true)
         where id = $1 and state = 'running' for update of bulks",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(doing("reading a bulk"))?;
    Ok(row.map(|row| Held {
        stop_on_failure: row.get(0),
        deadline_seconds: row.get(1),
        who: row.get::<Json<Who>, _>(2).0,
    }))
}

impl Held {
    /// Whether nothing is left to begin, or the account that asked for it is not disabled.
    async fn may_go_on(&self, connection: &mut PgConnection, id: Uuid) -> Result<bool, StoreError> {
        let query = "select not exists (select from bulk_items where bulk_id = $1 and command_id is null)
                            or not exists (select from users where id = $2 and not active)";
        sqlx::query_scalar(query)
            .bind(id)
            .bind(self.who.user_id)
            .fetch_one(connection)
            .await
            .map_err(doing("looking up who asked for a bulk"))
    }

    /// Asks the commands of the next items; none if all were asked.
    async fn next_batch(&self, connection: &mut PgConnection, id: Uuid, now_ms: i64) -> Result<Vec<Uuid>, StoreError> {
        let items = sqlx::query(
            "select position, host_id, action from bulk_items where bulk_id = $1 and batch =
                 (select min(batch) from bulk_items where bulk_id = $1 and command_id is null)
             order by position",
        )
        .bind(id)
        .fetch_all(&mut *connection)
        .await
        .map_err(doing("reading a bulk's items"))?;
        let mut asked = Vec::new();
        for item in &items {
            let action: Value = item.get::<Json<Value>, _>(2).0;
            let action = serde_json::from_value(action).map_err(|error| StoreError::Unreadable {
                doing: "going on with a bulk",
                what: format!("an item's action: {error}"),
            })?;
            let command = NewCommand {
                id: Uuid::now_v7(),
                host_id: item.get(1),
                action,
                asked_ms: now_ms,
                deadline_ms: now_ms + i64::from(self.deadline_seconds) * 1_000,
                sent: false,
                bulk_id: Some(id),
            };
            commands::insert(connection, &command, &self.who).await?;
            sqlx::query("update bulk_items set command_id = $3 where bulk_id = $1 and position = $2")
                .bind(id)
                .bind(item.get::<i32, _>(0))
                .bind(command.id)
                .execute(&mut *connection)
                .await
                .map_err(doing("noting a bulk's command"))?;
            asked.push(command.id);
        }
        Ok(asked)
    }
}

async fn end(
    connection: &mut PgConnection,
    id: Uuid,
    state: &str,
    reason: Option<&str>,
    now_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "with ended as (
             update bulks set state = $2, reason = $3, closed_at = time_of($4) where id = $1)
         insert into audit_closings (audit_id, at, outcome, detail)
         select id, time_of($4), $2, jsonb_strip_nulls(jsonb_build_object('reason', $3::text))
         from audit where bulk_id = $1 and command_id is null",
    )
    .bind(id)
    .bind(state)
    .bind(reason.map(storable))
    .bind(now_ms)
    .execute(connection)
    .await
    .map_err(doing("closing a bulk"))?;
    Ok(())
}

fn record(row: &PgRow) -> BulkRecord {
    BulkRecord {
        id: row.get("id"),
        name: row.get("name"),
        selection: row.get::<Json<Value>, _>("selection").0,
        batch_size: row.get("batch_size"),
        stop_on_failure: row.get("stop_on_failure"),
        by: row.get::<Option<String>, _>("by").unwrap_or_default(),
        asked_ms: row.get("asked_ms"),
        state: row.get("state"),
        reason: row.get("reason"),
        closed_ms: row.get("closed_ms"),
        total: row.get("total"),
        ended: row.get("ended"),
        verified: row.get("verified"),
    }
}

fn item(row: &PgRow) -> BulkItem {
    BulkItem {
        position: row.get("position"),
        batch: row.get("batch"),
        host_id: row.get("host_id"),
        host_name: row.get("host_name"),
        action: row.get::<Json<Value>, _>("action").0,
        command_id: row.get("command_id"),
        state: row.get("state"),
        outcome: row.get("outcome"),
        observed: row.get("observed"),
        reason: row.get("reason"),
    }
}
