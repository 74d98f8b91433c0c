//! The agent's transport on the simulated network; its spool is filled by the test.

use crate::sim_controller::{BEGAN_MS, Memory, wall};
use crate::sim_net::SimNet;
use anyhow::{Context, Result};
use fleetlight_agent::executor::Client as Executor;
use fleetlight_agent::identity::{Identity, NewKey, Store};
use fleetlight_agent::inventory::Inventory;
use fleetlight_agent::spool::{Bounds, Payload, Spool, disk};
use fleetlight_agent::transport::clock::Clock;
use fleetlight_agent::transport::{About, Link, Sockets, endpoint_config, run};
use fleetlight_controller::ca::Authority;
use fleetlight_controller::transport::AgentRef;
use fleetlight_protocol::control::Enrolled;
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::{EntityKind, HostSample, Sample};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A folder that goes with its owner.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// Those of the file system.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fleetlight-sim-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A CA in a folder of its own, made at [`BEGAN_MS`].
///
/// # Errors
/// Those of the CA.
pub fn authority() -> Result<Authority> {
    let folder = Folder::new()?;
    Ok(Authority::load_or_create(&folder.path().join("ca"), BEGAN_MS)?)
}

/// An identity whose certificate `issuer` made at `issued_ms`, and which trusts `trusted`.
///
/// # Errors
/// Those of keys and certificates.
pub fn identity(
    issuer: &Authority,
    trusted: &Authority,
    agent_id: Uuid,
    controller: SocketAddr,
    issued_ms: i64,
) -> Result<(Identity, [u8; 32])> {
    let key = NewKey::generate()?;
    let issued = issuer.issue(&key.request()?, agent_id, issued_ms)?;
    let leaf = issued.chain.into_iter().next().context("a leaf")?;
    let enrolled = Enrolled {
        agent_id,
        host_name: "host".into(),
        chain: vec![leaf, trusted.certificate().to_vec()],
        session_endpoint: controller.to_string(),
        wall_ms: BEGAN_MS,
    };
    Ok((Identity::enrolled(&key, &enrolled, trusted.fingerprint())?, issued.key_hash))
}

/// Where a host is on the simulated network.
fn host_address(agent: AgentRef) -> IpAddr {
    [10, 0, 0, agent.host_id as u8].into()
}

/// Host number `host`, whose key `memory` knows.
fn enrolled(host: u8, controller: SocketAddr, memory: &Memory, ways: Ways) -> Result<(AgentRef, Identity)> {
    let agent = AgentRef { agent_id: Uuid::from_u128(u128::from(host)), host_id: i32::from(host) };
    let authority = &memory.authority;
    let issued_ms = BEGAN_MS - ways.certificate_age_ms;
    let (identity, key_hash) = identity(authority, authority, agent.agent_id, controller, issued_ms)?;
    memory.allow(key_hash, agent);
    Ok((agent, identity))
}

/// Sockets of the host on the simulated network.
fn simulated(net: &SimNet, agent: AgentRef) -> Sockets {
    let (net, address) = (net.clone(), host_address(agent));
    Arc::new(move || net.endpoint(net.free_port(address), endpoint_config(), None))
}

/// A running agent.
#[derive(Debug)]
pub struct SimAgent {
    pub address: IpAddr,
    pub agent: AgentRef,
    pub spool: Spool,
    pub inventory: Inventory,
    pub identity: Arc<Store>,
    pub folder: Folder,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// How an agent differs from an ordinary one.
#[derive(Debug, Clone, Copy)]
pub struct Ways {
    /// Its certificate was made this long before the simulation began.
    pub certificate_age_ms: i64,
    /// Its clock is wrong by this much.
    pub clock_offset_ms: i64,
    /// The controller's time that an earlier session noted.
    pub noted_ms: i64,
    pub spool_bytes: usize,
    /// Whether its spool is on disk.
    pub on_disk: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            certificate_age_ms: 0,
            clock_offset_ms: 0,
            noted_ms: BEGAN_MS,
            spool_bytes: 64 * 1024 * 1024,
            on_disk: false,
        }
    }
}

