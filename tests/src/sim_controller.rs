//! The controller's transport on the simulated network: a directory and an ingest in memory stand in
//! for the database; everything else is what ships.

use crate::sim_net::SimNet;
use anyhow::Result;
use fleetlight_controller::ca::Authority;
use fleetlight_controller::transport::listener::{Context, endpoint_config, server_config};
use fleetlight_controller::transport::{
    AgentRef, Authorised, Credits, Directory, Inbound, Intervals, Paces, Payload, Presence, Registry, Stored,
    WallClock, serve,
};
use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Refusal, RefusalCode};
use fleetlight_protocol::samples::EntityKind;
use quinn::Endpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// 2026-09-21; the wall clock of every simulation begins here.
pub const BEGAN_MS: i64 = 1_790_000_000_000;

/// How long the simulated database takes to commit.
const COMMIT: Duration = Duration::from_millis(50);

/// A wall clock that goes with tokio's, wrong by `offset_ms`.
#[must_use]
pub fn wall(offset_ms: i64) -> WallClock {
    let began = Instant::now();
    Arc::new(move || BEGAN_MS + offset_ms + began.elapsed().as_millis() as i64)
}

/// What the database would hold; survives a restart of the controller.
#[derive(Debug)]
pub struct Memory {
    pub authority: Authority,
    tables: Mutex<Tables>,
    /// While set, nothing is committed.
    pub stuck: AtomicBool,
    /// While set, it does not say what is stored.
    pub mute: AtomicBool,
    /// How long a commit takes, and how long an answer to the directory, milliseconds.
    pub commit_ms: AtomicU64,
    pub answer_ms: AtomicU64,
}

#[derive(Debug, Default)]
pub struct Tables {
    keys: BTreeMap<[u8; 32], AgentRef>,
    revoked: BTreeSet<Uuid>,
    pub wanted: Vec<EntityKind>,
    /// Each batch that was committed, in order; a batch that came again is not in it twice.
    pub committed: Vec<(Uuid, u64, Payload)>,
    ledger: BTreeSet<(i32, Uuid, u64)>,
    /// Batches that came again.
    pub repeated: usize,
    /// Keys that were looked up, and when.
    pub lookups: Vec<(Instant, [u8; 32])>,
    /// The lookup, counted from one, that finds its key revoked.
    pub refuse_lookup: Option<usize>,
    /// Names of tokens, and the answer to each.
    pub tokens: BTreeMap<String, EnrolResponse>,
    pub enrolments: Vec<EnrolRequest>,
}

impl Memory {
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        Self {
            authority,
            tables: Mutex::default(),
            stuck: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            commit_ms: AtomicU64::new(COMMIT.as_millis() as u64),
            answer_ms: AtomicU64::new(0),
        }
    }

    async fn answer(&self) {
        let pause = self.answer_ms.load(Ordering::Relaxed);
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
    }

    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn allow(&self, key_hash: [u8; 32], agent: AgentRef) {
        self.tables().keys.insert(key_hash, agent);
    }

    /// Forgets a key, as a backup does that is older.
    pub fn forget(&self, key_hash: &[u8; 32]) {
        self.tables().keys.remove(key_hash);
    }

    pub fn revoke(&self, agent_id: Uuid) {
        self.tables().revoked.insert(agent_id);
    }

    /// Goes back to what was there when the first `batches` had been committed, as a restored backup does.
    pub fn restore(&self, batches: usize) {
        let mut tables = self.tables();
        let kept: BTreeSet<(Uuid, u64)> =
            tables.committed.iter().take(batches).map(|(epoch, seq, _)| (*epoch, *seq)).collect();
        tables.committed.truncate(batches);
        tables.ledger.retain(|(_, epoch, seq)| kept.contains(&(*epoch, *seq)));
    }

    fn commit(&self, inbound: Inbound) -> Stored {
        let (epoch, first) = (inbound.epoch, inbound.seq);
        let last = if let Payload::Evicted { last } = inbound.payload { last } else { first };
        let mut tables = self.tables();
        if tables.ledger.contains(&(inbound.agent.host_id, epoch, first)) {
            tables.repeated += 1;
        } else {
            tables.ledger.extend((first..=last).map(|seq| (inbound.agent.host_id, epoch, seq)));
            tables.committed.push((epoch, first, inbound.payload));
        }
        Stored { epoch, first, last }
    }
}

/// The words for a revoked key, as the tests expect them back.
#[must_use]
pub fn revoked() -> Refusal {
    Refusal { code: RefusalCode::KeyRevoked, message: "this agent was revoked: enrol it with a new token".into() }
}

fn unknown() -> Refusal {
    Refusal { code: RefusalCode::KeyUnknown, message: "this key is not known here: enrol it with a new token".into() }
}

