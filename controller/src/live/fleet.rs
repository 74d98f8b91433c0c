//! The hosts behind the lock of [`super::Live`].

use super::host::HostRecord;
use super::presence::{HostState, Now};
use super::view::{Host, Shared};
use super::watch::{Message, MessageBody};
use crate::limits::{HOST_MESSAGE_EVERY, HOSTS, RESUMABLE_EVENTS};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::time::Instant;

#[derive(Debug)]
pub struct Fleet {
    pub hosts: BTreeMap<i32, Slot>,
    /// Id of the last fleet message.
    pub last_id: u64,
    /// The last `event` messages, for those who come back.
    pub events: VecDeque<Arc<Message>>,
    pub history_behind_ms: Option<i64>,
}

#[derive(Debug)]
pub struct Slot {
    pub record: HostRecord,
    pub published: Option<(Shared<Host>, Instant)>,
    /// Exists while somebody watches this host.
    pub detail: Option<broadcast::Sender<Arc<Message>>>,
}

impl Fleet {
    /// The host's place, made if there is room.
    pub fn slot(&mut self, host_id: i32) -> Option<&mut Slot> {
        if !self.hosts.contains_key(&host_id) && self.hosts.len() >= HOSTS {
            tracing::warn!(host_id, limit = HOSTS, "more hosts than the live view holds: this one is not shown");
            return None;
        }
        let new = || Slot { record: HostRecord::new(host_id), published: None, detail: None };
        Some(self.hosts.entry(host_id).or_insert_with(new))
    }

    /// The next message of the fleet.
    pub fn message(&mut self, body: MessageBody) -> Arc<Message> {
        self.last_id += 1;
        Message::new(Some(self.last_id), body)
    }

    /// A message that those who come back can still get.
    pub fn resumable(&mut self, body: MessageBody) -> Arc<Message> {
        let message = self.message(body);
        if self.events.len() >= RESUMABLE_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Arc::clone(&message));
        message
    }

    /// As last told, worst first.
    pub fn hosts(&self) -> Vec<Shared<Host>> {
        let published = self.hosts.values().filter_map(|slot| slot.published.as_ref());
        let mut hosts: Vec<_> = published.map(|(host, _)| host.clone()).collect();
        hosts.sort_by(|a, b| a.urgency().cmp(&b.urgency()));
        hosts
    }
}

impl Slot {
    /// Whether watchers know that history arrives, and heard so a moment ago.
    pub fn has_told_of_history(&self, now: Now) -> bool {
        self.published.as_ref().is_some_and(|(host, at)| {
            let catching_up = matches!(host.state, HostState::CatchingUp | HostState::Stale);
            catching_up && now.at.saturating_duration_since(*at) < HOST_MESSAGE_EVERY
        })
    }

    /// Tells those who watch this host, if anybody does.
    pub fn tell(&self, body: impl FnOnce() -> MessageBody) {
        if let Some(detail) = self.detail.as_ref().filter(|detail| detail.receiver_count() > 0) {
            let _ = detail.send(Message::new(None, body()));
        }
    }
}
