//! Commands: what was asked of hosts, and what became of it. Each change of one changes the audit log with it.

use super::audit::Who;
use super::{Store, StoreError, doing, storable};
use crate::limits::{COMMAND_GIVEN_UP_AFTER, COMMANDS_PER_PAGE};
use fleetlight_protocol::command::{Action, Command, CommandResult, Outcome};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How far a command is, as the database knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No stream has carried it.
    Queued,
    /// A stream may have carried it: only its host knows what became of it.
    Sent,
    Finished,
}

/// A command that is asked now.
#[derive(Debug, Clone)]
pub struct NewCommand {
    pub id: Uuid,
    pub host_id: i32,
    pub action: Action,
    pub asked_ms: i64,
    pub deadline_ms: i64,
    /// It goes out as soon as it is stored.
    pub sent: bool,
    pub bulk_id: Option<Uuid>,
}

/// A command as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRecord {
    pub id: Uuid,
    pub host_id: i32,
    pub host_name: String,
    pub action: Value,
    pub name: String,
    pub subject: String,
    pub user_id: Option<i32>,
    pub user_name: String,
    pub asked_ms: i64,
    pub deadline_ms: i64,
    pub state: State,
    pub cancel_requested: bool,
    pub bulk_id: Option<Uuid>,
    pub end: Option<End>,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    pub closed_ms: i64,
    pub outcome: String,
    pub asked: Option<String>,
    pub observed: Option<String>,
    pub reason: Option<String>,
    pub began_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub exit_code: Option<i64>,
    pub head: String,
    pub tail: String,
    pub dropped_bytes: i64,
    pub late: bool,
}

/// Which commands.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommandFilter {
    pub host_id: Option<i32>,
    pub open: bool,
    /// Only those asked before this one.
    pub before: Option<Uuid>,
}

impl CommandRecord {
    /// As it was asked a moment ago.
    #[must_use]
    pub fn of(command: &NewCommand, host_name: String, who: &Who) -> Self {
        Self {
            id: command.id,
            host_id: command.host_id,
            host_name,
            action: action_json(&command.action),
            name: command.action.name().to_owned(),
            subject: command.action.subject().to_owned(),
            user_id: who.user_id,
            user_name: who.name.clone(),
            asked_ms: command.asked_ms,
            deadline_ms: command.deadline_ms,
            state: if command.sent { State::Sent } else { State::Queued },
            cancel_requested: false,
            bulk_id: command.bulk_id,
            end: None,
        }
    }

    /// As it goes to the host; none if a newer controller has asked for what this one does not know.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        let action = serde_json::from_value(self.action.clone()).ok()?;
        let (asked_ms, deadline_ms) = (self.asked_ms, self.deadline_ms);
        Some(Command { id: self.id, asked_ms, deadline_ms, by: self.user_name.clone(), action })
    }
}

const SELECT: &str =
    "select c.id, c.host_id, hosts.name as host_name, c.action, c.name, c.subject, c.user_id, c.user_name,
    ms_of(c.asked_at) as asked_ms, ms_of(c.deadline) as deadline_ms, c.state, c.cancel_requested, c.bulk_id,
    ms_of(c.closed_at) as closed_ms, c.outcome, c.asked, c.observed, c.reason, c.began_ms, c.ended_ms, c.exit_code,
    c.output_head, c.output_tail, c.output_dropped_bytes, c.late
    from commands as c join hosts on hosts.id = c.host_id";

impl Store {
    /// Stores a command and its row of the audit log, in one transaction.
    ///
    /// # Errors
    /// The database does not answer; a refusal if there is no such host.
    pub async fn ask(&self, command: &NewCommand, who: &Who) -> Result<(), StoreError> {
        self.within("storing a command", async |connection| insert(connection, command, who).await).await
    }

    /// # Errors
    /// The database does not answer.
    pub async fn command(&self, id: Uuid) -> Result<Option<CommandRecord>, StoreError> {
        self.within("reading a command", async |connection| {
            let sql = AssertSqlSafe(format!("{SELECT} where c.id = $1"));
            let row = sqlx::query(sql).bind(id).fetch_optional(connection).await.map_err(doing("reading a command"))?;
            row.as_ref().map(record).transpose()
        })
        .await
    }

