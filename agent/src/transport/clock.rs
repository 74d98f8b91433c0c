//! The time by which certificates are judged.
//!
//! A host's clock may be wrong by years. The controller's time, once heard over an authenticated
//! connection, goes on with the monotonic clock; across restarts a note of it in the state folder
//! says what the time is at least.

use crate::limits::TIME_NOTE_EVERY;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, fs};
use tokio::time::Instant;

const FILE: &str = "controller-time";

/// Milliseconds since the Unix epoch by the host's clock; tests bring their own.
pub type WallClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The host's clock and what the controller said.
pub struct Clock {
    wall: WallClock,
    note: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The controller's time, and when it was heard.
    heard: Option<(i64, Instant)>,
    /// What the note says.
    noted_ms: i64,
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Clock").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Clock {
    /// Begins with the note in `state_dir`, if there is one.
    #[must_use]
    pub fn load(state_dir: &Path, wall: WallClock) -> Self {
        let note = state_dir.join(FILE);
        let noted_ms = fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self { wall, note, known: Mutex::new(Known { heard: None, noted_ms }) }
    }

    /// The host's clock.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        (self.wall)()
    }

    /// The controller's time as far as it is known: exactly after contact, else at least.
    #[must_use]
    pub fn controller_ms(&self) -> Option<i64> {
        let known = self.lock();
        match known.heard {
            Some((heard_ms, at)) => Some(heard_ms + at.elapsed().as_millis() as i64),
            None => (known.noted_ms > 0).then_some(known.noted_ms),
        }
    }

    /// The best guess of the true time.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let heard = self.lock().heard.is_some();
        match self.controller_ms() {
            Some(controller_ms) if heard => controller_ms,
            at_least => self.wall_ms().max(at_least.unwrap_or(0)),
        }
    }

    /// Takes the controller's time, heard just now over an authenticated connection.
    pub fn learn(&self, controller_ms: i64) {
        self.lock().heard = Some((controller_ms, Instant::now()));
    }

    /// Writes the controller's time down, if the last note is old.
    pub async fn note(&self) {
        let (Some(now_ms), path) = (self.controller_ms(), self.note.clone()) else { return };
        {
            let mut known = self.lock();
            if now_ms - known.noted_ms < TIME_NOTE_EVERY.as_millis() as i64 {
                return;
            }
            known.noted_ms = now_ms;
        }
        let written = tokio::task::spawn_blocking(move || {
            let fresh = path.with_extension("new");
            fs::write(&fresh, now_ms.to_string())?;
            fs::rename(&fresh, &path)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, file = %self.note.display(), "the controller's time cannot be written down");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TRUE_MS: i64 = 1_790_000_000_000;

    #[tokio::test(start_paused = true)]
    async fn the_controllers_time_goes_on_with_the_monotonic_clock_and_survives_a_restart() {
        let folder = std::env::temp_dir().join(format!("fleetlight-clock-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("folder");
        let clock = Clock::load(&folder, Arc::new(|| 0));
        assert_eq!((clock.controller_ms(), clock.now_ms()), (None, 0));
        clock.learn(TRUE_MS);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now_ms(), TRUE_MS + 90_000, "whatever the host's clock says");
        clock.note().await;
        let behind = Clock::load(&folder, Arc::new(|| 0));
        assert_eq!(behind.now_ms(), TRUE_MS + 90_000);
        let ahead = Clock::load(&folder, Arc::new(|| TRUE_MS * 2));
        assert_eq!(ahead.now_ms(), TRUE_MS * 2, "the note says only what the time is at least");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
