//! Who is connected. One session for each agent: a newer one supersedes, revoking closes.
//!
//! Invariant: for each agent, [`super::Presence`] says connected and disconnected in the order in which it
//! happened; both are said while the registry is locked, and a superseded session says nothing.

use fleetlight_protocol::control::Refusal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// The live sessions; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Mutex<Sessions>>);

#[derive(Debug, Default)]
struct Sessions {
    live: HashMap<Uuid, Live>,
    next_number: u64,
    stopping: bool,
    /// Counts welcomes.
    arrivals: watch::Sender<u64>,
}

#[derive(Debug)]
struct Live {
    number: u64,
    epoch: Uuid,
    connection: u64,
    close: watch::Sender<Option<Close>>,
    /// Once it was welcomed.
    line: Option<Line>,
}

/// By which an agent can be asked something ([`super::errand`]).
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub host_id: i32,
    pub connection: quinn::Connection,
    pub version: u16,
}

/// Why the registry ends a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Close {
    Superseded,
    Refused(Refusal),
    Stopping,
}

/// A session's place; dropping it gives the place up.
#[derive(Debug)]
pub(super) struct Entry {
    registry: Registry,
    agent_id: Uuid,
    number: u64,
    close: watch::Receiver<Option<Close>>,
}

impl Registry {
    /// Ends the agent's session, if there is one, with words for it.
    pub fn close(&self, agent_id: Uuid, refusal: Refusal) -> bool {
        let sessions = self.lock();
        let live = sessions.live.get(&agent_id);
        live.is_some_and(|live| live.close.send_replace(Some(Close::Refused(refusal))).is_none())
    }

    #[must_use]
    pub fn is_connected(&self, agent_id: Uuid) -> bool {
        self.lock().live.contains_key(&agent_id)
    }

    /// The way to an agent that was welcomed.
    pub(super) fn line(&self, agent_id: Uuid) -> Option<Line> {
        self.lock().live.get(&agent_id)?.line.clone()
    }

    /// The agent of a host that can be asked now; the one that came last, if a host has several.
    #[must_use]
    pub fn agent_of(&self, host_id: i32) -> Option<Uuid> {
        let sessions = self.lock();
        let of_host =
            sessions.live.iter().filter(|(_, live)| live.line.as_ref().is_some_and(|line| line.host_id == host_id));
        of_host.max_by_key(|(_, live)| live.number).map(|(agent_id, _)| *agent_id)
    }

    /// Changes whenever an agent can be asked that could not be a moment ago.
    #[must_use]
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.lock().arrivals.subscribe()
    }

    /// How many sessions are live.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().live.len()
    }

    /// Ends all sessions and lets no new one in.
    pub(super) fn stop(&self) {
        let mut sessions = self.lock();
        sessions.stopping = true;
        for live in sessions.live.values() {
            live.close.send_replace(Some(Close::Stopping));
        }
    }

    /// Takes the agent's place. A session of the same epoch with a higher connection number keeps
    /// it; any other is superseded. `announce` runs before anybody else can enter or leave.
    pub(super) fn enter(
        &self,
        agent_id: Uuid,
        epoch: Uuid,
        connection: u64,
        announce: impl FnOnce(),
    ) -> Result<Entry, Close> {
        let mut sessions = self.lock();
        if sessions.stopping {
            return Err(Close::Stopping);
        }
        if let Some(live) = sessions.live.get(&agent_id) {
            if live.epoch == epoch && live.connection >= connection {
                return Err(Close::Superseded);
            }
            live.close.send_replace(Some(Close::Superseded));
        }
        sessions.next_number += 1;
        let number = sessions.next_number;
        let (sender, close) = watch::channel(None);
        sessions.live.insert(agent_id, Live { number, epoch, connection, close: sender, line: None });
        announce();
        Ok(Entry { registry: self.clone(), agent_id, number, close })
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// From now on the agent can be asked.
    pub fn welcomed(&self, line: Line) {
        let mut sessions = self.registry.lock();
        if let Some(live) = sessions.live.get_mut(&self.agent_id).filter(|live| live.number == self.number) {
            live.line = Some(line);
            sessions.arrivals.send_modify(|count| *count += 1);
        }
    }

    /// Waits until the registry ends this session.
    pub async fn closed(&mut self) -> Close {
        match self.close.wait_for(Option::is_some).await {
            Ok(close) => close.clone().unwrap_or(Close::Superseded),
            // The sender goes only when a newer session takes the place.
            Err(_) => Close::Superseded,
        }
    }

    /// Gives the place up; `announce` runs unless a newer session has it.
    pub fn leave(self, announce: impl FnOnce()) {
        self.give_up(announce);
    }

    fn give_up(&self, announce: impl FnOnce()) {
        let mut sessions = self.registry.lock();
        if sessions.live.get(&self.agent_id).is_some_and(|live| live.number == self.number) {
            sessions.live.remove(&self.agent_id);
            announce();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.give_up(|| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::control::RefusalCode;

    const AGENT: Uuid = Uuid::from_u128(1);
    const EPOCH: Uuid = Uuid::from_u128(2);

    #[tokio::test]
    async fn the_newer_connection_supersedes_and_the_older_is_turned_away() {
        let registry = Registry::default();
        let mut first = registry.enter(AGENT, EPOCH, 1, || {}).expect("enters");
        let second = registry.enter(AGENT, EPOCH, 2, || {}).expect("enters");
        assert_eq!(first.closed().await, Close::Superseded);
        assert_eq!(registry.enter(AGENT, EPOCH, 1, || {}).err(), Some(Close::Superseded));
        let mut said = false;
        first.leave(|| said = true);
        assert!(!said && registry.is_connected(AGENT), "the newer session keeps the place");
        second.leave(|| said = true);
        assert!(said && !registry.is_connected(AGENT));
    }

    #[tokio::test]
    async fn a_new_epoch_supersedes_whatever_its_number() {
        let registry = Registry::default();
        let mut first = registry.enter(AGENT, EPOCH, 9, || {}).expect("enters");
        let _second = registry.enter(AGENT, Uuid::from_u128(3), 1, || {}).expect("enters");
        assert_eq!(first.closed().await, Close::Superseded);
    }

    #[tokio::test]
    async fn revoking_and_stopping_end_sessions() {
        let registry = Registry::default();
        let refusal = Refusal { code: RefusalCode::KeyRevoked, message: "revoked".into() };
        assert!(!registry.close(AGENT, refusal.clone()), "nobody is connected");
        let mut entry = registry.enter(AGENT, EPOCH, 1, || {}).expect("enters");
        assert!(registry.close(AGENT, refusal.clone()));
        assert_eq!(entry.closed().await, Close::Refused(refusal));
        drop(entry);
        assert_eq!(registry.count(), 0);
        registry.stop();
        assert_eq!(registry.enter(AGENT, EPOCH, 2, || {}).err(), Some(Close::Stopping));
    }
}
