//! What watchers of the present receive, and how a slow one is kept from holding anything up.
//!
//! Messages go through bounded rings that all watchers share. A watcher that falls behind is not
//! queued for: it gets the whole present anew (`fleet`, `detail`) and goes on from there. Each
//! message is turned into JSON once, by the first that needs it, outside of any lock.

use super::Live;
use super::view::{DocumentView, EventView, Host, HostDetail, RowView, Shared};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// One server-sent event.
#[derive(Debug)]
pub struct Message {
    /// Set on messages of the fleet, in the order of their happening.
    pub id: Option<u64>,
    pub body: MessageBody,
    json: OnceLock<String>,
}

/// The names and shapes of `docs/api.md`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum MessageBody {
    Fleet { hosts: Vec<Shared<Host>>, now_ms: i64, history_behind_ms: Option<i64> },
    Host(Shared<Host>),
    Detail(Box<HostDetail>),
    Samples { host_id: i32, tick_ms: i64, taken_ms: i64, rows: Vec<RowView> },
    Documents { host_id: i32, documents: Vec<DocumentView> },
    Event(Shared<EventView>),
}

impl Message {
    #[must_use]
    pub fn new(id: Option<u64>, body: MessageBody) -> Arc<Self> {
        Arc::new(Self { id, body, json: OnceLock::new() })
    }

    /// Name of the server-sent event.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.body {
            MessageBody::Fleet { .. } => "fleet",
            MessageBody::Host(_) => "host",
            MessageBody::Detail(_) => "detail",
            MessageBody::Samples { .. } => "samples",
            MessageBody::Documents { .. } => "documents",
            MessageBody::Event(_) => "event",
        }
    }

    /// The event's data, one line.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| {
            serde_json::to_string(&self.body).unwrap_or_else(|error| {
                tracing::error!(event = self.name(), %error, "a live message has no JSON; an empty one goes out");
                "null".to_owned()
            })
        })
    }
}

/// Why nobody may watch now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    #[error("no such host")]
    NoSuchHost,
    #[error("too many live streams are open; close some pages and try again")]
    TooMany,
}

/// One watcher of the fleet, and of one host if it chose one.
#[derive(Debug)]
pub struct Subscription {
    pub(super) live: Arc<Live>,
    pub(super) host: Option<i32>,
    pub(super) fleet: Receiver<Arc<Message>>,
    pub(super) detail: Option<Receiver<Arc<Message>>>,
    pub(super) pending: VecDeque<Arc<Message>>,
    /// The last fleet message that went out.
    pub(super) last_id: u64,
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Subscription {
    /// The next message: first the present, then what changes. Never ends by itself.
    pub async fn next(&mut self) -> Arc<Message> {
        loop {
            if let Some(message) = self.pending.pop_front() {
                self.last_id = self.last_id.max(message.id.unwrap_or(0));
                return message;
            }
            let received = tokio::select! {
                biased;
                received = self.fleet.recv() => received,
                received = next_of(&mut self.detail) => received,
            };
            match received {
                Ok(message) if message.id.is_some_and(|id| id <= self.last_id) => {}
                Ok(message) => self.pending.push_back(message),
                Err(RecvError::Lagged(_) | RecvError::Closed) => self.begin_anew(),
            }
        }
    }

    fn begin_anew(&mut self) {
        let (fleet, detail, pending) = self.live.snapshot(self.host, self.last_id);
        self.fleet = fleet;
        self.detail = detail;
        self.pending = pending;
    }
}

async fn next_of(detail: &mut Option<Receiver<Arc<Message>>>) -> Result<Arc<Message>, RecvError> {
    match detail {
        Some(detail) => detail.recv().await,
        None => std::future::pending().await,
    }
}