    /// All that are not closed, oldest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open_commands(&self) -> Result<Vec<CommandRecord>, StoreError> {
        self.within("reading open commands", async |connection| {
            let sql = AssertSqlSafe(format!("{SELECT} where c.state <> 'finished' order by c.id"));
            let rows = sqlx::query(sql).fetch_all(connection).await.map_err(doing("reading open commands"))?;
            rows.iter().map(record).collect()
        })
        .await
    }

    /// Newest first, at most [`COMMANDS_PER_PAGE`].
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn commands(&self, filter: CommandFilter, limit: usize) -> Result<Vec<CommandRecord>, StoreError> {
        let of_host = if filter.host_id.is_some() { "c.host_id = $1" } else { "$1::int is null" };
        let open = if filter.open { "and c.state <> 'finished'" } else { "" };
        let before = if filter.before.is_some() { "c.id < $2" } else { "$2::uuid is null" };
        let sql = format!("{SELECT} where {of_host} {open} and {before} order by c.id desc limit $3");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(filter.host_id)
            .bind(filter.before)
            .bind(limit.min(COMMANDS_PER_PAGE) as i64)
            .fetch_all(&self.questions)
            .await
            .map_err(doing("listing commands"))?;
        rows.iter().map(record).collect()
    }

    /// From now on a stream may carry these; those of them that were still waiting for one.
    ///
    /// # Errors
    /// The database does not answer: no stream may carry them.
    pub async fn send_commands(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        self.within("noting that commands go out", async |connection| {
            sqlx::query_scalar(
                "update commands set state = 'sent' from set_config('synchronous_commit', 'on', true)
                 where id = any($1) and state = 'queued' returning id",
            )
            .bind(ids)
            .fetch_all(connection)
            .await
            .map_err(doing("noting that commands go out"))
        })
        .await
    }

    /// No stream has carried it after all.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn queue_command(&self, id: Uuid) -> Result<(), StoreError> {
        self.within("noting that a command did not go out", async |connection| {
            sqlx::query("update commands set state = 'queued' where id = $1 and state = 'sent'")
                .bind(id)
                .execute(connection)
                .await
                .map_err(doing("noting that a command did not go out"))?;
            Ok(())
        })
        .await
    }

    /// Asks for a command's end; closes it at once if no stream has carried it. Without effect on a closed one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn cancel_command(&self, id: Uuid, now_ms: i64) -> Result<(), StoreError> {
        self.within("cancelling a command", async |connection| {
            let mut transaction = connection.begin().await.map_err(doing("cancelling a command"))?;
            sqlx::query("update commands set cancel_requested = true where id = $1 and state <> 'finished'")
                .bind(id)
                .execute(&mut *transaction)
                .await
                .map_err(doing("cancelling a command"))?;
            // By whom is its own row of the audit log.
            let words = (Outcome::Cancelled, "cancelled before it went to the host; nothing was done");
            close_where(&mut transaction, "id = $1 and state = 'queued'", Bound::Id(id), words, now_ms).await?;
            transaction.commit().await.map_err(doing("cancelling a command"))
        })
        .await
    }

    /// Closes what no stream has carried by its deadline; which commands.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn expire_commands(&self, now_ms: i64) -> Result<Vec<Uuid>, StoreError> {
        let late = "state = 'queued' and deadline < time_of($1)";
        let words = (Outcome::Expired, "the host could not be reached before the deadline; nothing was done");
        self.within("closing commands", async |connection| {
            close_where(connection, late, Bound::Ms(now_ms), words, now_ms).await
        })
        .await
    }

    /// Closes what can never end by itself: its host has no agent any more, or has said nothing for a month. Should
    /// its word come after all, it is kept as late.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn sweep_commands(&self, now_ms: i64) -> Result<Vec<Uuid>, StoreError> {
        let orphaned = "state = 'sent' and asked_at <= time_of($1) and not exists
            (select from agents where agents.host_id = commands.host_id and revoked_at is null)";
        let gone = "the host's agent was revoked, and nobody can say what became of this; look at the host";
        let silent = "state = 'sent' and asked_at < time_of($1)";
        let since_ms = now_ms - COMMAND_GIVEN_UP_AFTER.as_millis() as i64;
        let mute = "the host has not said for 30 days what became of this; look at the host";
        self.within("closing commands", async |connection| {
            let words = (Outcome::Unknown, gone);
            let mut closed = close_where(&mut *connection, orphaned, Bound::Ms(now_ms), words, now_ms).await?;
            let words = (Outcome::Unknown, mute);
            closed.extend(close_where(connection, silent, Bound::Ms(since_ms), words, now_ms).await?);
            Ok(closed)
        })
        .await
    }
}

