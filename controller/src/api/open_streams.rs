//! Open streams by who opened them, so that they end when that person's session, token or account does.

use super::Api;
use super::caller::Caller;
use crate::limits::{HEARTBEAT_EVERY, STREAM_LOOK, STREAMS_PER_SESSION};
use crate::live::presence::Now;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct OpenStreams(Arc<Mutex<HashMap<[u8; 32], Group>>>);

/// Those of one session or token.
#[derive(Debug)]
struct Group {
    user_id: Option<i32>,
    ended: CancellationToken,
    count: usize,
}

/// One open stream; dropping it takes it off the list.
#[derive(Debug)]
pub struct OpenStream {
    streams: OpenStreams,
    caller: Caller,
    ended: CancellationToken,
    /// When it must be looked again whether the caller may still have it.
    look: Instant,
}

impl OpenStreams {
    /// Adds a stream unless its session or token has [`STREAMS_PER_SESSION`] already.
    #[must_use]
    pub fn open(&self, caller: &Caller) -> Option<OpenStream> {
        let mut streams = self.lock();
        let new = || Group { user_id: caller.user_id, ended: CancellationToken::new(), count: 0 };
        let group = streams.entry(caller.stream_key()).or_insert_with(new);
        if group.count >= STREAMS_PER_SESSION {
            return None;
        }
        group.count += 1;
        // Looked at once: the session may have ended after its caller was let in, and before the stream was known here.
        let (ended, look) = (group.ended.clone(), Instant::now());
        Some(OpenStream { streams: self.clone(), caller: caller.clone(), ended, look })
    }

    /// Ends all streams of a session or a token.
    pub fn end(&self, hash: &[u8; 32]) {
        if let Some(group) = self.lock().remove(hash) {
            group.ended.cancel();
        }
    }

    /// Ends all streams of a user.
    pub fn end_user(&self, user_id: i32) {
        self.lock().retain(|_, group| {
            let theirs = group.user_id == Some(user_id);
            if theirs {
                group.ended.cancel();
            }
            !theirs
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenStream {
    /// Waits until the stream must end: its session or token is over, or the controller stops. A stream alone keeps
    /// nothing alive. May be dropped and called again.
    pub async fn over(&mut self, api: &Api) {
        loop {
            tokio::select! {
                biased;
                () = api.0.stop.cancelled() => return,
                () = self.ended.cancelled() => return,
                () = tokio::time::sleep_until(self.look) => {}
            }
            match self.caller.holds_until(api).await {
                Ok(Some(ends_ms)) => self.look = next_look(ends_ms),
                Ok(None) => return,
                // Without a database nobody can tell: the next look decides.
                Err(_) => self.look = Instant::now() + HEARTBEAT_EVERY,
            }
        }
    }
}

/// At the proof's own end, if that comes sooner.
fn next_look(ends_ms: i64) -> Instant {
    let left_ms = ends_ms.saturating_sub(Now::take().wall_ms).max(0) as u64;
    Instant::now() + STREAM_LOOK.min(Duration::from_millis(left_ms))
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        if self.ended.is_cancelled() {
            return;
        }
        let key = self.caller.stream_key();
        if let Some(group) = streams.get_mut(&key) {
            group.count -= 1;
            if group.count == 0 {
                streams.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::users::Role;

    fn caller(hash: u8) -> Caller {
        Caller::of_jwt([hash; 32], "alice", Role::Support, i64::MAX)
    }

    #[tokio::test]
    async fn streams_are_counted_by_session_and_end_with_it() {
        let streams = OpenStreams::default();
        let mut open: Vec<_> = (0..STREAMS_PER_SESSION).map(|_| streams.open(&caller(1)).unwrap()).collect();
        assert!(streams.open(&caller(1)).is_none() && streams.open(&caller(2)).is_some());
        open.pop();
        assert!(streams.open(&caller(1)).is_some());
        streams.end(&[1; 32]);
        assert!(open.iter().all(|stream| stream.ended.is_cancelled()));
        drop(open);
        assert!(streams.lock().is_empty());
    }

    #[tokio::test]
    async fn all_of_a_user_end_together() {
        let streams = OpenStreams::default();
        let open = [(1, 1), (2, 1), (3, 2)].map(|(hash, user_id)| {
            let mut caller = caller(hash);
            caller.user_id = Some(user_id);
            streams.open(&caller).unwrap()
        });
        streams.end_user(1);
        assert_eq!(open.iter().map(|stream| stream.ended.is_cancelled()).collect::<Vec<_>>(), [true, true, false]);
    }
}
