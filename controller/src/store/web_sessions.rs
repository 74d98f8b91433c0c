//! Sessions of people at the page: opaque ids, stored hashed, with an absolute and an idle end.

use super::users::Role;
use super::{Store, StoreError, doing, storable};
use crate::limits::SESSIONS_PER_USER;
use sqlx::Row;
use uuid::Uuid;

/// A session as it is stored; times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// SHA-256 of the cookie's value.
    pub hash: [u8; 32],
    pub user_id: i32,
    pub user_name: String,
    pub role: Role,
    pub must_change_password: bool,
    /// When the password was last given.
    pub authenticated_ms: i64,
    pub used_ms: i64,
    pub expires_ms: i64,
}

/// A session that begins.
#[derive(Debug)]
pub struct NewWebSession<'a> {
    pub hash: [u8; 32],
    pub user_id: i32,
    /// The stored hash of the password that was given.
    pub password_hash: Option<&'a str>,
    pub address: &'a str,
    pub user_agent: &'a str,
    pub now_ms: i64,
    pub expires_ms: i64,
}

/// A session as people see it in a list.
#[derive(Debug, Clone)]
pub struct WebSessionRecord {
    /// For naming it; not the secret, and no way to it.
    pub id: Uuid,
    pub hash: [u8; 32],
    pub address: String,
    pub user_agent: String,
    pub created_ms: i64,
    pub used_ms: i64,
    pub expires_ms: i64,
}

impl Store {
    /// Begins a session, notes the login and sweeps out sessions that have ended, and those of the user that were not
    /// used for longest, beyond [`SESSIONS_PER_USER`]. False: the account was disabled, or its password changed, while
    /// the old one was looked at.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn begin_web_session(&self, session: NewWebSession<'_>) -> Result<bool, StoreError> {
        // The update waits for whoever changes the account, and then looks again.
        let done = sqlx::query(
            "with noted as (update users set last_login_at = time_of($3)
                            where id = $2 and active and password_hash is not distinct from $7 returning id),
                  swept as (delete from web_sessions where expires_at <= time_of($3) or hash in (
                      select hash from web_sessions where user_id = $2 order by used_at desc offset $8))
             insert into web_sessions
                 (hash, user_id, created_at, used_at, authenticated_at, expires_at, address, user_agent)
             select $1, id, time_of($3), time_of($3), time_of($3), time_of($4), $5, $6 from noted",
        )
        .bind(session.hash.as_slice())
        .bind(session.user_id)
        .bind(session.now_ms)
        .bind(session.expires_ms)
        .bind(session.address)
        .bind(storable(session.user_agent))
        .bind(session.password_hash)
        .bind(SESSIONS_PER_USER - 1)
        .execute(&self.pool)
        .await
        .map_err(doing("beginning a web session"))?;
        Ok(done.rows_affected() == 1)
    }

    /// The session of a hash unless it has ended: absolutely, or unused since before `idle_since_ms`, or with its
    /// user's account.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn web_session(
        &self,
        hash: [u8; 32],
        now_ms: i64,
        idle_since_ms: i64,
    ) -> Result<Option<WebSession>, StoreError> {
        let row = sqlx::query(
            "select u.id, u.name, u.role, u.must_change_password, ms_of(s.used_at), ms_of(s.expires_at),
                    case when isfinite(s.authenticated_at) then ms_of(s.authenticated_at) else 0 end
             from web_sessions s join users u on u.id = s.user_id
             where s.hash = $1 and s.expires_at > time_of($2)
               and s.used_at > time_of($3) and u.active",
        )
        .bind(hash.as_slice())
        .bind(now_ms)
        .bind(idle_since_ms)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking up a web session"))?;
        let session = row.map(|row| {
            Ok(WebSession {
                hash,
                user_id: row.get(0),
                user_name: row.get(1),
                role: Role::stored(row.get(2))?,
                must_change_password: row.get(3),
                used_ms: row.get(4),
                expires_ms: row.get(5),
                authenticated_ms: row.get(6),
            })
        });
        session.transpose()
    }

    /// Notes that a session is in use.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn touch_web_session(&self, hash: [u8; 32], now_ms: i64) -> Result<(), StoreError> {
        sqlx::query("update web_sessions set used_at = time_of($2) where hash = $1")
            .bind(hash.as_slice())
            .bind(now_ms)
            .execute(&self.pool)
            .await
            .map_err(doing("noting the use of a web session"))?;
        Ok(())
    }

    /// Notes that the password was given again.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn reauthenticate_web_session(&self, hash: [u8; 32], now_ms: i64) -> Result<(), StoreError> {
        sqlx::query("update web_sessions set authenticated_at = time_of($2) where hash = $1")
            .bind(hash.as_slice())
            .bind(now_ms)
            .execute(&self.pool)
            .await
            .map_err(doing("noting that a password was given again"))?;
        Ok(())
    }

    /// Sessions of a user that have not ended, last used first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn web_sessions(
        &self,
        user_id: i32,
        now_ms: i64,
        idle_since_ms: i64,
    ) -> Result<Vec<WebSessionRecord>, StoreError> {
        let rows = sqlx::query(
            "select id, hash, address, user_agent, ms_of(created_at), ms_of(used_at), ms_of(expires_at)
             from web_sessions where user_id = $1 and expires_at > time_of($2) and used_at > time_of($3)
             order by used_at desc, id",
        )
        .bind(user_id)
        .bind(now_ms)
        .bind(idle_since_ms)
        .fetch_all(&self.pool)
        .await
        .map_err(doing("listing web sessions"))?;
        let record = |row: &sqlx::postgres::PgRow| WebSessionRecord {
            id: row.get(0),
            hash: row.get::<&[u8], _>(1).try_into().unwrap_or_default(),
            address: row.get(2),
            user_agent: row.get(3),
            created_ms: row.get(4),
            used_ms: row.get(5),
            expires_ms: row.get(6),
        };
        Ok(rows.iter().map(record).collect())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn end_web_session(&self, hash: [u8; 32]) -> Result<(), StoreError> {
        sqlx::query("delete from web_sessions where hash = $1")
            .bind(hash.as_slice())
            .execute(&self.pool)
            .await
            .map_err(doing("ending a web session"))?;
        Ok(())
    }

    /// Ends the session of an id: of `owner` only, where one is given. Its hash; none: there is no such session.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn end_web_session_of(&self, id: Uuid, owner: Option<i32>) -> Result<Option<[u8; 32]>, StoreError> {
        let hash: Option<Vec<u8>> = sqlx::query_scalar(
            "delete from web_sessions where id = $1 and ($2 is null or user_id = $2) returning hash",
        )
        .bind(id)
        .bind(owner)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("ending a web session"))?;
        Ok(hash.and_then(|hash| hash.try_into().ok()))
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn end_web_sessions(&self, user_id: i32) -> Result<(), StoreError> {
        sqlx::query("delete from web_sessions where user_id = $1")
            .bind(user_id)
            .execute(&self.pool)
            .await
            .map_err(doing("ending all web sessions of a user"))?;
        Ok(())
    }
}
