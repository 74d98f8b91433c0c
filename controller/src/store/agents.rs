//! Agents: keys that speak for a host.

use super::{Store, StoreError, doing};
use crate::limits::{AGENT_SEEN_EVERY, KEYS_PER_AGENT};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// Whose key it is, and what is known against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    pub agent_id: Uuid,
    pub host_id: i32,
    pub host_name: String,
    pub not_after_ms: i64,
    /// Why the agent was revoked, in words.
    pub revoked_for: Option<String>,
}

/// A key for which a certificate was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewKey {
    /// SHA-256 of the public key.
    pub hash: [u8; 32],
    /// End of the certificate.
    pub not_after_ms: i64,
}

/// An agent as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    pub id: Uuid,
    pub host_id: i32,
    pub host_name: String,
    pub created_ms: i64,
    pub last_seen_ms: Option<i64>,
    pub revoked_ms: Option<i64>,
    pub revoked_for: Option<String>,
    pub certificate_ends_ms: Option<i64>,
}

impl Store {
    /// Who holds a key. The first use of a renewed key ends the keys before it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn key_owner(&self, hash: [u8; 32], now_ms: i64) -> Result<Option<KeyOwner>, StoreError> {
        let row = sqlx::query(
            "select agents.id, host_id, hosts.name, ms_of(not_after), revoked_for, used_at is null,
                    coalesce(last_seen_at < time_of($2 - $3), true)
             from agent_keys join agents on agents.id = agent_id join hosts on hosts.id = host_id
             where key_hash = $1",
        )
        .bind(hash.as_slice())
        .bind(now_ms)
        .bind(AGENT_SEEN_EVERY.as_millis() as i64)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking up a key"))?;
        let Some(row) = row else { return Ok(None) };
        let owner = KeyOwner {
            agent_id: row.get(0),
            host_id: row.get(1),
            host_name: row.get(2),
            not_after_ms: row.get(3),
            revoked_for: row.get(4),
        };
        let (first_use, note): (bool, bool) = (row.get(5), row.get(6));
        if first_use && owner.revoked_for.is_none() {
            self.begin_using(hash, owner.agent_id, now_ms).await?;
        }
        if note {
            let mut connection = self.pool.acquire().await.map_err(doing("noting when an agent was seen"))?;
            saw(&mut connection, &[owner.agent_id], now_ms).await?;
        }
        Ok(Some(owner))
    }

    /// The agent has the new key: older ones are of no more use, to it or to anybody.
    async fn begin_using(&self, hash: [u8; 32], agent_id: Uuid, now_ms: i64) -> Result<(), StoreError> {
        sqlx::query(
            "with used as (
                 update agent_keys set used_at = time_of($3) where key_hash = $1 and used_at is null
                 returning agent_id, number)
             delete from agent_keys old using used
             where old.agent_id = $2 and old.agent_id = used.agent_id and old.number < used.number",
        )
        .bind(hash.as_slice())
        .bind(agent_id)
        .bind(now_ms)
        .execute(&self.pool)
        .await
        .map_err(doing("noting a key's first use"))?;
        Ok(())
    }

    /// Adds a renewed key to an agent that is not revoked; whether there is such an agent.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn add_key(&self, agent_id: Uuid, key: NewKey, now_ms: i64) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await.map_err(doing("renewing a key"))?;
        let stands: Option<Uuid> =
            sqlx::query_scalar("select id from agents where id = $1 and revoked_at is null for update")
                .bind(agent_id)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(doing("renewing a key"))?;
        if stands.is_none() {
            return Ok(false);
        }
        insert_key(&mut transaction, agent_id, key, now_ms).await?;
        sqlx::query(
            // Whatever the agent renews and never uses, the key that it uses stays.
            "delete from agent_keys where agent_id = $1 and key_hash not in
             (select key_hash from agent_keys where agent_id = $1 order by used_at is null, number desc limit $2)",
        )
        .bind(agent_id)
        .bind(KEYS_PER_AGENT)
        .execute(&mut *transaction)
        .await
        .map_err(doing("renewing a key"))?;
        transaction.commit().await.map_err(doing("renewing a key"))?;
        Ok(true)
    }

    /// All agents, revoked ones last.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn agents(&self) -> Result<Vec<AgentRecord>, StoreError> {
        let rows = sqlx::query(
            "select agents.id, host_id, hosts.name, ms_of(agents.created_at), ms_of(last_seen_at), ms_of(revoked_at),
                    revoked_for, (select ms_of(max(not_after)) from agent_keys where agent_id = agents.id)
             from agents join hosts on hosts.id = host_id
             order by revoked_at is not null, hosts.name, agents.created_at desc",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing agents"))?;
        let record = |row: &sqlx::postgres::PgRow| AgentRecord {
            id: row.get(0),
            host_id: row.get(1),
            host_name: row.get(2),
            created_ms: row.get(3),
            last_seen_ms: row.get(4),
            revoked_ms: row.get(5),
            revoked_for: row.get(6),
            certificate_ends_ms: row.get(7),
        };
        Ok(rows.iter().map(record).collect())
    }

    /// Revokes an agent; whether it existed and was not revoked before. Its session is to be closed by the caller.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn revoke_agent(&self, agent_id: Uuid, why: &str, now_ms: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update agents set revoked_at = time_of($2), revoked_for = $3 where id = $1 and revoked_at is null",
        )
        .bind(agent_id)
        .bind(now_ms)
        .bind(super::storable(why))
        .execute(&self.pool)
        .await
        .map_err(doing("revoking an agent"))?;
        Ok(done.rows_affected() == 1)
    }
}

/// Notes that agents are there. Whom another transaction holds is left for next time: nobody waits for it.
pub(super) async fn saw(connection: &mut PgConnection, agents: &[Uuid], now_ms: i64) -> Result<(), StoreError> {
    if agents.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update agents set last_seen_at = greatest(last_seen_at, time_of($2))
         where id in (select id from agents where id = any($1) order by id for no key update skip locked)",
    )
    .bind(agents)
    .bind(now_ms)
    .execute(connection)
    .await
    .map_err(doing("noting when an agent was seen"))?;
    Ok(())
}

/// A host that enrols again with the key it had takes the key along.
pub(super) async fn insert_key(
    connection: &mut PgConnection,
    agent_id: Uuid,
    key: NewKey,
    now_ms: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into agent_keys (key_hash, agent_id, created_at, not_after)
         values ($1, $2, time_of($3), time_of($4))
         on conflict (key_hash) do update set agent_id = excluded.agent_id, number = default, created_at = excluded.created_at,
         not_after = excluded.not_after, used_at = null",
    )
    .bind(key.hash.as_slice())
    .bind(agent_id)
    .bind(now_ms)
    .bind(key.not_after_ms)
    .execute(connection)
    .await
    .map_err(doing("storing a key"))?;
    Ok(())
}