impl Directory for Memory {
    async fn authorise(&self, key_hash: [u8; 32]) -> Result<Authorised, Refusal> {
        self.answer().await;
        let mut tables = self.tables();
        tables.lookups.push((Instant::now(), key_hash));
        if tables.refuse_lookup == Some(tables.lookups.len()) {
            return Err(revoked());
        }
        let agent = *tables.keys.get(&key_hash).ok_or_else(unknown)?;
        if tables.revoked.contains(&agent.agent_id) {
            return Err(revoked());
        }
        Ok(Authorised { agent, host_name: format!("host-{}", agent.host_id) })
    }

    async fn enrol(&self, request: EnrolRequest, _: SocketAddr) -> EnrolResponse {
        let mut tables = self.tables();
        tables.enrolments.push(request.clone());
        tables.tokens.get(&request.token_id).cloned().unwrap_or_else(|| {
            let message = "this token is not known here: make a new one".to_owned();
            EnrolResponse::Refused(Refusal { code: RefusalCode::TokenUnknown, message })
        })
    }

    async fn renew(&self, agent: AgentRef, csr: Vec<u8>) -> Result<Vec<Vec<u8>>, Refusal> {
        let issued = self.authority.issue(&csr, agent.agent_id, BEGAN_MS);
        let issued = issued.map_err(|error| Refusal { code: RefusalCode::Malformed, message: error.to_string() })?;
        self.allow(issued.key_hash, agent);
        Ok(issued.chain)
    }

    async fn stored(&self, agent: AgentRef, epochs: Vec<Uuid>) -> Result<Vec<(Uuid, Intervals)>, Refusal> {
        self.answer().await;
        if self.mute.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let tables = self.tables();
        let held = |epoch: Uuid| {
            let of_epoch = tables.ledger.range((agent.host_id, epoch, 0)..=(agent.host_id, epoch, u64::MAX));
            (epoch, of_epoch.map(|(_, _, seq)| (*seq, *seq)).collect())
        };
        Ok(epochs.into_iter().map(held).collect())
    }

    async fn wanted(&self, _: AgentRef, _: Vec<(EntityKind, String)>) -> Result<Vec<EntityKind>, Refusal> {
        self.answer().await;
        Ok(self.tables().wanted.clone())
    }
}

/// A running controller.
#[derive(Debug)]
pub struct SimController {
    pub address: SocketAddr,
    pub memory: Arc<Memory>,
    pub registry: Registry,
    pub presence: Arc<Mutex<Vec<(Instant, Presence)>>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl SimController {
    /// Starts at `address`, with what `memory` holds.
    ///
    /// # Errors
    /// Those of TLS and quinn.
    pub fn start(net: &SimNet, address: SocketAddr, memory: &Arc<Memory>) -> Result<Self> {
        let server = server_config(&memory.authority, &wall(0), false)?;
        let endpoint = net.endpoint(address, endpoint_config(&memory.authority), Some(server))?;
        Self::start_on(endpoint, memory)
    }

    /// Starts on an endpoint of the test's choice.
    ///
    /// # Errors
    /// If it has no address.
    pub fn start_on(endpoint: Endpoint, memory: &Arc<Memory>) -> Result<Self> {
        let (address, clock) = (endpoint.local_addr()?, wall(0));
        let (inbound, mut batches) = mpsc::channel::<Inbound>(64);
        let (presence, mut changes) = mpsc::channel(64);
        let (registry, stop) = (Registry::default(), CancellationToken::new());
        let directory = Arc::clone(memory);
        let context = Context {
            directory,
            inbound,
            presence,
            registry: registry.clone(),
            paces: Paces::default(),
            credits: Credits::default(),
            wall: clock,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(endpoint, context, stop.clone()));
        let ingest = Arc::clone(memory);
        tasks.spawn(async move {
            while let Some(batch) = batches.recv().await {
                while ingest.stuck.load(Ordering::Relaxed) {
                    sleep(COMMIT).await;
                }
                sleep(Duration::from_millis(ingest.commit_ms.load(Ordering::Relaxed))).await;
                let acks = batch.acks.clone();
                let _ = acks.try_send(ingest.commit(batch));
            }
        });
        let log = Arc::<Mutex<Vec<_>>>::default();
        let said = Arc::clone(&log);
        tasks.spawn(async move {
            while let Some(change) = changes.recv().await {
                said.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), change));
            }
        });
        Ok(Self { address, memory: Arc::clone(memory), registry, presence: log, stop, tasks })
    }

    /// When agents connected, with the version that each named.
    #[must_use]
    pub fn connects(&self) -> Vec<Instant> {
        let said = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|(_, said)| matches!(said, Presence::Connected { .. })).map(|(at, _)| *at).collect()
    }

    /// Stops as on SIGTERM.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Stops as on kill -9: cut off first, so that nobody hears of it.
    pub async fn kill(self, net: &SimNet) {
        net.cut(crate::sim_net::Cut::Socket(self.address));
        self.stop().await;
        net.mend();
    }
}
