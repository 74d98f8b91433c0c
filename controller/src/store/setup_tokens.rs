//! One-time links that set a password: the first admin's, somebody new's, and those of who forgot theirs.

use super::users::{User, user_of, with_columns};
use super::{Store, StoreError, doing};

impl Store {
    /// Whether no admin has a password yet, so that nobody can log in.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn setup_required(&self) -> Result<bool, StoreError> {
        let query = "select not exists (select from users where role = 'admin' and password_hash is not null)";
        let required = sqlx::query_scalar(query).fetch_one(&self.pool).await;
        required.map_err(doing("asking whether an admin has a password"))
    }

    /// Replaces the one-time link of the first admin; without effect once an admin has a password.
    /// Returns whether the link stands.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn put_setup_token(&self, hash: [u8; 32]) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into setup_tokens (user_id, hash)
             select min(id), $1 from users where role = 'admin' having bool_and(password_hash is null)
             on conflict (user_id) do update set hash = excluded.hash, created_at = now(), expires_at = null",
        )
        .bind(hash.as_slice())
        .execute(&self.pool)
        .await
        .map_err(doing("storing the one-time link"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces the one-time link of a user; the password of before works until it is used. False: nobody active has
    /// the id.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn put_link(&self, user_id: i32, hash: [u8; 32], expires_ms: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into setup_tokens (user_id, hash, expires_at)
             select id, $2, time_of($3) from users where id = $1 and active
             on conflict (user_id) do update
             set hash = excluded.hash, created_at = now(), expires_at = excluded.expires_at",
        )
        .bind(user_id)
        .bind(hash.as_slice())
        .bind(expires_ms)
        .execute(&self.pool)
        .await
        .map_err(doing("storing a one-time link"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Whose one-time link this is, if it stands.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn user_of_link(&self, hash: [u8; 32], now_ms: i64) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(with_columns(
            "select",
            "from setup_tokens join users on users.id = user_id
             where hash = $1 and coalesce(setup_tokens.expires_at > time_of($2), true) and users.active",
        ))
        .bind(hash.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("looking up the one-time link"))?;
        row.as_ref().map(user_of).transpose()
    }

    /// Uses a one-time link up: sets the password of its user and ends the user's sessions. None: the link is
    /// unknown, used, or over.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn use_setup_token(
        &self,
        hash: [u8; 32],
        password_hash: &str,
        now_ms: i64,
    ) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(with_columns(
            "with used as (delete from setup_tokens where hash = $1 and coalesce(expires_at > time_of($3), true)
                           returning user_id),
                  ended as (delete from web_sessions where user_id in (select user_id from used))
             update users set password_hash = $2, must_change_password = false from used
             where users.id = used.user_id and users.active
             returning",
            "",
        ))
        .bind(hash.as_slice())
        .bind(password_hash)
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("setting a password by a one-time link"))?;
        row.as_ref().map(user_of).transpose()
    }
}
