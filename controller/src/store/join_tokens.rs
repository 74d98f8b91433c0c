//! Join tokens: one-time, expiring, stored as a hash.

use super::{Store, StoreError, doing};
use crate::limits::JOIN_TOKEN_LIFE;
use sha2::{Digest, Sha256};
use sqlx::Row;
use std::fmt::Write as _;
use uuid::Uuid;

/// A token as people see it afterwards; the secret is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinTokenRecord {
    pub id: String,
    pub host_name: Option<String>,
    pub created_ms: i64,
    pub expires_ms: i64,
    pub used_ms: Option<i64>,
    /// The agent that it made.
    pub used_by: Option<Uuid>,
    pub revoked_ms: Option<i64>,
}

/// A token's two random halves, shown once.
#[derive(Clone)]
pub struct NewJoinToken {
    /// 32 hexadecimal digits.
    pub id: String,
    /// 32 hexadecimal digits: 128 random bits.
    pub secret: String,
    pub expires_ms: i64,
}

impl std::fmt::Debug for NewJoinToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewJoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How a secret is stored. It has 128 random bits: a slow hash would add nothing.
#[must_use]
pub fn secret_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl Store {
    /// Makes a token; bound to a name, it may also replace the key of the host that has it.
    ///
    /// # Errors
    /// The database does not answer, or the system has no randomness.
    pub async fn create_join_token(&self, host_name: Option<&str>, now_ms: i64) -> Result<NewJoinToken, StoreError> {
        let expires_ms = now_ms + JOIN_TOKEN_LIFE.as_millis() as i64;
        let token = NewJoinToken { id: random_hex()?, secret: random_hex()?, expires_ms };
        sqlx::query(
            "insert into join_tokens (id, secret_hash, host_name, created_at, expires_at)
             values ($1, $2, $3, time_of($4), time_of($5))",
        )
        .bind(&token.id)
        .bind(secret_hash(&token.secret).as_slice())
        .bind(host_name.map(super::storable))
        .bind(now_ms)
        .bind(expires_ms)
        .execute(&self.pool)
        .await
        .map_err(doing("storing a join token"))?;
        Ok(token)
    }

    /// Newest first.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn join_tokens(&self) -> Result<Vec<JoinTokenRecord>, StoreError> {
        let rows = sqlx::query(
            "select id, host_name, ms_of(created_at), ms_of(expires_at), ms_of(used_at), used_by, ms_of(revoked_at)
             from join_tokens order by created_at desc, id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing join tokens"))?;
        let record = |row: &sqlx::postgres::PgRow| JoinTokenRecord {
            id: row.get(0),
            host_name: row.get(1),
            created_ms: row.get(2),
            expires_ms: row.get(3),
            used_ms: row.get(4),
            used_by: row.get(5),
            revoked_ms: row.get(6),
        };
        Ok(rows.iter().map(record).collect())
    }

    /// Revokes a token that was not used; whether there was one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn revoke_join_token(&self, id: &str, now_ms: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update join_tokens set revoked_at = coalesce(revoked_at, time_of($2)) where id = $1 and used_at is null",
        )
        .bind(super::storable(id))
        .bind(now_ms)
        .execute(&self.pool)
        .await
        .map_err(doing("revoking a join token"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets tokens that expired before a moment.
    pub(super) async fn forget_join_tokens_before(&self, ms: i64) -> Result<u64, StoreError> {
        let done = sqlx::query("delete from join_tokens where expires_at < time_of($1)")
            .bind(ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting old join tokens"))?;
        Ok(done.rows_affected())
    }
}

fn random_hex() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Unreadable { doing: "making a join token", what: error.to_string() })?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
