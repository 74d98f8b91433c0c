//! The enrolment listener: TLS 1.3 over TCP, one request, one answer.
//!
//! It has a port of its own so that the session listener can always demand a certificate.

use super::Directory;
use super::gate::{Gate, Pass};
use super::tls::{TlsError, enrolment_config};
use crate::ca::Authority;
use crate::limits::{ENROL_REQUEST_BYTES, ENROL_WAIT, ENROLMENTS, ENROLMENTS_PER_ADDRESS};
use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Refusal, RefusalCode};
use fleetlight_protocol::frame::{self, HEAD_BYTES, Head};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept: the process is out of file descriptors, and trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Characters of the name that a refused host claims, in the log: anybody may send one, of any length.
const LOGGED_NAME_CHARS: usize = 64;

/// What went wrong before an answer could be given.
#[derive(Debug, thiserror::Error)]
enum EnrolError {
    #[error("TLS: {0}")]
    Io(#[from] io::Error),
    #[error("not finished within {} s", ENROL_WAIT.as_secs())]
    Late,
}

/// What the listener presents: a certificate for [`fleetlight_protocol::SERVER_NAME`], and the CA.
///
/// # Errors
/// [`TlsError`].
pub fn acceptor(authority: &Authority, now_ms: i64) -> Result<TlsAcceptor, TlsError> {
    Ok(TlsAcceptor::from(Arc::new(enrolment_config(authority, now_ms)?)))
}

/// Serves hosts that enrol, until `stop`.
pub async fn serve<D: Directory>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    directory: Arc<D>,
    stop: CancellationToken,
) {
    let gate = Gate::default();
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = running.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "an enrolment's task failed; please report this");
            },
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match gate.enter(peer.ip(), ENROLMENTS_PER_ADDRESS, ENROLMENTS) {
                    Some(pass) => {
                        running.spawn(one(stream, peer, acceptor.clone(), Arc::clone(&directory), pass, gate.clone()));
                    }
                    None => drop(stream),
                },
                Err(error) => {
                    tracing::warn!(%error, "enrolment: cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Enrolments under way end with their tasks: the host tries again with the same token and key.
    running.shutdown().await;
}

async fn one<D: Directory>(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    directory: Arc<D>,
    _pass: Pass,
    gate: Gate,
) {
    let result = timeout(ENROL_WAIT, answer(stream, peer, acceptor, directory.as_ref(), &gate)).await;
    if let Err(error) = result.unwrap_or(Err(EnrolError::Late))
        && gate.may_log(peer.ip())
    {
        tracing::warn!(%peer, %error, "enrolment failed");
    }
}

async fn answer<D: Directory>(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    directory: &D,
    gate: &Gate,
) -> Result<(), EnrolError> {
    let mut stream = acceptor.accept(stream).await?;
    let response = match request(&mut stream).await? {
        Ok(request) => {
            let hostname: String = request.hostname.chars().take(LOGGED_NAME_CHARS).collect();
            let response = directory.enrol(request, peer).await;
            match &response {
                EnrolResponse::Enrolled(enrolled) => {
                    tracing::info!(%peer, host = enrolled.host_name, agent = %enrolled.agent_id, "host enrolled");
                }
                EnrolResponse::Refused(refusal) if gate.may_log(peer.ip()) => {
                    tracing::warn!(%peer, hostname, reason = %refusal, "enrolment refused");
                }
                EnrolResponse::Refused(_) => {}
            }
            response
        }
        Err(reason) => {
            if gate.may_log(peer.ip()) {
                tracing::warn!(%peer, reason, "enrolment refused: the request breaks the protocol");
            }
            EnrolResponse::Refused(Refusal {
                code: RefusalCode::Malformed,
                message: format!("the request breaks the protocol: {reason}"),
            })
        }
    };
    let bytes = frame::encode(&response).map_err(io::Error::other)?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    Ok(())
}

/// Reads the one request; the inner error is said to the host.
async fn request(stream: &mut tokio_rustls::server::TlsStream<TcpStream>) -> io::Result<Result<EnrolRequest, String>> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let head = match Head::parse(head) {
        Ok(head) if head.length <= ENROL_REQUEST_BYTES => head,
        Ok(head) => return Ok(Err(format!("{} bytes, more than {ENROL_REQUEST_BYTES}", head.length))),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut payload = vec![0; head.length];
    stream.read_exact(&mut payload).await?;
    Ok(frame::decode(head, &payload).map_err(|error| error.to_string()))
}
