//! Hosts: records with a name and a history.

use super::{Store, StoreError, doing};
use sqlx::Row;

/// A host that has enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRecord {
    pub id: i32,
    pub name: String,
    pub created_ms: i64,
}

/// What [`is_host_name`] allows, for refusals.
pub const HOST_NAME_RULE: &str =
    "it cannot name a host; allowed: up to 253 letters, digits, dots, dashes and underscores";

/// Whether a text can name a host: short, and nothing that would break a line or a command.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.'))
}

impl Store {
    /// All hosts by name.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn hosts(&self) -> Result<Vec<HostRecord>, StoreError> {
        let rows = sqlx::query("select id, name, ms_of(created_at) from hosts order by name")
            .fetch_all(&self.pool)
            .await
            .map_err(doing("listing hosts"))?;
        Ok(rows.iter().map(|row| HostRecord { id: row.get(0), name: row.get(1), created_ms: row.get(2) }).collect())
    }

    /// The name of a host, if it exists.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn host_name(&self, id: i32) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("select name from hosts where id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("looking up a host"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_machines() {
        assert!(is_host_name("gpu-07.rack_2.example.org"));
        for bad in ["", "two words", "line\nbreak", "a/b", "quote'", &"x".repeat(254)] {
            assert!(!is_host_name(bad), "{bad:?}");
        }
    }
}
