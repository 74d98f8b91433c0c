//! The control stream of a session, and enrolment.
//!
//! Session: the agent opens one bi stream and sends [`AgentControl::Hello`]; the controller answers
//! [`ControllerControl::Welcome`] or [`ControllerControl::Refused`].
//! Enrolment (TLS over TCP, its own listener): one [`EnrolRequest`], one [`EnrolResponse`].

use crate::samples::EntityKind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Codes with which either side closes the QUIC connection; the reason beside them is in words.
pub mod close {
    /// All is said.
    pub const DONE: u32 = 0;
    /// After [`super::ControllerControl::Refused`].
    pub const REFUSED: u32 = 1;
    /// After [`super::ControllerControl::Superseded`].
    pub const SUPERSEDED: u32 = 2;
    /// The peer broke the protocol.
    pub const BROKEN: u32 = 3;
    /// The controller stops; dial again.
    pub const STOPPING: u32 = 4;
}

/// From the agent, on the control stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentControl {
    Hello(Hello),
    /// Asks for [`ControllerControl::Pong`]; carries what the last exchange gave. Its names are
    /// short, as those of whatever is said all the time.
    #[serde(rename = "p")]
    Ping(Ping),
    /// A new certificate for a new key: PKCS#10, DER.
    Renew {
        csr: Vec<u8>,
    },
    /// So many batches of history are yet to be sent: it asks for [`ControllerControl::Credit`] while there are any.
    /// From version 2 on.
    #[serde(rename = "h")]
    History {
        #[serde(rename = "b")]
        batches: u64,
    },
    /// The agent is about to stop and waits for its last acks: from now on they go at once.
    Stopping,
    /// The agent stops on purpose; its host is offline, not stale.
    Goodbye {
        reason: String,
    },
}

/// The agent's first frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Versions that the agent speaks, newest first.
    pub versions: Vec<u16>,
    pub agent_version: String,
    /// A new UUID at each agent start.
    pub epoch: Uuid,
    /// Counts this agent's connections within the epoch: the higher one supersedes.
    pub connection: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    pub hostname: String,
    /// The host's wall clock, milliseconds since the Unix epoch.
    pub wall_ms: i64,
    /// SHA-256 over the documents of each kind that the agent last reported.
    pub inventory: Vec<(EntityKind, String)>,
    /// Epochs of which the agent still holds batches, this one included.
    pub held_epochs: Vec<Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ping {
    /// Echoed by the pong.
    #[serde(rename = "n")]
    pub nonce: u64,
    /// Host clock less controller clock, if known.
    #[serde(rename = "o")]
    pub clock_offset_ms: Option<i64>,
    #[serde(rename = "r")]
    pub round_trip_ms: Option<u32>,
}

/// From the controller, on the control stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControllerControl {
    Welcome(Welcome),
    Refused(Refusal),
    /// The transaction that holds these has been flushed: epoch (none: the hello's own), first and
    /// last sequence number.
    #[serde(rename = "a")]
    Ack(Option<Uuid>, Vec<(u64, u64)>),
    #[serde(rename = "p")]
    Pong {
        #[serde(rename = "n")]
        nonce: u64,
        #[serde(rename = "w")]
        wall_ms: i64,
    },
    /// So many more rows of history may come, counted by [`crate::uplink::history_rows`]. From version 2 on.
    #[serde(rename = "c")]
    Credit(u64),
    /// Leaf first, then the CA; DER.
    Renewed {
        chain: Vec<Vec<u8>>,
    },
    /// A newer connection of the same agent has taken over.
    Superseded,
}

/// The controller's answer to a hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    pub version: u16,
    pub controller_version: String,
    pub wall_ms: i64,
    /// What is already stored, per epoch of [`Hello::held_epochs`]: closed intervals. An epoch that is not
    /// listed could not be looked up: the agent goes by what was acknowledged.
    pub stored: Vec<(Uuid, Vec<(u64, u64)>)>,
    /// Kinds whose documents the controller lacks or holds differently.
    pub wanted: Vec<EntityKind>,
    /// When the presented certificate ends, milliseconds since the Unix epoch.
    pub certificate_ends_ms: i64,
}

