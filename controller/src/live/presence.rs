//! Whether a host is there: signs of life, and the state that follows from them by time alone.
//!
//! Pure: every function is told the time. Ages are measured on the monotonic clock, so that a step
//! of the wall clock makes nobody offline; wall time is kept for people.

use super::view::CatchingUp;
use crate::limits::{CATCHING_UP_FOR, OFFLINE_AFTER, STALE_AFTER_TICKS};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use uuid::Uuid;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub at: Instant,
    /// Milliseconds since the Unix epoch, by the controller's clock.
    pub wall_ms: i64,
}

impl Now {
    #[must_use]
    pub fn take() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        Self { at: Instant::now(), wall_ms: wall }
    }
}

/// State of a host, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    Online,
    /// Online, and history is still arriving.
    CatchingUp,
    /// No samples for [`STALE_AFTER_TICKS`] intervals.
    Stale,
    /// No sign of life for [`OFFLINE_AFTER`], or the agent said goodbye.
    Offline,
}

/// What is known of a host's agent and its connection.
#[derive(Debug, Default)]
pub struct Presence {
    pub agent_id: Option<Uuid>,
    pub agent_version: Option<String>,
    pub address: Option<String>,
    pub connected_since_ms: Option<i64>,
    pub clock_offset_ms: Option<i64>,
    pub round_trip_ms: Option<u32>,
    /// Controller's wall clock at the last sign of life.
    pub last_seen_ms: Option<i64>,
    /// The agent's reason, when it stopped on purpose.
    pub goodbye: Option<String>,
    /// A session began, or a sign of life came after silence: messages may overtake the news of a session.
    back_since: Option<Instant>,
    last_sign: Option<Instant>,
    last_live: Option<Instant>,
    last_replay: Option<Instant>,
    /// Batches of history yet to come, as the agent said, less those that came since.
    history_left: u64,
}

/// A session that has just begun.
#[derive(Debug, Clone)]
pub struct Connected {
    pub agent_id: Uuid,
    pub address: String,
    pub agent_version: String,
    pub at_ms: i64,
}

impl Presence {
    /// Anything came in.
    pub fn sign_of_life(&mut self, now: Now) {
        let silent = self.last_sign.is_none_or(|last| now.at.saturating_duration_since(last) >= OFFLINE_AFTER);
        if silent {
            self.back_since = Some(now.at);
        }
        self.last_sign = Some(now.at);
        self.last_seen_ms = Some(now.wall_ms);
    }

    /// Samples came in as they were taken.
    pub fn live_samples(&mut self, now: Now) {
        self.sign_of_life(now);
        self.last_live = Some(now.at);
    }

    /// Samples of the past came in.
    pub fn replayed_samples(&mut self, now: Now) {
        self.sign_of_life(now);
        self.last_replay = Some(now.at);
        self.history_left = self.history_left.saturating_sub(1);
    }

    /// The agent says how many batches of history are yet to come.
    pub fn history_left(&mut self, batches: u64, now: Now) {
        self.sign_of_life(now);
        self.history_left = batches;
    }

    /// How much history is yet to come of a host that samples at this interval. By the count, not by time stamps:
    /// clocks are set while agents wait.
    #[must_use]
    pub fn catching_up(&self, interval_ms: u32) -> Option<CatchingUp> {
        let batches_left = self.history_left;
        let behind_ms = i64::try_from(batches_left).unwrap_or(i64::MAX).saturating_mul(interval_ms.into());
        (batches_left > 0).then_some(CatchingUp { behind_ms, batches_left })
    }

    pub fn connected(&mut self, session: Connected, now: Now) {
        self.agent_id = Some(session.agent_id);
        self.agent_version = Some(session.agent_version);
        self.address = Some(session.address);
        self.connected_since_ms = Some(session.at_ms);
        self.back_since = Some(now.at);
        self.clock_offset_ms = None;
        self.round_trip_ms = None;
        self.history_left = 0;
        self.goodbye = None;
        self.sign_of_life(now);
    }

    pub fn measured(&mut self, clock_offset_ms: Option<i64>, round_trip_ms: u32, now: Now) {
        self.clock_offset_ms = clock_offset_ms;
        self.round_trip_ms = Some(round_trip_ms);
        self.sign_of_life(now);
    }

    /// The session of `agent_id` ended; another agent's session on the same host goes on.
    pub fn disconnected(&mut self, agent_id: Uuid, goodbye: Option<String>) {
        if self.agent_id.is_some_and(|current| current != agent_id) {
            return;
        }
        self.connected_since_ms = None;
        self.round_trip_ms = None;
        self.history_left = 0;
        self.goodbye = goodbye;
    }

