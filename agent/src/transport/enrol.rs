//! A join token becomes an identity: TLS over TCP, one request, one answer.
//!
//! Invariant: the token's secret goes only to a peer that has shown the CA that the token pins.

use super::clock::{Clock, WallClock};
use super::tls;
use crate::identity::{Identity, IdentityError, NewKey};
use crate::limits::ENROL_WAIT;
use fleetlight_protocol::SERVER_NAME;
use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Refusal};
use fleetlight_protocol::frame::{self, FrameError, HEAD_BYTES, Head};
use fleetlight_protocol::join_token::JoinToken;
use rustls::CertificateError;
use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Why a host did not enrol; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(
        "cannot reach the controller at {endpoint}: {source}; check that the address in the token is right and that its TCP port is open from here"
    )]
    Unreachable { endpoint: String, source: io::Error },
    #[error("the controller at {endpoint} did not answer within {} s; try again with the same token", ENROL_WAIT.as_secs())]
    Late { endpoint: String },
    #[error(
        "whoever answers at {endpoint} is not the controller that made this token: the fingerprint of its CA is another one, so the token's secret was not sent; check the address, or make a new token on the controller"
    )]
    WrongController { endpoint: String },
    #[error(
        "the certificate of the controller at {endpoint} has ended by this host's clock: set the clock, or restart the controller, and try again"
    )]
    Clock { endpoint: String },
    #[error("the connection to {endpoint} failed: {source}; try again with the same token")]
    Connection { endpoint: String, source: io::Error },
    #[error(
        "the controller at {endpoint} answered with something else than expected ({source}); is it of another version?"
    )]
    Answer { endpoint: String, source: FrameError },
    /// In the controller's words.
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Host {
    pub hostname: String,
    /// See [`machine`].
    pub machine: String,
}

/// A hash of `/etc/machine-id`, by which clones can be noticed; empty if the file is missing.
#[must_use]
pub fn machine(machine_id: &str) -> String {
    let machine_id = machine_id.trim();
    if machine_id.is_empty() {
        return String::new();
    }
    let hash = Sha256::digest(["fleetlight machine ", machine_id].concat());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Enrols this host: makes a key, has it certified, writes the identity into `state_dir`.
///
/// # Errors
/// [`EnrolError`] says what to do. Where no answer came the same token may be tried again: the key is the same then.
pub async fn enrol(token: &JoinToken, state_dir: &Path, host: Host, wall: WallClock) -> Result<Identity, EnrolError> {
    let key = NewKey::enrolling(state_dir, &token.id)?;
    let clock = Arc::new(Clock::load(state_dir, wall));
    let request = EnrolRequest {
        token_id: token.id.clone(),
        secret: token.secret.clone(),
        csr: key.request()?,
        hostname: host.hostname,
        machine: host.machine,
    };
    let asked = timeout(ENROL_WAIT, ask(token, Arc::clone(&clock), &request)).await;
    match asked.map_err(|_| EnrolError::Late { endpoint: token.endpoint.clone() })?? {
        EnrolResponse::Refused(refusal) => Err(refusal.into()),
        EnrolResponse::Enrolled(enrolled) => {
            let identity = Identity::enrolled(&key, &enrolled, token.ca_fingerprint)?;
            identity.save(state_dir)?;
            NewKey::enrolled(state_dir);
            clock.learn(enrolled.wall_ms);
            clock.note().await;
            Ok(identity)
        }
    }
}

async fn ask(token: &JoinToken, clock: Arc<Clock>, request: &EnrolRequest) -> Result<EnrolResponse, EnrolError> {
    let endpoint = || token.endpoint.clone();
    let broken = |source| EnrolError::Connection { endpoint: endpoint(), source };
    let strange = |source| EnrolError::Answer { endpoint: endpoint(), source };
    let connector = TlsConnector::from(Arc::new(tls::enrolment_config(token.ca_fingerprint, clock)?));
    let stream = TcpStream::connect(&token.endpoint).await;
    let stream = stream.map_err(|source| EnrolError::Unreachable { endpoint: endpoint(), source })?;
    let name = ServerName::try_from(SERVER_NAME).map_err(|error| broken(io::Error::other(error)))?;
    let mut stream = connector.connect(name, stream).await.map_err(|error| untrusted(endpoint(), error))?;
    let request = frame::encode(request).map_err(strange)?;
    stream.write_all(&request).await.map_err(broken)?;
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.map_err(broken)?;
    let head = Head::parse(head).map_err(strange)?;
    let mut payload = vec![0; head.length];
    stream.read_exact(&mut payload).await.map_err(broken)?;
    frame::decode(head, &payload).map_err(strange)
}

fn untrusted(endpoint: String, source: io::Error) -> EnrolError {
    let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. })) => {
            EnrolError::Clock { endpoint }
        }
        Some(rustls::Error::InvalidCertificate(_)) => EnrolError::WrongController { endpoint },
        _ => EnrolError::Connection { endpoint, source },
    }
}
