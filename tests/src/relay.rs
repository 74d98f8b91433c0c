//! A UDP relay between agents and a controller: counts what crosses, and can be cut.

use anyhow::Result;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Bytes of a UDP header, which a datagram's payload does not show.
const HEADER: u64 = 8;

/// What has crossed, UDP headers counted, those of IP not.
#[derive(Debug, Default)]
pub struct Counters {
    pub up_bytes: AtomicU64,
    pub up_packets: AtomicU64,
    pub down_bytes: AtomicU64,
    pub down_packets: AtomicU64,
    /// While set, nothing crosses.
    pub cut: AtomicBool,
    /// While set, nothing comes back, and what goes up arrives.
    pub half_open: AtomicBool,
}

impl Counters {
    /// Bytes in both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.up_bytes.load(Ordering::Relaxed) + self.down_bytes.load(Ordering::Relaxed)
    }

    /// Packets in both directions.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.up_packets.load(Ordering::Relaxed) + self.down_packets.load(Ordering::Relaxed)
    }

    fn count(&self, up: bool, length: usize) {
        let (bytes, packets) =
            if up { (&self.up_bytes, &self.up_packets) } else { (&self.down_bytes, &self.down_packets) };
        bytes.fetch_add(length as u64 + HEADER, Ordering::Relaxed);
        packets.fetch_add(1, Ordering::Relaxed);
    }
}

/// A running relay; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    pub address: SocketAddr,
    pub counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Relays from `listen` to `target`, one socket for each peer.
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn start(listen: SocketAddr, target: SocketAddr) -> Result<Self> {
        let front = Arc::new(UdpSocket::bind(listen).await?);
        let address = front.local_addr()?;
        let counters = Arc::new(Counters::default());
        let task = tokio::spawn(run(front, target, Arc::clone(&counters)));
        Ok(Self { address, counters, task })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(front: Arc<UdpSocket>, target: SocketAddr, counters: Arc<Counters>) {
    let mut peers: HashMap<SocketAddr, (Arc<UdpSocket>, JoinHandle<()>)> = HashMap::new();
    let mut buffer = vec![0; 65_536];
    while let Ok((length, peer)) = front.recv_from(&mut buffer).await {
        if counters.cut.load(Ordering::Relaxed) {
            continue;
        }
        counters.count(true, length);
        let back = match peers.entry(peer) {
            Entry::Occupied(known) => &known.into_mut().0,
            Entry::Vacant(new) => {
                let Ok(back) = connected(target).await else { continue };
                let task = tokio::spawn(answers(Arc::clone(&back), Arc::clone(&front), peer, Arc::clone(&counters)));
                &new.insert((back, task)).0
            }
        };
        let _ = back.send(&buffer[..length]).await;
    }
}

async fn connected(target: SocketAddr) -> std::io::Result<Arc<UdpSocket>> {
    let back = UdpSocket::bind((target.ip(), 0)).await?;
    back.connect(target).await?;
    Ok(Arc::new(back))
}

async fn answers(back: Arc<UdpSocket>, front: Arc<UdpSocket>, peer: SocketAddr, counters: Arc<Counters>) {
    let mut buffer = vec![0; 65_536];
    loop {
        match back.recv(&mut buffer).await {
            Ok(length) if !counters.cut.load(Ordering::Relaxed) && !counters.half_open.load(Ordering::Relaxed) => {
                counters.count(false, length);
                let _ = front.send_to(&buffer[..length], peer).await;
            }
            Ok(_) => {}
            // The controller is away for a moment: the next datagram may get through.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
