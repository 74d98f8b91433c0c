//! Sessions of people at the page: opaque ids, stored hashed, with an absolute and an idle end.

use super::{Store, StoreError, doing};

/// A session as it is stored; times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSession {
    /// SHA-256 of the cookie's value.
    pub hash: [u8; 32],
    pub user_id: i32,
    pub user_name: String,
    pub used_ms: i64,
    pub expires_ms: i64,
}

/// A session that begins.
#[derive(Debug)]
pub struct NewWebSession<'a> {
    pub hash: [u8; 32],
    pub user_id: i32,
    pub address: &'a str,
    pub now_ms: i64,
    pub expires_ms: i64,
}

impl Store {
    /// Begins a session, notes the login and sweeps out sessions that have ended.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn begin_web_session(&self, session: NewWebSession<'_>) -> Result<(), StoreError> {
        sqlx::query(
            "with swept as (delete from web_sessions where expires_at <= time_of($3)),
                  noted as (update users set last_login_at = time_of($3) where id = $2)
             insert into web_sessions (hash, user_id, created_at, used_at, expires_at, address)
             values ($1, $2, time_of($3), time_of($3), time_of($4), $5)",
        )
        .bind(session.hash.as_slice())
        .bind(session.user_id)
        .bind(session.now_ms)
        .bind(session.expires_ms)
        .bind(session.address)
        .execute(&self.pool)
        .await
        .map_err(doing("beginning a web session"))?;
        Ok(())
    }

    /// The session of a hash unless it has ended: absolutely, or unused since before `idle_since_ms`.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn web_session(
        &self,
        hash: [u8; 32],
        now_ms: i64,
        idle_since_ms: i64,
    ) -> Result<Option<WebSession>, StoreError> {
        let row: Option<(i32, String, i64, i64)> = sqlx::query_as(
            "select u.id, u.name, ms_of(s.used_at), ms_of(s.expires_at)
             from web_sessions s join users u on u.id = s.user_id
             where s.hash = $1 and s.expires_at > time_of($2)
               and s.used_at > time_of($3)",
        )
        .bind(hash.as_slice())
        .bind(now_ms)
        .bind(idle_since_ms)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking up a web session"))?;
        Ok(row.map(|(user_id, user_name, used_ms, expires_ms)| WebSession {
            hash,
            user_id,
            user_name,
            used_ms,
            expires_ms,
        }))
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
}