impl SimAgent {
    /// Enrols host number `host` with `memory` and starts it.
    ///
    /// # Errors
    /// Those of keys and files.
    pub fn start(net: &SimNet, host: u8, controller: SocketAddr, memory: &Memory, ways: Ways) -> Result<Self> {
        let (agent, identity) = enrolled(host, controller, memory, ways)?;
        Self::start_as(net, agent, identity, ways)
    }

    /// Enrols host number `host` with `memory` and starts it with a spool that the test has opened.
    ///
    /// # Errors
    /// Those of keys and files.
    pub fn start_with(net: &SimNet, host: u8, controller: SocketAddr, memory: &Memory, spool: Spool) -> Result<Self> {
        let ways = Ways::default();
        let (agent, identity) = enrolled(host, controller, memory, ways)?;
        Self::launch(simulated(net, agent), agent, identity, ways, Folder::new()?, spool)
    }

    /// Starts an agent with an identity of the test's making.
    ///
    /// # Errors
    /// Those of files.
    pub fn start_as(net: &SimNet, agent: AgentRef, identity: Identity, ways: Ways) -> Result<Self> {
        Self::start_on(simulated(net, agent), agent, identity, ways)
    }

    /// Starts an agent on sockets of the test's choice.
    ///
    /// # Errors
    /// Those of files.
    pub fn start_on(sockets: Sockets, agent: AgentRef, identity: Identity, ways: Ways) -> Result<Self> {
        let folder = Folder::new()?;
        let spool = if ways.on_disk {
            let disk = Arc::new(disk::Folder::new(folder.path().join("spool")));
            Spool::open_inline(disk, Bounds::of_disk(ways.spool_bytes as u64), &identity.host_name)
        } else {
            Spool::in_memory(ways.spool_bytes)
        };
        Self::launch(sockets, agent, identity, ways, folder, spool)
    }

    fn launch(
        sockets: Sockets,
        agent: AgentRef,
        identity: Identity,
        ways: Ways,
        folder: Folder,
        spool: Spool,
    ) -> Result<Self> {
        identity.save(folder.path())?;
        std::fs::write(folder.path().join("controller-time"), ways.noted_ms.to_string())?;
        let identity = Arc::new(Store::new(folder.path().to_owned(), identity));
        let (inventory, stop) = (Inventory::default(), CancellationToken::new());
        let link = Link {
            identity: Arc::clone(&identity),
            spool: spool.clone(),
            inventory: inventory.clone(),
            clock: Arc::new(Clock::load(folder.path(), wall(ways.clock_offset_ms))),
            about: About { agent_version: "0.1.0".into(), boot_id: "boot".into(), hostname: "host".into() },
            sockets,
            resolver: Arc::default(),
            executor: Executor::new(folder.path().join("executor")),
            seed: u64::from(agent.host_id as u8),
        };
        let task = tokio::spawn(run(link, stop.clone()));
        Ok(Self { address: host_address(agent), agent, spool, inventory, identity, folder, stop, task })
    }

    /// One tick of one host row, as a collector would give it.
    pub fn tick(&self, at_ms: i64) {
        let row = HostSample { cpu_percent: Some((at_ms / 1_000 % 100) as f64), ..Default::default() }.row("");
        self.spool.push(Payload::Samples { at_ms, rows: vec![row].into() });
    }

    /// One event.
    pub fn event(&self, at_ms: i64) {
        self.spool.push(Payload::Events(
            vec![Event {
                id: Uuid::from_u128(at_ms as u128),
                at_ms,
                kind: EntityKind::Host,
                key: String::new(),
                subject: "host".into(),
                severity: Severity::Info,
                fact: Fact::GpuBack,
            }]
            .into(),
        ));
    }

    /// Whether everything is acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spool.is_drained()
    }

    /// Stops as on SIGTERM.
    ///
    /// # Errors
    /// If its task has failed.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}
