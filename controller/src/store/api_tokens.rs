//! API tokens: long random secrets for scripts, stored hashed.

use super::users::Role;
use super::{Store, StoreError, doing, storable};
use crate::limits::TOKENS_PER_USER;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// A token as people see it after its making.
#[derive(Debug, Clone)]
pub struct ApiTokenRecord {
    pub id: Uuid,
    pub user_id: i32,
    pub user_name: String,
    pub name: String,
    pub role: Role,
    pub scopes: Vec<String>,
    pub created_ms: i64,
    pub expires_ms: i64,
    pub used_ms: Option<i64>,
    pub revoked_ms: Option<i64>,
}

/// A token that is good, with its owner as of now.
#[derive(Debug, Clone)]
pub struct ApiToken {
    pub record: ApiTokenRecord,
    pub owner_role: Role,
    pub owner_must_change_password: bool,
}

/// A token to be made.
#[derive(Debug)]
pub struct NewApiToken<'a> {
    pub id: Uuid,
    pub user_id: i32,
    pub name: &'a str,
    pub hash: [u8; 32],
    pub role: Role,
    pub scopes: &'a [&'static str],
    pub now_ms: i64,
    pub expires_ms: i64,
}

fn record_of(row: &PgRow) -> Result<ApiTokenRecord, StoreError> {
    Ok(ApiTokenRecord {
        id: row.get(0),
        user_id: row.get(1),
        user_name: row.get(2),
        name: row.get(3),
        role: Role::stored(row.get(4))?,
        scopes: row.get(5),
        created_ms: row.get(6),
        expires_ms: row.get(7),
        used_ms: row.get(8),
        revoked_ms: row.get(9),
    })
}

impl Store {
    /// Stores a token; false: its user has [`TOKENS_PER_USER`] good ones already, or is gone or disabled.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn create_api_token(&self, new: NewApiToken<'_>) -> Result<bool, StoreError> {
        let scopes: Vec<&str> = new.scopes.to_vec();
        let done = sqlx::query(
            "insert into api_tokens (id, user_id, name, hash, role, scopes, created_at, expires_at)
             select $1, u.id, $3, $4, $5, $6, time_of($7), time_of($8) from users u
             where u.id = $2 and u.active and (select count(*) from api_tokens
                    where user_id = $2 and revoked_at is null and expires_at > time_of($7)) < $9",
        )
        .bind(new.id)
        .bind(new.user_id)
        .bind(storable(new.name))
        .bind(new.hash.as_slice())
        .bind(new.role.name())
        .bind(scopes)
        .bind(new.now_ms)
        .bind(new.expires_ms)
        .bind(TOKENS_PER_USER)
        .execute(&self.pool)
        .await
        .map_err(doing("storing an API token"))?;
        Ok(done.rows_affected() == 1)
    }

    /// The token of a hash, if it is good: neither over nor revoked, and its owner active.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn api_token(&self, hash: [u8; 32], now_ms: i64) -> Result<Option<ApiToken>, StoreError> {
        let row = sqlx::query(
            "select t.id, t.user_id, u.name, t.name, t.role, t.scopes, ms_of(t.created_at), ms_of(t.expires_at),
                    ms_of(t.used_at), ms_of(t.revoked_at), u.role, u.must_change_password
             from api_tokens t join users u on u.id = t.user_id
             where t.hash = $1 and t.revoked_at is null and t.expires_at > time_of($2) and u.active",
        )
        .bind(hash.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking up an API token"))?;
        let token = row.map(|row| {
            let (owner_role, owner_must_change_password) = (Role::stored(row.get(10))?, row.get(11));
            Ok(ApiToken { record: record_of(&row)?, owner_role, owner_must_change_password })
        });
        token.transpose()
    }

    /// Notes that a token is in use.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn touch_api_token(&self, id: Uuid, now_ms: i64) -> Result<(), StoreError> {
        sqlx::query("update api_tokens set used_at = time_of($2) where id = $1")
            .bind(id)
            .bind(now_ms)
            .execute(&self.pool)
            .await
            .map_err(doing("noting the use of an API token"))?;
        Ok(())
    }

    /// Tokens of `owner`, or of everybody; newest first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn api_tokens(&self, owner: Option<i32>) -> Result<Vec<ApiTokenRecord>, StoreError> {
        let rows = sqlx::query(
            "select t.id, t.user_id, u.name, t.name, t.role, t.scopes, ms_of(t.created_at), ms_of(t.expires_at),
                    ms_of(t.used_at), ms_of(t.revoked_at)
             from api_tokens t join users u on u.id = t.user_id where $1 is null or t.user_id = $1
             order by t.created_at desc, t.id",
        )
        .bind(owner)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing API tokens"))?;
        rows.iter().map(record_of).collect()
    }

    /// Revokes a token: of `owner` only, where one is given. Its hash and name; none: there is no such good token.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn revoke_api_token(
        &self,
        id: Uuid,
        owner: Option<i32>,
        now_ms: i64,
    ) -> Result<Option<([u8; 32], String)>, StoreError> {
        let row: Option<(Vec<u8>, String)> = sqlx::query_as(
            "update api_tokens set revoked_at = time_of($3)
             where id = $1 and ($2 is null or user_id = $2) and revoked_at is null returning hash, name",
        )
        .bind(id)
        .bind(owner)
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("revoking an API token"))?;
        Ok(row.and_then(|(hash, name)| Some((hash.try_into().ok()?, name))))
    }

    /// Forgets tokens that were over or revoked before a moment.
    pub(super) async fn forget_api_tokens_before(&self, ms: i64) -> Result<(), StoreError> {
        sqlx::query("delete from api_tokens where least(expires_at, revoked_at) < time_of($1)")
            .bind(ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting old API tokens"))?;
        Ok(())
    }
}
