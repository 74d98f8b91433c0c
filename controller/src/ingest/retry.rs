//! Trying again while the database is away.

use crate::limits::{DRAIN_WAIT, RETRY_FIRST, RETRY_MOST};
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The controller stops and the database is away: agents hold what was not acked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaveUp;

/// One piece of work that is tried until it succeeds; for [`DRAIN_WAIT`] only once the controller stops.
#[derive(Debug)]
pub struct Retry<'a> {
    stopping: &'a CancellationToken,
    pause: Duration,
    give_up_at: Option<Instant>,
}

impl<'a> Retry<'a> {
    pub fn new(stopping: &'a CancellationToken) -> Self {
        Self { stopping, pause: RETRY_FIRST, give_up_at: None }
    }

    /// After a failure: logs the first one aloud, and waits until it is time to try again.
    pub async fn wait(&mut self, error: &StoreError) -> Result<(), GaveUp> {
        if self.pause == RETRY_FIRST {
            tracing::error!(%error, "storing failed; trying again, and the live view goes on");
        } else {
            tracing::debug!(%error, "storing failed again");
        }
        if self.stopping.is_cancelled() {
            let give_up_at = *self.give_up_at.get_or_insert_with(|| Instant::now() + DRAIN_WAIT);
            if Instant::now() >= give_up_at {
                return Err(GaveUp);
            }
            sleep(RETRY_FIRST).await;
        } else {
            tokio::select! {
                () = sleep(self.pause) => {}
                () = self.stopping.cancelled() => {}
            }
        }
        self.pause = (self.pause * 2).min(RETRY_MOST);
        Ok(())
    }

    /// Says so if there was a failure before.
    pub fn succeeded(&self) {
        if self.pause > RETRY_FIRST {
            tracing::info!("the database is back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> StoreError {
        StoreError::Late { doing: "testing", waited: Duration::ZERO }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_their_bound() {
        let stopping = CancellationToken::new();
        let mut retry = Retry::new(&stopping);
        let begin = Instant::now();
        for _ in 0..6 {
            retry.wait(&away()).await.expect("goes on");
        }
        assert_eq!(begin.elapsed().as_millis() / 100, 63, "1 + 2 + 4 + 8 + 16 + 32 times the first");
        retry.wait(&away()).await.expect("goes on");
        assert_eq!(begin.elapsed().as_millis() / 100, 63 + 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopping_controller_gives_up_in_time() {
        let stopping = CancellationToken::new();
        stopping.cancel();
        let mut retry = Retry::new(&stopping);
        let begin = Instant::now();
        while retry.wait(&away()).await.is_ok() {}
        assert!(begin.elapsed() >= DRAIN_WAIT && begin.elapsed() < DRAIN_WAIT * 2);
    }
}
