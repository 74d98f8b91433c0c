//! People who use the page, and the one-time link that sets the first admin's password.

use super::{Store, StoreError, doing, storable};

/// Who tries to log in.
#[derive(Debug, Clone)]
pub struct User {
    pub id: i32,
    pub name: String,
    /// PHC string; none until the one-time link has been used.
    pub password_hash: Option<String>,
}

impl Store {
    /// The user of a name.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let row: Option<(i32, String, Option<String>)> =
            sqlx::query_as("select id, name, password_hash from users where name = $1")
                .bind(storable(name))
                .fetch_optional(&self.pool)
                .await
                .map_err(doing("looking up a user"))?;
        Ok(row.map(|(id, name, password_hash)| User { id, name, password_hash }))
    }

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
             on conflict (user_id) do update set hash = excluded.hash, created_at = now()",
        )
        .bind(hash.as_slice())
        .execute(&self.pool)
        .await
        .map_err(doing("storing the one-time link"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether a one-time link stands.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn has_setup_token(&self, hash: [u8; 32]) -> Result<bool, StoreError> {
        let query = "select exists (select from setup_tokens where hash = $1)";
        let stands = sqlx::query_scalar(query).bind(hash.as_slice()).fetch_one(&self.pool).await;
        stands.map_err(doing("looking up the one-time link"))
    }

    /// Uses a one-time link up: sets the password of its user, unless one is set. None: the link
    /// is unknown or used.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn use_setup_token(&self, hash: [u8; 32], password_hash: &str) -> Result<Option<User>, StoreError> {
        let row: Option<(i32, String)> = sqlx::query_as(
            "with used as (delete from setup_tokens where hash = $1 returning user_id)
             update users set password_hash = $2 from used
             where users.id = used.user_id and users.password_hash is null
             returning users.id, users.name",
        )
        .bind(hash.as_slice())
        .bind(password_hash)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("setting the first password"))?;
        Ok(row.map(|(id, name)| User { id, name, password_hash: None }))
    }
}
