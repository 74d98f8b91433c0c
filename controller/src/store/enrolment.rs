//! A token becomes an agent, in the transaction that issues its certificate.
//!
//! Rules: a token is used once; the machine that used it, and asks again with the same key because the answer was lost,
//! gets it once more while the token lives. Bound to a name, the host gets that name, and a host that has it
//! gets the new key and keeps its history; its older agents are revoked. A token that is bound to
//! nothing makes a new host under the machine's own name and never takes over an existing one.

use super::agents::{NewKey, insert_key};
use super::hosts::is_host_name;
use super::{Store, StoreError, doing};
use fleetlight_protocol::control::{Refusal, RefusalCode};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// What a machine presents.
#[derive(Debug, Clone)]
pub struct Enrolment<'a> {
    pub token_id: &'a str,
    /// [`super::join_tokens::secret_hash`] of what it sent.
    pub secret_hash: [u8; 32],
    pub hostname: &'a str,
    /// Hash of the machine's id.
    pub machine: &'a str,
    pub now_ms: i64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledHost {
    pub agent_id: Uuid,
    pub host_id: i32,
    pub host_name: String,
    /// Agents that this one replaces: their sessions are to be closed.
    pub replaced: Vec<Uuid>,
}

impl Store {
    /// Uses the token up for the agent `agent_id`, unless it was the same key that did so before; `issue` makes the
    /// certificate. Refusals leave the token as it was.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn enrol(
        &self,
        enrolment: &Enrolment<'_>,
        agent_id: Uuid,
        issue: impl FnOnce(Uuid) -> Result<NewKey, Refusal> + Send,
    ) -> Result<Result<EnrolledHost, Refusal>, StoreError> {
        let mut transaction = self.pool.begin().await.map_err(doing("enrolling a host"))?;
        let done = match token(&mut transaction, enrolment).await? {
            Ok(Token::Unused(bound)) => first(&mut transaction, enrolment, bound, agent_id, issue).await?,
            Ok(Token::UsedBy(agent_id)) => match issue(agent_id) {
                Ok(key) => again(&mut transaction, enrolment.machine, agent_id, key).await?,
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => Err(refusal),
        };
        if done.is_ok() {
            transaction.commit().await.map_err(doing("enrolling a host"))?;
        }
        Ok(done)
    }
}

/// What a token that is good stands for.
enum Token {
    /// The name that it is bound to, if any.
    Unused(Option<String>),
    UsedBy(Uuid),
}

async fn first(
    connection: &mut PgConnection,
    enrolment: &Enrolment<'_>,
    bound: Option<String>,
    agent_id: Uuid,
    issue: impl FnOnce(Uuid) -> Result<NewKey, Refusal> + Send,
) -> Result<Result<EnrolledHost, Refusal>, StoreError> {
    let host = match bound {
        Some(name) => Ok(take_over(connection, agent_id, name, enrolment.now_ms).await?),
        None => make_host(connection, agent_id, enrolment).await?,
    };
    let (host, key) = match host.and_then(|host| Ok((host, issue(agent_id)?))) {
        Ok(made) => made,
        Err(refusal) => return Ok(Err(refusal)),
    };
    sqlx::query("insert into agents (id, host_id, machine, created_at) values ($1, $2, $3, time_of($4))")
        .bind(agent_id)
        .bind(host.host_id)
        .bind(super::storable(enrolment.machine))
        .bind(enrolment.now_ms)
        .execute(&mut *connection)
        .await
        .map_err(doing("enrolling a host"))?;
    insert_key(connection, agent_id, key, enrolment.now_ms).await?;
    sqlx::query("update join_tokens set used_at = time_of($2), used_by = $3 where id = $1")
        .bind(enrolment.token_id)
        .bind(enrolment.now_ms)
        .bind(agent_id)
        .execute(connection)
        .await
        .map_err(doing("using a join token up"))?;
    Ok(Ok(host))
}

/// The answer to the key that used the token was lost; it is given again. Others hear that the token is used, also a
/// clone that has the key: two machines are not one agent.
async fn again(
    connection: &mut PgConnection,
    machine: &str,
    agent_id: Uuid,
    key: NewKey,
) -> Result<Result<EnrolledHost, Refusal>, StoreError> {
    let host: Option<(i32, String)> = sqlx::query_as(
        "update agent_keys set not_after = time_of($3) from agents join hosts on hosts.id = host_id
         where key_hash = $1 and agent_id = $2 and agents.id = agent_id and revoked_at is null
           and (machine = $4 or machine = '')
         returning host_id, hosts.name",
    )
    .bind(key.hash.as_slice())
    .bind(agent_id)
    .bind(key.not_after_ms)
    .bind(super::storable(machine))
    .fetch_optional(&mut *connection)
    .await
    .map_err(doing("enrolling a host again"))?;
    let Some((host_id, host_name)) = host else { return Ok(used()) };
    let replaced = sqlx::query_scalar("select id from agents where host_id = $1 and id <> $2")
        .bind(host_id)
        .bind(agent_id)
        .fetch_all(connection)
        .await
        .map_err(doing("enrolling a host again"))?;
    Ok(Ok(EnrolledHost { agent_id, host_id, host_name, replaced }))
}