/// Closes what somebody who is disabled has asked for and no stream has carried.
pub(super) async fn withdraw(connection: &mut PgConnection, user_id: i32, now_ms: i64) -> Result<(), StoreError> {
    let words = (Outcome::Cancelled, "whoever asked for it was disabled before it went to the host; nothing was done");
    let theirs = "user_id = $1 and state = 'queued'";
    close_where(connection, theirs, Bound::User(user_id), words, now_ms).await.map(drop)
}

/// What `$1` of a condition is.
enum Bound {
    User(i32),
    Id(Uuid),
    Ms(i64),
}

/// Closes commands without their hosts' word, and their rows of the audit log.
async fn close_where(
    connection: &mut PgConnection,
    condition: &'static str,
    bound: Bound,
    (outcome, reason): (Outcome, &str),
    now_ms: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let sql = format!(
        "with closed as (
             update commands set state = 'finished', outcome = $2, reason = $3, closed_at = time_of($4)
             where {condition} returning id),
         noted as (
             insert into audit_closings (audit_id, at, outcome, detail)
             select audit.id, time_of($4), $2, jsonb_build_object('reason', $3::text)
             from closed join audit on audit.command_id = closed.id)
         select id from closed"
    );
    let query = sqlx::query_scalar(AssertSqlSafe(sql));
    let query = match bound {
        Bound::User(id) => query.bind(id),
        Bound::Id(id) => query.bind(id),
        Bound::Ms(ms) => query.bind(ms),
    };
    let query = query.bind(outcome.name()).bind(storable(reason)).bind(now_ms);
    query.fetch_all(connection).await.map_err(doing("closing commands"))
}

/// One statement, which is a transaction if the connection is in none: the way of a command is short.
pub(super) async fn insert(connection: &mut PgConnection, command: &NewCommand, who: &Who) -> Result<(), StoreError> {
    let action = action_json(&command.action);
    sqlx::query(
        "with asked as (
             insert into commands (id, host_id, action, name, subject, user_id, user_name, asked_at, deadline, state, bulk_id)
             values ($1, $2, $3, $4, $5, $6, $7, time_of($8), time_of($9), $10, $11)
             returning id)
         insert into audit (at, user_id, user_name, role, authenticated, address, request_id, action, host_id, subject,
                            detail, command_id, bulk_id)
         select time_of($8), $6, $7, $12, $13, $14, $15, $4, $2, $5, $3, id, $11
         from asked, set_config('synchronous_commit', 'on', true)",
    )
    .bind(command.id)
    .bind(command.host_id)
    .bind(Json(action))
    .bind(command.action.name())
    .bind(storable(command.action.subject()))
    .bind(who.user_id)
    .bind(storable(&who.name))
    .bind(command.asked_ms)
    .bind(command.deadline_ms)
    .bind(if command.sent { "sent" } else { "queued" })
    .bind(command.bulk_id)
    .bind(storable(&who.role))
    .bind(storable(&who.authenticated))
    .bind(storable(&who.address))
    .bind(storable(&who.request_id))
    .execute(connection)
    .await
    .map_err(doing("storing a command"))?;
    Ok(())
}

/// An action as it is kept: what Postgres cannot hold is replaced.
pub(super) fn action_json(action: &Action) -> Value {
    // Plain data: writing it as JSON cannot fail.
    let mut json = serde_json::to_value(action).unwrap_or_default();
    super::storable_json(&mut json);
    json
}

