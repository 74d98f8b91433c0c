//! Sessions with agents: QUIC listener, handshake, streams, acks; the enrolment listener.
//!
//! Emits [`Inbound`] messages and [`Presence`] changes; asks [`Directory`] who may come in.
//!
//! - [`listener`]: QUIC connections and their handshakes; [`serve`] runs it.
//! - `opening`: from handshake to welcome or refusal.
//! - `session`: a welcomed session until its end; `control` and `uplink` are its streams.
//! - [`registry`]: who is connected; newer sessions supersede, revoking closes.
//! - [`errand`]: what is asked of an agent, on streams of its session that the controller opens.
//! - [`enrolment`]: the TLS/TCP listener that takes join tokens.
//! - `credit`: how much history all hosts may send; `pace`: how fast one may send; `present`: who is said to be there.
//! - [`tls`]: whose certificates are believed; `gate`: who may try at once.
//!
//! Invariant: whatever a peer sends ends at most its own session, with a reason in words.

mod control;
mod credit;
pub mod enrolment;
pub mod errand;
mod gate;
pub mod listener;
mod opening;
mod pace;
mod present;
pub mod registry;
mod session;
pub mod tls;
mod uplink;

pub use credit::Credits;
pub use listener::serve;
pub use pace::Paces;
pub use registry::Registry;

use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Refusal};
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::{EntityKind, Row};
use fleetlight_protocol::uplink::Class;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Whose session it is: an agent is a key, a host is a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgentRef {
    pub agent_id: Uuid,
    pub host_id: i32,
}

/// Milliseconds since the Unix epoch; tests bring their own.
pub type WallClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn system_clock() -> WallClock {
    Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}

/// Closed intervals of sequence numbers, ascending, not touching.
pub type Intervals = Vec<(u64, u64)>;

/// One batch of one agent, decoded and within its bounds.
#[derive(Debug)]
pub struct Inbound {
    pub agent: AgentRef,
    pub epoch: Uuid,
    pub seq: u64,
    pub class: Class,
    /// Controller's wall clock at arrival, milliseconds since the Unix epoch.
    pub received_ms: i64,
    pub payload: Payload,
    /// It came faster than its host may send, and had to wait.
    pub held_back: bool,
    /// Where ingest says that the batch is stored, without waiting (`try_send`): a closed channel
    /// is a session that ended, a full one an agent that does not read, which sends again later.
    pub acks: mpsc::Sender<Stored>,
}

#[derive(Debug)]
pub enum Payload {
    Samples {
        tick_ms: i64,
        rows: Vec<Row>,
    },
    Events(Vec<Event>),
    Inventory(Vec<Document>),
    /// `seq` up to and including this number were forced out at the agent.
    Evicted {
        last: u64,
    },
}

impl Payload {
    /// Values of samples, absent ones too: each is looked at.
    fn values(&self) -> usize {
        match self {
            Self::Samples { rows, .. } => rows.iter().map(|row| row.values.len()).sum(),
            _ => 0,
        }
    }
}

/// Committed and flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub epoch: Uuid,
    pub first: u64,
    pub last: u64,
}

/// What becomes of sessions.
#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    Connected {
        agent: AgentRef,
        address: SocketAddr,
        agent_version: String,
        boot_id: String,
        at_ms: i64,
    },
    /// After each ping.
    Measured {
        agent: AgentRef,
        clock_offset_ms: Option<i64>,
        round_trip_ms: u32,
    },
    /// So many batches of history are yet to come.
    History {
        agent: AgentRef,
        batches: u64,
    },
    /// `goodbye` when the agent stopped on purpose.
    Disconnected {
        agent: AgentRef,
        at_ms: i64,
        goodbye: bool,
        reason: String,
    },
}

/// What a presented key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorised {
    pub agent: AgentRef,
    pub host_name: String,
}

/// What transport asks of the rest of the controller; tests answer from memory.
pub trait Directory: Send + Sync + 'static {
    /// Looks up the SHA-256 of a client certificate's public key, at each connect.
    fn authorise(&self, key_hash: [u8; 32]) -> impl Future<Output = Result<Authorised, Refusal>> + Send;

    /// Consumes the token and issues the certificate in one transaction.
    fn enrol(&self, request: EnrolRequest, from: SocketAddr) -> impl Future<Output = EnrolResponse> + Send;

    /// A certificate for a new key of the same agent: chain, leaf first, DER.
    fn renew(&self, agent: AgentRef, csr: Vec<u8>) -> impl Future<Output = Result<Vec<Vec<u8>>, Refusal>> + Send;

    /// What the ledger holds of each of these epochs; those that it cannot look up now are left out.
    fn stored(
        &self,
        agent: AgentRef,
        epochs: Vec<Uuid>,
    ) -> impl Future<Output = Result<Vec<(Uuid, Intervals)>, Refusal>> + Send;

    /// Kinds whose stored documents differ from the agent's hashes.
    fn wanted(
        &self,
        agent: AgentRef,
        hashes: Vec<(EntityKind, String)>,
    ) -> impl Future<Output = Result<Vec<EntityKind>, Refusal>> + Send;
}
