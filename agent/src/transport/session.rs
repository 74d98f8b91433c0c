//! A welcomed connection until its end.

use super::connection::Welcomed;
use super::history::History;
use super::in_flight::InFlight;
use super::streams::{self, Cargo, Road};
use super::{Link, control, errands};
use crate::batcher::push_documents;
use crate::limits::{FLUSH_WAIT, GOODBYE_WAIT};
use fleetlight_protocol::control::{AgentControl, Refusal, close};
use quinn::{ConnectionError, VarInt};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The connection is gone.
    Lost(String),
    Refused(Refusal),
    /// Another connection with this agent's key has taken over.
    Superseded,
    /// The agent stops, and has said so.
    Goodbye,
}

impl Ended {
    pub fn lost(error: impl std::fmt::Display) -> Self {
        Self::Lost(error.to_string())
    }

    /// What the connection's end says, in preference to what a stream noticed of it.
    fn or_closed(self, reason: Option<ConnectionError>) -> Self {
        match (self, reason) {
            (Self::Lost(_), Some(ConnectionError::ApplicationClosed(closed))) => {
                if closed.error_code == VarInt::from_u32(close::SUPERSEDED) {
                    return Self::Superseded;
                }
                Self::Lost(String::from_utf8_lossy(&closed.reason).into_owned())
            }
            (Self::Lost(_), Some(reason)) => Self::lost(reason),
            (ended, _) => ended,
        }
    }
}

/// Sends what the spool holds and takes acks until the connection ends or `stop`. A former key is renewed at once.
pub(super) async fn run(
    welcomed: Welcomed,
    is_former: bool,
    link: &Link,
    in_flight: &InFlight,
    stop: &CancellationToken,
) -> Ended {
    let Welcomed { endpoint, connection, mut send, recv, welcome } = welcomed;
    let head = *link.spool.head().borrow();
    link.spool.settle(&welcome.stored);
    push_documents(&link.inventory.documents(&welcome.wanted), &link.spool);
    let version = welcome.version;
    let history = History::new(version);
    let renew_at = if is_former { Some(Instant::now()) } else { control::renewal(link) };
    let road = Road { connection: &connection, spool: &link.spool, in_flight, history: &history, head };
    let ended = tokio::select! {
        biased;
        ended = streams::run(Cargo::Facts, road) => ended,
        ended = streams::run(Cargo::Samples, road) => ended,
        ended = streams::run(Cargo::PastFacts, road) => ended,
        ended = streams::run(Cargo::PastSamples, road) => ended,
        // After the streams, so that a ping shares the packet of the batch that it waited for.
        ended = control::run(&mut send, recv, link, road, renew_at, stop) => ended,
        ended = errands::run(&connection, version, link) => ended,
        () = flushed(in_flight, stop) => Ended::Goodbye,
    };
    if matches!(ended, Ended::Goodbye) {
        let until = Instant::now() + GOODBYE_WAIT.saturating_sub(FLUSH_WAIT);
        let said = async {
            let goodbye = AgentControl::Goodbye { reason: "the agent stops".into() };
            if control::write(&mut send, &goodbye).await.is_ok() && send.finish().is_ok() {
                let _ = send.stopped().await;
            }
        };
        let _ = timeout_at(until, said).await;
        connection.close(VarInt::from_u32(close::DONE), b"the agent stops");
        // The close is a packet that the endpoint has yet to send.
        let _ = timeout_at(until, endpoint.wait_idle()).await;
    }
    ended.or_closed(connection.close_reason())
}

/// After `stop`, waits until what was sent is acknowledged, but not for long.
async fn flushed(in_flight: &InFlight, stop: &CancellationToken) {
    stop.cancelled().await;
    let _ = timeout_at(Instant::now() + FLUSH_WAIT, in_flight.empty()).await;
}