    /// The state at `now` of a host that samples every `interval`.
    #[must_use]
    pub fn state(&self, interval: Duration, now: Instant) -> HostState {
        let age = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        if self.goodbye.is_some() || age(self.last_sign).is_none_or(|age| age >= OFFLINE_AFTER) {
            return HostState::Offline;
        }
        // A session that has just begun owes its first samples no sooner than an older one.
        let samples = age(self.last_live.max(self.back_since));
        if samples.is_none_or(|age| age >= interval * STALE_AFTER_TICKS) {
            return HostState::Stale;
        }
        match age(self.last_replay) {
            Some(age) if age < CATCHING_UP_FOR => HostState::CatchingUp,
            _ => HostState::Online,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn at(start: Now, seconds: f64) -> Now {
        let millis = (seconds * 1_000.0) as u64;
        Now { at: start.at + Duration::from_millis(millis), wall_ms: start.wall_ms + millis as i64 }
    }

    fn session(agent_id: Uuid) -> Connected {
        Connected { agent_id, address: "192.0.2.1".into(), agent_version: "0.1.0".into(), at_ms: 0 }
    }

    #[tokio::test]
    async fn a_cut_host_is_stale_after_three_ticks_and_offline_after_thirty_seconds() {
        let start = Now::take();
        let mut presence = Presence::default();
        assert_eq!(presence.state(INTERVAL, start.at), HostState::Offline, "never seen");
        presence.connected(session(Uuid::nil()), start);
        assert_eq!(presence.state(INTERVAL, at(start, 1.0).at), HostState::Online);
        presence.live_samples(at(start, 5.0));
        assert_eq!(presence.state(INTERVAL, at(start, 19.9).at), HostState::Online);
        assert_eq!(presence.state(INTERVAL, at(start, 20.0).at), HostState::Stale);
        assert_eq!(presence.state(INTERVAL, at(start, 34.9).at), HostState::Stale);
        assert_eq!(presence.state(INTERVAL, at(start, 35.0).at), HostState::Offline);
        presence.connected(session(Uuid::nil()), at(start, 60.0));
        assert_eq!(presence.state(INTERVAL, at(start, 60.0).at), HostState::Online, "back at once");
    }

    #[tokio::test]
    async fn an_agent_that_answers_without_samples_is_stale_and_not_offline() {
        let start = Now::take();
        let mut presence = Presence::default();
        presence.connected(session(Uuid::nil()), start);
        for seconds in [10.0, 20.0, 30.0, 40.0] {
            presence.measured(Some(1), 2, at(start, seconds));
        }
        assert_eq!(presence.state(INTERVAL, at(start, 41.0).at), HostState::Stale);
    }

    #[tokio::test]
    async fn goodbye_is_offline_at_once_and_a_lost_session_is_not() {
        let start = Now::take();
        let mut presence = Presence::default();
        presence.connected(session(Uuid::nil()), start);
        presence.disconnected(Uuid::nil(), None);
        assert_eq!(presence.state(INTERVAL, at(start, 1.0).at), HostState::Online);
        presence.connected(session(Uuid::nil()), at(start, 2.0));
        presence.disconnected(Uuid::nil(), Some("stopped by systemd".into()));
        assert_eq!(presence.state(INTERVAL, at(start, 2.0).at), HostState::Offline);
    }

    #[tokio::test]
    async fn a_message_that_overtakes_the_news_of_its_session_is_no_staleness() {
        let start = Now::take();
        let mut presence = Presence::default();
        for seconds in [0.0, 100.0] {
            presence.sign_of_life(at(start, seconds));
            assert_eq!(presence.state(INTERVAL, at(start, seconds).at), HostState::Online);
        }
        presence.sign_of_life(at(start, 110.0));
        assert_eq!(presence.state(INTERVAL, at(start, 115.0).at), HostState::Stale, "no samples all the same");
    }

    #[tokio::test]
    async fn the_end_of_a_replaced_agent_is_not_the_end_of_its_successor() {
        let start = Now::take();
        let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut presence = Presence::default();
        presence.connected(session(old), start);
        presence.connected(session(new), at(start, 1.0));
        presence.disconnected(old, Some("replaced".into()));
        assert_eq!(presence.state(INTERVAL, at(start, 1.0).at), HostState::Online);
        assert!(presence.connected_since_ms.is_some());
    }

    #[tokio::test]
    async fn replay_is_catching_up_and_cannot_hide_missing_samples() {
        let start = Now::take();
        let mut presence = Presence::default();
        presence.connected(session(Uuid::nil()), start);
        presence.replayed_samples(at(start, 1.0));
        assert_eq!(presence.state(INTERVAL, at(start, 2.0).at), HostState::CatchingUp);
        presence.replayed_samples(at(start, 16.0));
        assert_eq!(presence.state(INTERVAL, at(start, 16.0).at), HostState::Stale);
        presence.live_samples(at(start, 17.0));
        let over = start.at + Duration::from_secs(16) + CATCHING_UP_FOR;
        assert_eq!(presence.state(INTERVAL, over), HostState::Online);
    }

    #[tokio::test]
    async fn what_is_left_of_history_counts_down_and_ends_with_the_session() {
        let start = Now::take();
        let mut presence = Presence::default();
        presence.connected(session(Uuid::nil()), start);
        assert_eq!(presence.catching_up(5_000), None);
        presence.history_left(3, start);
        presence.replayed_samples(start);
        assert_eq!(presence.catching_up(5_000), Some(CatchingUp { behind_ms: 10_000, batches_left: 2 }));
        presence.disconnected(Uuid::nil(), None);
        assert_eq!(presence.catching_up(5_000), None);
    }
}