/// Closes commands by their hosts' own words, within the transaction that stores them as events. Words about another
/// host's command, or one that nobody asked for, change nothing; nor does a second word about the same.
pub(super) async fn close_by_hosts(
    connection: &mut PgConnection,
    said: impl Iterator<Item = (i32, &CommandResult)>,
    now_ms: i64,
) -> Result<(), StoreError> {
    // One order for all flushes, so that two never wait for each other.
    let said: BTreeMap<(Uuid, i32), &CommandResult> =
        said.map(|(host_id, result)| ((result.command, host_id), result)).collect();
    if said.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&CommandResult) -> Option<&str>| -> Vec<Option<String>> {
        said.values().map(|result| of(result).map(|text| storable(text).into_owned())).collect()
    };
    sqlx::query(
        "with told as (
             select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                                  $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[])
             as t (id, host_id, outcome, asked, observed, reason, began_ms, ended_ms, exit_code, head, tail, dropped)),
         held as (
             select c.id, c.state = 'finished' as late from commands as c join told using (id, host_id)
             where not c.by_host order by c.id for no key update of c),
         closed as (
             update commands as c set state = 'finished', outcome = told.outcome, asked = told.asked,
                 observed = told.observed, reason = told.reason, began_ms = told.began_ms, ended_ms = told.ended_ms,
                 exit_code = told.exit_code, output_head = told.head, output_tail = told.tail,
                 output_dropped_bytes = told.dropped, closed_at = time_of($13), by_host = true, late = held.late
             from told, held where (c.id, c.host_id) = (told.id, told.host_id) and c.id = held.id
             returning c.id, c.outcome, c.asked, c.observed, c.reason, c.exit_code, c.late)
         insert into audit_closings (audit_id, at, outcome, detail, late)
         select audit.id, time_of($13), closed.outcome,
                jsonb_strip_nulls(jsonb_build_object('asked', closed.asked, 'observed', closed.observed,
                                                     'reason', closed.reason, 'exit_code', closed.exit_code)), closed.late
         from closed join audit on audit.command_id = closed.id order by audit.id",
    )
    .bind(said.keys().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(said.keys().map(|(_, host_id)| *host_id).collect::<Vec<_>>())
    .bind(said.values().map(|result| result.outcome.name()).collect::<Vec<_>>())
    .bind(texts(|result| Some(&result.asked)))
    .bind(texts(|result| Some(&result.observed)))
    .bind(texts(|result| result.reason.as_deref()))
    .bind(said.values().map(|result| result.began_ms).collect::<Vec<_>>())
    .bind(said.values().map(|result| result.ended_ms).collect::<Vec<_>>())
    .bind(said.values().map(|result| result.exit_code).collect::<Vec<_>>())
    .bind(texts(|result| Some(&result.output.head)))
    .bind(texts(|result| Some(&result.output.tail)))
    .bind(said.values().map(|result| i64::try_from(result.output.dropped_bytes).unwrap_or(i64::MAX)).collect::<Vec<_>>())
    .bind(now_ms)
    .execute(connection)
    .await
    .map_err(doing("closing commands"))?;
    #[cfg(debug_assertions)]
    crate::kill_point::pass("command.close");
    Ok(())
}

pub(super) fn record(row: &PgRow) -> Result<CommandRecord, StoreError> {
    let state = match row.get("state") {
        "queued" => State::Queued,
        "sent" => State::Sent,
        "finished" => State::Finished,
        other => {
            let what = format!("a command in state {other:?}");
            return Err(StoreError::Unreadable { doing: "reading a command", what });
        }
    };
    let closed_ms: Option<i64> = row.get("closed_ms");
    let text = |column: &str| row.get::<Option<String>, _>(column);
    let end = closed_ms.zip(text("outcome")).map(|(closed_ms, outcome)| End {
        closed_ms,
        outcome,
        asked: text("asked"),
        observed: text("observed"),
        reason: text("reason"),
        began_ms: row.get("began_ms"),
        ended_ms: row.get("ended_ms"),
        exit_code: row.get("exit_code"),
        head: text("output_head").unwrap_or_default(),
        tail: text("output_tail").unwrap_or_default(),
        dropped_bytes: row.get::<Option<i64>, _>("output_dropped_bytes").unwrap_or(0),
        late: row.get("late"),
    });
    Ok(CommandRecord {
        id: row.get("id"),
        host_id: row.get("host_id"),
        host_name: row.get("host_name"),
        action: row.get::<Json<Value>, _>("action").0,
        name: row.get("name"),
        subject: row.get("subject"),
        user_id: row.get("user_id"),
        user_name: row.get("user_name"),
        asked_ms: row.get("asked_ms"),
        deadline_ms: row.get("deadline_ms"),
        state,
        cancel_requested: row.get("cancel_requested"),
        bulk_id: row.get("bulk_id"),
        end,
    })
}
