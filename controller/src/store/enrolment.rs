//! A token becomes an agent, in the transaction that issues its certificate.
//!
//! Rules: a token is used once. Bound to a name, the host gets that name, and a host that has it
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
    pub host_id: i32,
    pub host_name: String,
    /// Agents that this one replaces: their sessions are to be closed.
    pub replaced: Vec<Uuid>,
}

impl Store {
    /// Uses the token up for the agent `agent_id`, whose certificate `issue` makes. Refusals leave
    /// the token as it was.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn enrol(
        &self,
        enrolment: &Enrolment<'_>,
        agent_id: Uuid,
        issue: impl FnOnce() -> Result<NewKey, Refusal> + Send,
    ) -> Result<Result<EnrolledHost, Refusal>, StoreError> {
        let mut transaction = self.pool.begin().await.map_err(doing("enrolling a host"))?;
        let bound = match bound_name(&mut transaction, enrolment).await? {
            Ok(bound) => bound,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let host = match bound {
            Some(name) => take_over(&mut transaction, name, enrolment.now_ms).await?,
            None => match make_host(&mut transaction, enrolment).await? {
                Ok(host) => host,
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let key = match issue() {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        sqlx::query("insert into agents (id, host_id, machine, created_at) values ($1, $2, $3, time_of($4))")
            .bind(agent_id)
            .bind(host.host_id)
            .bind(super::storable(enrolment.machine))
            .bind(enrolment.now_ms)
            .execute(&mut *transaction)
            .await
            .map_err(doing("enrolling a host"))?;
        insert_key(&mut transaction, agent_id, key, enrolment.now_ms).await?;
        sqlx::query("update join_tokens set used_at = time_of($2), used_by = $3 where id = $1")
            .bind(enrolment.token_id)
            .bind(enrolment.now_ms)
            .bind(agent_id)
            .execute(&mut *transaction)
            .await
            .map_err(doing("using a join token up"))?;
        transaction.commit().await.map_err(doing("enrolling a host"))?;
        Ok(Ok(host))
    }
}

/// The name that the token is bound to, if any; the token stays locked. Whoever lacks the secret
/// learns nothing about the token.
async fn bound_name(
    connection: &mut PgConnection,
    enrolment: &Enrolment<'_>,
) -> Result<Result<Option<String>, Refusal>, StoreError> {
    let row = sqlx::query(
        "select secret_hash, host_name, expires_at <= time_of($2), used_at is not null, revoked_at is not null
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
    let (expired, used, revoked): (bool, bool, bool) = (row.get(2), row.get(3), row.get(4));
    Ok(if revoked {
        refuse(RefusalCode::TokenRevoked, "this join token was revoked: ask for a new one")
    } else if used {
        refuse(
            RefusalCode::TokenUsed,
            "this join token has been used, and each enrols one host once: make a new one (for a host that enrolled \
             before, one that is bound to its name)",
        )
    } else if expired {
        refuse(RefusalCode::TokenExpired, "this join token has expired: they live for an hour; make a new one")
    } else {
        Ok(row.get(1))
    })
}

/// The host of a bound token: a new one, or an old one whose agents are all replaced.
async fn take_over(connection: &mut PgConnection, name: String, now_ms: i64) -> Result<EnrolledHost, StoreError> {
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
    Ok(EnrolledHost { host_id, host_name: name, replaced })
}

/// The new host of an unbound token.
async fn make_host(
    connection: &mut PgConnection,
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
        Some(host_id) => Ok(EnrolledHost { host_id, host_name: name.to_owned(), replaced: Vec::new() }),
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