/// What the token is good for; it stays locked. Whoever lacks the secret learns nothing about it.
async fn token(connection: &mut PgConnection, enrolment: &Enrolment<'_>) -> Result<Result<Token, Refusal>, StoreError> {
    let row = sqlx::query(
        "select secret_hash, host_name, expires_at <= time_of($2), used_by, revoked_at is not null
         from join_tokens where id = $1 for update",
    )
    .bind(super::storable(enrolment.token_id))
    .bind(enrolment.now_ms)
    .fetch_optional(connection)
    .await
    .map_err(doing("looking up a join token"))?;
    let unknown = "this controller knows no such join token: copy the whole line that it printed, or make a new token";
    let Some(row) = row.filter(|row| is_same(&row.get::<Vec<u8>, _>(0), &enrolment.secret_hash)) else {
        return Ok(refuse(RefusalCode::TokenUnknown, unknown));
    };
    let (expired, used_by, revoked): (bool, Option<Uuid>, bool) = (row.get(2), row.get(3), row.get(4));
    Ok(match used_by {
        _ if revoked => refuse(RefusalCode::TokenRevoked, "this join token was revoked: ask for a new one"),
        Some(_) if expired => used(),
        Some(agent_id) => Ok(Token::UsedBy(agent_id)),
        None if expired => {
            refuse(RefusalCode::TokenExpired, "this join token has expired: they live for an hour; make a new one")
        }
        None => Ok(Token::Unused(row.get(1))),
    })
}

fn used<T>() -> Result<T, Refusal> {
    refuse(
        RefusalCode::TokenUsed,
        "this join token has been used, and each enrols one host once: make a new one (for a host that enrolled \
         before, one that is bound to its name)",
    )
}

/// The host of a bound token: a new one, or an old one whose agents are all replaced.
async fn take_over(
    connection: &mut PgConnection,
    agent_id: Uuid,
    name: String,
    now_ms: i64,
) -> Result<EnrolledHost, StoreError> {
    let host_id: i32 = sqlx::query_scalar(
        "insert into hosts (name, created_at) values ($1, time_of($2))
         on conflict (name) do update set name = excluded.name returning id",
    )
    .bind(&name)
    .bind(now_ms)
    .fetch_one(&mut *connection)
    .await
    .map_err(doing("enrolling a host"))?;
    let replaced = sqlx::query_scalar(
        "update agents set revoked_at = time_of($2), revoked_for = 'the host was enrolled again with a new key'
         where host_id = $1 and revoked_at is null returning id",
    )
    .bind(host_id)
    .bind(now_ms)
    .fetch_all(connection)
    .await
    .map_err(doing("replacing an agent"))?;
    Ok(EnrolledHost { agent_id, host_id, host_name: name, replaced })
}

/// The new host of an unbound token.
async fn make_host(
    connection: &mut PgConnection,
    agent_id: Uuid,
    enrolment: &Enrolment<'_>,
) -> Result<Result<EnrolledHost, Refusal>, StoreError> {
    let name = enrolment.hostname;
    if !is_host_name(name) {
        let message = "this machine's hostname cannot name a host here (letters, digits, - _ . only, at most 253): \
                       change it, or use a join token that is bound to a name";
        return Ok(refuse(RefusalCode::Malformed, message));
    }
    let host_id: Option<i32> = sqlx::query_scalar(
        "insert into hosts (name, created_at) values ($1, time_of($2)) on conflict (name) do nothing returning id",
    )
    .bind(name)
    .bind(enrolment.now_ms)
    .fetch_optional(connection)
    .await
    .map_err(doing("enrolling a host"))?;
    Ok(match host_id {
        Some(host_id) => Ok(EnrolledHost { agent_id, host_id, host_name: name.to_owned(), replaced: Vec::new() }),
        None => refuse(
            RefusalCode::TokenHost,
            format!(
                "there is already a host named {name}, and this join token is bound to no name: if this is that host, \
                 make a token bound to {name:?} (it then gets the new key and keeps its history); if it is another \
                 one, change its hostname"
            ),
        ),
    })
}

fn refuse<T>(code: RefusalCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.into() })
}

/// Compares without telling by its duration where two hashes differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_same_or_not() {
        assert!(is_same(&[1, 2, 3], &[1, 2, 3]));
        assert!(!is_same(&[1, 2, 3], &[1, 2, 4]));
        assert!(!is_same(&[1, 2, 3], &[1, 2]));
        assert!(!is_same(&[], &[0]));
    }
}
