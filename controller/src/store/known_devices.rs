//! Browsers in which somebody has logged in before, by the hash of a cookie of their own.

use super::{Store, StoreError, doing};
use crate::limits::DEVICES_PER_USER;

impl Store {
    /// Whether a user has logged in with this device since `since_ms`.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn knows_device(&self, hash: [u8; 32], user_name: &str, since_ms: i64) -> Result<bool, StoreError> {
        let query = "select exists (select from known_devices d join users u on u.id = d.user_id
                                    where d.hash = $1 and u.name = $2 and d.used_at > time_of($3))";
        let knows = sqlx::query_scalar(query)
            .bind(hash.as_slice())
            .bind(super::storable(user_name))
            .bind(since_ms)
            .fetch_one(&self.pool)
            .await;
        knows.map_err(doing("looking up a known device"))
    }

    /// Remembers a device in place of `old`; the user's oldest go beyond [`DEVICES_PER_USER`].
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn remember_device(
        &self,
        hash: [u8; 32],
        old: Option<[u8; 32]>,
        user_id: i32,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "with gone as (delete from known_devices where user_id = $3 and (hash = $2 or hash in (
                 select hash from known_devices where user_id = $3 order by used_at desc offset $5)))
             insert into known_devices (hash, user_id, used_at) values ($1, $3, time_of($4))",
        )
        .bind(hash.as_slice())
        .bind(old.as_ref().map(<[u8; 32]>::as_slice))
        .bind(user_id)
        .bind(now_ms)
        .bind(DEVICES_PER_USER - 1)
        .execute(&self.pool)
        .await
        .map_err(doing("remembering a device"))?;
        Ok(())
    }

    /// Forgets devices in which nobody has logged in since a moment.
    pub(super) async fn forget_devices_before(&self, ms: i64) -> Result<(), StoreError> {
        sqlx::query("delete from known_devices where used_at < time_of($1)")
            .bind(ms)
            .execute(&self.pool)
            .await
            .map_err(doing("forgetting old devices"))?;
        Ok(())
    }
}
