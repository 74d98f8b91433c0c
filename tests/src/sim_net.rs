//! A network in memory: seeded loss, delay, duplication and cuts, on tokio's paused clock.
//!
//! The fate of a packet depends on the seed, on the pair of sockets and on how many packets that pair
//! has exchanged, and on nothing else: the same seed gives the same packets at the same times.

mod socket;

use fleetlight_agent::random::Random;
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use socket::{Inbox, SimSocket};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What the network does to packets.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Shares of packets, 0–1.
    pub loss: f64,
    pub duplication: f64,
    /// Delay of each packet, evenly between; packets overtake each other.
    pub delay: (Duration, Duration),
}

impl Weather {
    pub const CALM: Self =
        Self { loss: 0.0, duplication: 0.0, delay: (Duration::from_millis(5), Duration::from_millis(5)) };
    pub const STORM: Self =
        Self { loss: 0.08, duplication: 0.05, delay: (Duration::from_millis(5), Duration::from_millis(80)) };
}

/// One packet, as the trace has it. Lengths are left out: signatures vary by a byte or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    pub at: Duration,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Delivered,
    Doubled,
    Lost,
    Cut,
    NobodyThere,
}

/// The network; clones share it.
#[derive(Debug, Clone)]
pub struct SimNet(Arc<Mutex<Net>>);

#[derive(Debug)]
struct Net {
    seed: u64,
    began: Instant,
    weather: Weather,
    sockets: BTreeMap<SocketAddr, Arc<Mutex<Inbox>>>,
    next_port: u16,
    sent: BTreeMap<(SocketAddr, SocketAddr), u64>,
    cuts: Vec<Cut>,
    trace: Vec<Packet>,
    bytes: u64,
}

/// Packets that match go nowhere.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// From one address to another, one way.
    OneWay { from: IpAddr, to: IpAddr },
    /// To and from one socket.
    Socket(SocketAddr),
}

impl SimNet {
    /// A calm network. Needs a tokio runtime, whose clock it goes by.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Net {
            seed,
            began: Instant::now(),
            weather: Weather::CALM,
            sockets: BTreeMap::new(),
            next_port: 40_000,
            sent: BTreeMap::new(),
            cuts: Vec::new(),
            trace: Vec::new(),
            bytes: 0,
        })))
    }

    pub fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    pub fn cut(&self, cut: Cut) {
        self.lock().cuts.push(cut);
    }

    /// Cuts two addresses off from each other.
    pub fn part(&self, one: IpAddr, other: IpAddr) {
        self.cut(Cut::OneWay { from: one, to: other });
        self.cut(Cut::OneWay { from: other, to: one });
    }

    pub fn mend(&self) {
        self.lock().cuts.clear();
    }

    /// Every packet so far, ordered by time and sockets.
    #[must_use]
    pub fn trace(&self) -> Vec<Packet> {
        let mut trace = self.lock().trace.clone();
        trace.sort();
        trace
    }

    /// UDP payload bytes sent so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// The socket of `address` that was opened last.
    #[must_use]
    pub fn newest_socket(&self, address: IpAddr) -> Option<SocketAddr> {
        self.lock().sockets.keys().filter(|socket| socket.ip() == address).max().copied()
    }

    /// A port of `address` that nobody has had.
    #[must_use]
    pub fn free_port(&self, address: IpAddr) -> SocketAddr {
        let mut net = self.lock();
        net.next_port += 1;
        (address, net.next_port).into()
    }

    /// An endpoint at `address`. Its randomness comes from the network's seed and the address.
    ///
    /// # Errors
    /// Those of quinn.
    pub fn endpoint(
        &self,
        address: SocketAddr,
        mut config: EndpointConfig,
        server: Option<ServerConfig>,
    ) -> io::Result<Endpoint> {
        let inbox = Arc::<Mutex<Inbox>>::default();
        let mut net = self.lock();
        net.sockets.insert(address, Arc::clone(&inbox));
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&net.seed.to_le_bytes());
        seed[8..10].copy_from_slice(&address.port().to_le_bytes());
        drop(net);
        config.rng_seed(Some(seed));
        let socket = SimSocket { net: self.clone(), address, inbox };
        Endpoint::new_with_abstract_socket(config, server, Arc::new(socket), Arc::new(TokioRuntime))
    }

    /// Sends a datagram that no QUIC endpoint made.
    pub fn throw(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.lock().send(from, to, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net {
    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = Instant::now();
        let count = self.sent.entry((from, to)).or_default();
        *count += 1;
        self.bytes += bytes.len() as u64;
        let mut chance = chance(self.seed, from, to, *count);
        let cut = self.cuts.iter().any(|cut| match cut {
            Cut::OneWay { from: one, to: other } => from.ip() == *one && to.ip() == *other,
            Cut::Socket(socket) => from == *socket || to == *socket,
        });
        let (lost, doubled) = (chance.unit() < self.weather.loss, chance.unit() < self.weather.duplication);
        let inbox = self.sockets.get(&to);
        let fate = match (cut, inbox) {
            (true, _) => Fate::Cut,
            (_, None) => Fate::NobodyThere,
            _ if lost => Fate::Lost,
            _ if doubled => Fate::Doubled,
            _ => Fate::Delivered,
        };
        self.trace.push(Packet { at: now - self.began, from, to, fate });
        let copies = match fate {
            Fate::Delivered => 1,
            Fate::Doubled => 2,
            _ => 0,
        };
        let (least, most) = self.weather.delay;
        for _ in 0..copies {
            let due = now + least + (most - least).mul_f64(chance.unit());
            if let Some(inbox) = inbox {
                inbox.lock().unwrap_or_else(PoisonError::into_inner).put(due, from, bytes.to_vec());
            }
        }
    }
}

/// The chance of one packet, by the seed and its coordinates.
fn chance(seed: u64, from: SocketAddr, to: SocketAddr, count: u64) -> Random {
    let parts = [u64::from(from.port()), u64::from(to.port()), count];
    Random(parts.into_iter().fold(seed, |state, part| Random(state ^ part).draw()))
}
