//! People who use the page.

use super::{Store, StoreError, commands, doing, storable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// What a person is here for; `api::access` says what each may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Support,
    Developer,
    Sysops,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Admin, Self::Support, Self::Developer, Self::Sysops];

    /// As it is stored and told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Support => "support",
            Self::Developer => "developer",
            Self::Sysops => "sysops",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// As [`Role::from_name`], of a row.
    pub(super) fn stored(name: &str) -> Result<Self, StoreError> {
        let what = || format!("the role {name:?}");
        Self::from_name(name).ok_or_else(|| StoreError::Unreadable { doing: "reading a role", what: what() })
    }
}

/// One person.
#[derive(Debug, Clone)]
pub struct User {
    pub id: i32,
    pub name: String,
    pub role: Role,
    pub active: bool,
    pub must_change_password: bool,
    /// PHC string; none until a one-time link has been used.
    pub password_hash: Option<String>,
    pub created_ms: i64,
    pub last_login_ms: Option<i64>,
}

/// Somebody new; without a hash, a one-time link comes first.
#[derive(Debug)]
pub struct NewUser<'a> {
    pub name: &'a str,
    pub role: Role,
    pub password_hash: Option<&'a str>,
    pub must_change_password: bool,
}

/// What is to be another from now on; the rest stays.
#[derive(Debug, Default, Clone)]
pub struct UserChange {
    pub name: Option<String>,
    pub role: Option<Role>,
    pub active: Option<bool>,
    pub must_change_password: Option<bool>,
}

/// What became of a [`UserChange`].
#[derive(Debug)]
pub enum Changed {
    Done(User),
    Unknown,
    NameTaken,
    /// Nobody who can log in would be left to undo it.
    LastAdmin,
}

const COLUMNS: &str = "users.id, users.name, users.role, users.active, users.must_change_password,
     users.password_hash, ms_of(users.created_at), ms_of(users.last_login_at)";

pub(super) fn user_of(row: &PgRow) -> Result<User, StoreError> {
    Ok(User {
        id: row.get(0),
        name: row.get(1),
        role: Role::stored(row.get(2))?,
        active: row.get(3),
        must_change_password: row.get(4),
        password_hash: row.get(5),
        created_ms: row.get(6),
        last_login_ms: row.get(7),
    })
}

/// `head`, a user's columns, `tail`.
pub(super) fn with_columns(head: &str, tail: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{head} {COLUMNS} {tail}"))
}

impl Store {
    /// The user of a name.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(with_columns("select", "from users where name = $1"))
            .bind(storable(name))
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("looking up a user"))?;
        row.as_ref().map(user_of).transpose()
    }

    /// The user of an id.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn user_by_id(&self, id: i32) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(with_columns("select", "from users where id = $1"))
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("looking up a user"))?;
        row.as_ref().map(user_of).transpose()
    }

    /// All, by name.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query(with_columns("select", "from users order by name"))
            .fetch_all(&self.pool)
            .await
            .map_err(doing("listing users"))?;
        rows.iter().map(user_of).collect()
    }

    /// None: the name is taken.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn create_user(&self, new: NewUser<'_>) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(with_columns(
            "insert into users (name, role, password_hash, must_change_password) values ($1, $2, $3, $4)
             on conflict (name) do nothing returning",
            "",
        ))
        .bind(storable(new.name))
        .bind(new.role.name())
        .bind(new.password_hash)
        .bind(new.must_change_password)
        .fetch_optional(&self.pool)
        .await
        .map_err(doing("adding a user"))?;
        row.as_ref().map(user_of).transpose()
    }

    /// Sets a password that its owner chose. Sessions end with the old one, and so does a one-time link.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn set_password(&self, user_id: i32, password_hash: &str) -> Result<(), StoreError> {
        let query = "with ended as (delete from web_sessions where user_id = $1),
                          gone as (delete from setup_tokens where user_id = $1)
                     update users set password_hash = $2, must_change_password = false where id = $1";
        sqlx::query(query)
            .bind(user_id)
            .bind(password_hash)
            .execute(&self.pool)
            .await
            .map_err(doing("setting a password"))?;
        Ok(())
    }

    /// Stores the same password's newer hash; false: it was changed in the meantime.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn upgrade_password_hash(&self, user_id: i32, old: &str, new: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("update users set password_hash = $3 where id = $1 and password_hash = $2")
            .bind(user_id)
            .bind(old)
            .bind(new)
            .execute(&self.pool)
            .await
            .map_err(doing("upgrading a password's hash"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Changes a user. Whoever is disabled loses sessions, tokens, devices and links with it, and what no host has seen
    /// of what was asked is taken back.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn change_user(&self, id: i32, change: &UserChange, now_ms: i64) -> Result<Changed, StoreError> {
        const DOING: &str = "changing a user";
        let mut transaction = self.pool.begin().await.map_err(doing(DOING))?;
        if change.role.is_some_and(|role| role != Role::Admin) || change.active == Some(false) {
            // Locked, so that two admins cannot take away one another's role at the same time.
            let admins: Vec<i32> = sqlx::query_scalar(
                "select id from users where role = 'admin' and active and password_hash is not null
                 order by id for update",
            )
            .fetch_all(&mut *transaction)
            .await
            .map_err(doing(DOING))?;
            if admins == [id] {
                return Ok(Changed::LastAdmin);
            }
        }
        let row = sqlx::query(with_columns(
            "update users set name = coalesce($2, name), role = coalesce($3, role), active = coalesce($4, active),
                 must_change_password = coalesce($5, must_change_password) where id = $1 returning",
            "",
        ))
        .bind(id)
        .bind(change.name.as_deref().map(storable))
        .bind(change.role.map(Role::name))
        .bind(change.active)
        .bind(change.must_change_password)
        .fetch_optional(&mut *transaction)
        .await;
        let row = match row {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(Changed::Unknown),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(Changed::NameTaken),
            Err(error) => return Err(doing(DOING)(error)),
        };
        let user = user_of(&row)?;
        if !user.active {
            shut_out(&mut transaction, id, now_ms).await?;
        }
        transaction.commit().await.map_err(doing(DOING))?;
        Ok(Changed::Done(user))
    }
}

async fn shut_out(connection: &mut PgConnection, id: i32, now_ms: i64) -> Result<(), StoreError> {
    const DOING: &str = "shutting a user out";
    for sql in [
        "delete from web_sessions where user_id = $1",
        "delete from known_devices where user_id = $1",
        "delete from setup_tokens where user_id = $1",
    ] {
        sqlx::query(sql).bind(id).execute(&mut *connection).await.map_err(doing(DOING))?;
    }
    sqlx::query("update api_tokens set revoked_at = coalesce(revoked_at, time_of($2)) where user_id = $1")
        .bind(id)
        .bind(now_ms)
        .execute(&mut *connection)
        .await
        .map_err(doing(DOING))?;
    commands::withdraw(connection, id, now_ms).await
}