/// Why the controller says no; `message` says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No common protocol version.
    Version,
    /// The token is not known here.
    TokenUnknown,
    TokenUsed,
    TokenExpired,
    TokenRevoked,
    /// The token is bound to another host name.
    TokenHost,
    /// The key was revoked.
    KeyRevoked,
    /// No such key is known here; of a restored backup, one before it may be. Agents that lack this word read
    /// [`Self::Other`].
    KeyUnknown,
    /// The certificate ended too long ago to renew.
    CertificateExpired,
    /// The request breaks the protocol.
    Malformed,
    /// The controller cannot answer now (no database); try again.
    Unavailable,
    #[serde(other)]
    Other,
}

impl RefusalCode {
    /// Whether trying again later with the same key or token can succeed.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Other)
    }
}

/// What a host sends to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolRequest {
    pub token_id: String,
    pub secret: String,
    /// PKCS#10, DER; its names are ignored.
    pub csr: Vec<u8>,
    pub hostname: String,
    /// Hash of `/etc/machine-id`, so that clones can be noticed.
    pub machine: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolResponse {
    Enrolled(Enrolled),
    Refused(Refusal),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    pub agent_id: Uuid,
    pub host_name: String,
    /// Leaf first, then the CA; DER.
    pub chain: Vec<Vec<u8>>,
    /// `host:port` of the session listener (UDP).
    pub session_endpoint: String,
    pub wall_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_small_and_pinned() {
        let ack = ControllerControl::Ack(None, vec![(7, 9)]);
        let bytes = rmp_serde::to_vec_named(&ack).expect("encodes");
        assert_eq!(bytes, [0x81, 0xa1, b'a', 0x92, 0xc0, 0x91, 0x92, 7, 9]);
        let other = ControllerControl::Ack(Some(Uuid::nil()), vec![(7, 9)]);
        let bytes = rmp_serde::to_vec_named(&other).expect("encodes");
        assert_eq!(bytes[..6], [0x81, 0xa1, b'a', 0x92, 0xc4, 16]);
    }

    #[test]
    fn what_is_said_of_history_is_small_and_pinned() {
        let credit = rmp_serde::to_vec_named(&ControllerControl::Credit(300)).expect("encodes");
        assert_eq!(credit, [0x81, 0xa1, b'c', 0xcd, 1, 44]);
        let history = rmp_serde::to_vec_named(&AgentControl::History { batches: 7 }).expect("encodes");
        assert_eq!(history, [0x81, 0xa1, b'h', 0x81, 0xa1, b'b', 7]);
    }

    #[test]
    fn an_unknown_key_is_told_apart_from_a_revoked_one_and_older_agents_read_another_reason() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Older {
            KeyRevoked,
            #[serde(other)]
            Other,
        }
        let bytes = |code| rmp_serde::to_vec_named(&code).expect("encodes");
        assert_eq!(bytes(RefusalCode::KeyUnknown), b"\xabkey_unknown");
        assert_eq!(bytes(RefusalCode::KeyRevoked), b"\xabkey_revoked");
        let older = |code| rmp_serde::from_slice::<Older>(&bytes(code)).expect("is read");
        assert_eq!(older(RefusalCode::KeyUnknown), Older::Other);
        assert_eq!(older(RefusalCode::KeyRevoked), Older::KeyRevoked);
        assert!(RefusalCode::KeyUnknown.is_final());
    }

    #[test]
    fn a_hello_with_fields_of_the_future_is_still_read() {
        #[derive(Serialize)]
        #[serde(rename_all = "snake_case")]
        enum Future {
            Renew { csr: Vec<u8>, post_quantum: bool },
        }
        let bytes = rmp_serde::to_vec_named(&Future::Renew { csr: vec![1], post_quantum: true }).expect("encodes");
        let read: AgentControl = rmp_serde::from_slice(&bytes).expect("unknown fields are skipped");
        assert_eq!(read, AgentControl::Renew { csr: vec![1] });
    }
}
