//! The session with the controller: dials, sends what the spool holds, drops what is acknowledged.
//!
//! - [`run`]: keeps one session up: backoff, a fresh connection beside a stalled one, goodbye.
//! - `resolver`: from a name to addresses. `connection`: from addresses to a welcome. `session`: a welcomed connection until its end.
//! - `streams`: one uni stream for each class. `control`: acks, pings, renewal.
//! - `errands`: what the controller asks of this host, passed on to the executor.
//! - `in_flight`: what was sent and not acknowledged. `history`: how much of the past may go.
//! - [`enrol`]: a join token becomes an identity. [`tls`], [`clock`]: whom and when to believe.
//!
//! Invariant: a batch leaves the spool only by an ack of the controller; whatever a connection
//! loses, the next one sends again.

mod backoff;
pub mod clock;
mod connection;
mod control;
pub mod enrol;
mod errands;
mod history;
mod in_flight;
mod resolver;
mod session;
mod streams;
mod supervisor;
pub mod tls;

pub use resolver::Resolver;
pub use supervisor::run;

use crate::executor;
use crate::identity::Store;
use crate::inventory::Inventory;
use crate::spool::Spool;
use clock::Clock;
use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use quinn_proto::RandomConnectionIdGenerator;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6, UdpSocket};
use std::sync::Arc;

/// Makes the endpoint of one dial. Each has a socket of its own: a path that has gone bad somewhere
/// between is left behind with its port.
pub type Sockets = Arc<dyn Fn() -> io::Result<Endpoint> + Send + Sync>;

/// What the transport needs from the rest of the agent.
#[derive(Clone)]
pub struct Link {
    pub identity: Arc<Store>,
    pub spool: Spool,
    pub inventory: Inventory,
    pub clock: Arc<Clock>,
    pub about: About,
    pub sockets: Sockets,
    pub resolver: Arc<Resolver>,
    pub executor: executor::Client,
    /// Seeds the jitter of pauses and of the renewal.
    pub seed: u64,
}

/// What a hello says of the host.
#[derive(Debug, Clone)]
pub struct About {
    pub agent_version: String,
    pub boot_id: String,
    pub hostname: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").field("about", &self.about).finish_non_exhaustive()
    }
}

/// UDP sockets of the host: both families, or IPv4 where there is no IPv6.
#[must_use]
pub fn udp_sockets() -> Sockets {
    Arc::new(|| {
        let socket = both_families().or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        Endpoint::new(endpoint_config(), None, socket, Arc::new(TokioRuntime))
    })
}

/// Packets to the agent carry no connection id: its endpoint has one connection, and each packet
/// would cost eight bytes more.
#[must_use]
pub fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
    config
}

fn both_families() -> io::Result<UdpSocket> {
    let socket = net::socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    net::sockopt::set_ipv6_v6only(&socket, false)?;
    net::bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0))?;
    Ok(socket.into())
}
