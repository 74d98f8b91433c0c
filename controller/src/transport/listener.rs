//! The QUIC listener: admission, handshakes, one task for each session.

use super::gate::{Gate, Pass};
use super::tls::{TlsError, session_config};
use super::{Credits, Directory, Inbound, Paces, Presence, Registry, WallClock, session};
use crate::ca::Authority;
use crate::limits::{
    BI_STREAMS, HANDSHAKE_WAIT, HANDSHAKES, HANDSHAKES_PER_ADDRESS, HANDSHAKES_PER_ADDRESS_UNPROVEN,
    HANDSHAKES_UNPROVEN, IDLE, INCOMING, INCOMING_BYTES, INCOMING_BYTES_TOTAL, RECEIVE_WINDOW, SEND_WINDOW, SESSIONS,
    SESSIONS_STOP_WAIT, STREAM_RECEIVE_WINDOW, UDP_BUFFER_BYTES, UNI_STREAMS,
};
use fleetlight_protocol::control::close;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use rustix::net::sockopt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Why the listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on UDP {address}: {source}; stop what uses it (another controller?), or set another port")]
    Bind { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What sessions share.
pub struct Context<D> {
    pub directory: Arc<D>,
    pub inbound: mpsc::Sender<Inbound>,
    pub presence: mpsc::Sender<Presence>,
    pub registry: Registry,
    pub paces: Paces,
    pub credits: Credits,
    pub wall: WallClock,
}

impl<D> std::fmt::Debug for Context<D> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").finish_non_exhaustive()
    }
}

/// Binds the UDP socket. `gso` off is for hosts whose network cards garble segmentation offload.
///
/// # Errors
/// [`ListenError`] names the address.
pub fn bind(address: SocketAddr, authority: &Authority, wall: &WallClock, gso: bool) -> Result<Endpoint, ListenError> {
    let server = server_config(authority, wall, gso)?;
    let refused = |source| ListenError::Bind { address, source };
    let socket = UdpSocket::bind(address).map_err(refused)?;
    widen(&socket);
    Endpoint::new(endpoint_config(authority), Some(server), socket, Arc::new(TokioRuntime)).map_err(refused)
}

/// Larger socket buffers, as far as the system allows.
fn widen(socket: &UdpSocket) {
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN, hence the second try.
    let receive = sockopt::set_socket_recv_buffer_size_force(socket, UDP_BUFFER_BYTES)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(socket, UDP_BUFFER_BYTES));
    let send = sockopt::set_socket_send_buffer_size(socket, UDP_BUFFER_BYTES);
    let granted = sockopt::socket_recv_buffer_size(socket).unwrap_or(0);
    // Linux counts its own bookkeeping too and reports twice what was granted.
    if receive.is_err() || send.is_err() || granted / 2 < UDP_BUFFER_BYTES {
        tracing::info!(
            granted_bytes = granted / 2,
            wanted_bytes = UDP_BUFFER_BYTES,
            "small UDP buffers: many agents that connect at once will need more tries; raise net.core.rmem_max and net.core.wmem_max"
        );
    }
}

/// A controller that was started anew tells agents at once that it does not know their connections:
/// its resets are keyed by the CA, not by chance.
#[must_use]
pub fn endpoint_config(authority: &Authority) -> EndpointConfig {
    let secret = authority.derived_secret("quic stateless reset");
    let mut config = EndpointConfig::new(Arc::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret)));
    let [a, b, c, d, e, f, g, h, ..] = authority.derived_secret("quic connection ids");
    let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(key)));
    config
}

/// Certificates, windows and bounds of the listener.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(authority: &Authority, wall: &WallClock, gso: bool) -> Result<ServerConfig, TlsError> {
    let tls = session_config(authority, wall)?;
    let tls = QuicServerConfig::try_from(tls).map_err(|error| TlsError::Other(error.to_string()))?;
    let mut transport = TransportConfig::default();
    let idle = VarInt::from_u32(IDLE.as_millis() as u32);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(BI_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .max_idle_timeout(Some(idle.into()))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .enable_segmentation_offload(gso);
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
    Ok(config)
}

/// Serves agents until `stop`, then tells them and ends within [`SESSIONS_STOP_WAIT`].
pub async fn serve<D: Directory>(endpoint: Endpoint, context: Context<D>, stop: CancellationToken) {
    let context = Arc::new(context);
    let gate = Gate::default();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = sessions.join_next() => report(ended),
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => {
                    if let Some((incoming, pass)) = admit(incoming, &gate, sessions.len()) {
                        sessions.spawn(shake(incoming, pass, gate.clone(), Arc::clone(&context)));
                    }
                }
                None => break,
            },
        }
    }
    context.registry.stop();
    let drained = timeout(SESSIONS_STOP_WAIT, async {
        while let Some(ended) = sessions.join_next().await {
            report(ended);
        }
        endpoint.close(VarInt::from_u32(close::STOPPING), b"the controller stops");
        endpoint.wait_idle().await;
    });
    if drained.await.is_err() {
        endpoint.close(VarInt::from_u32(close::STOPPING), b"the controller stops");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session's task failed; please report this");
    }
}

/// Decides whether a first packet may begin a handshake. Under pressure its address must first
/// prove that it receives our packets.
fn admit(incoming: Incoming, gate: &Gate, sessions: usize) -> Option<(Incoming, Pass)> {
    let address = incoming.remote_address().ip();
    let (total, here) = gate.load(address);
    let pressed = total >= HANDSHAKES_UNPROVEN || here >= HANDSHAKES_PER_ADDRESS_UNPROVEN;
    if pressed && !incoming.remote_address_validated() && incoming.may_retry() {
        if let Err(error) = incoming.retry() {
            error.into_incoming().refuse();
        }
        return None;
    }
    let pass = gate.enter(address, HANDSHAKES_PER_ADDRESS, HANDSHAKES).filter(|_| sessions < SESSIONS);
    match pass {
        Some(pass) => Some((incoming, pass)),
        None => {
            if gate.may_log(address) {
                tracing::warn!(%address, total, here, sessions, "connection refused: too many at once");
            }
            incoming.refuse();
            None
        }
    }
}

async fn shake<D: Directory>(incoming: Incoming, pass: Pass, gate: Gate, context: Arc<Context<D>>) {
    let peer = incoming.remote_address();
    let failed = match timeout(HANDSHAKE_WAIT, incoming).await {
        Ok(Ok(connection)) => {
            drop(pass);
            return session::run(connection, context).await;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not finished within {} s", HANDSHAKE_WAIT.as_secs()),
    };
    if gate.may_log(peer.ip()) {
        tracing::warn!(%peer, reason = failed, "handshake failed");
    }
}
