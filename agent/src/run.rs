//! Joins the agent's parts by bounded channels and waits for the signal to stop.

use crate::batcher;
use crate::collectors::names::ContainerNames;
use crate::collectors::{self, Outbox, Reading};
use crate::config::AgentConfig;
use crate::disk_check::{self, Wish};
use crate::executor::{self, Executor};
use crate::failure::Failure;
use crate::identity::{self, Identity};
use crate::inventory::Inventory;
use crate::limits::{BLOCKING_THREADS, READINGS, SPOOL_IN_USE_LOOK, SPOOL_IN_USE_WAIT, STOP_WAIT};
use crate::policy_trouble;
use crate::results;
use crate::spool::disk::Folder;
use crate::spool::{self, Bounds, OpenError, Spool};
use crate::tick::wall_ms;
use crate::transport::clock::Clock;
use crate::transport::{self, About, Link};
use crate::trouble;
use crate::workers::Worker;
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::join_token::JoinToken;
use fleetlight_protocol::samples::EntityKind;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Collects and streams until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] if the host is not enrolled or the runtime cannot start.
pub fn run(config: AgentConfig) -> Result<(), Failure> {
    let identity = Identity::load(&config.state_dir).map_err(|error| Failure::Config(error.to_string()))?;
    let identity = identity.ok_or_else(|| {
        Failure::Config(format!(
            "this host is not enrolled ({} holds no identity); make a join token on the controller's page, then: fleetlight-agent enrol --token <token>",
            config.state_dir.display()
        ))
    })?;
    block_on(async move {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        serve(&Arc::new(config), identity, stop).await
    })
}

/// Makes a key, has it certified, writes both into the state folder.
///
/// # Errors
/// [`Failure`] with the controller's words, or what stands in the way here.
pub fn enrol(token: &JoinToken, config: &AgentConfig) -> Result<(), Failure> {
    let machine_id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = transport::enrol::Host {
        hostname: kernel(config, "hostname"),
        machine: transport::enrol::machine(&machine_id),
    };
    block_on(async {
        let enrolled = transport::enrol::enrol(token, &config.state_dir, host, Arc::new(wall_ms)).await;
        let identity = enrolled.map_err(|error| Failure::Unavailable(error.to_string()))?;
        println!(
            "enrolled as {}; start the agent: fleetlight-agent run, and beside it, for containers: fleetlight-agent executor",
            identity.host_name
        );
        Ok(())
    })
}

/// Answers the agent's questions about Docker until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] if its socket cannot be made or the runtime cannot start.
pub fn execute(config: AgentConfig) -> Result<(), Failure> {
    block_on(async move {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let listening = executor::listen(&config.executor_socket).await.map_err(Failure::Config)?;
        let peers = executor::Peers::new(&config.agent_user);
        tracing::info!(socket = %config.executor_socket.display(), "executor ready");
        executor::server::serve(listening, Arc::new(Executor::new(config)), peers, stop).await;
        Ok(())
    })
}

/// Judges what the executor reads: policy and runbooks.
///
/// # Errors
/// [`Failure`] with all that is wrong.
pub fn check(config: AgentConfig) -> Result<(), Failure> {
    block_on(async move {
        let policy = config.policy_file.display().to_string();
        let allowed = executor::allowed::told(&Executor::new(config)).await;
        if !allowed.problems.is_empty() {
            return Err(Failure::Config(allowed.problems.join("\n")));
        }
        println!("configuration is good; policy: {policy}, runbooks that may be run: {}", allowed.runbooks.len());
        Ok(())
    })
}

/// Stops all containers that the policy declares under a name; gives whether they are stopped.
///
/// # Errors
/// [`Failure`] if the policy has no such name, or Docker does not answer.
pub fn emergency_stop(config: AgentConfig, pattern: Option<String>) -> Result<bool, Failure> {
    block_on(crate::emergency_stop::run(config, pattern))
}

/// Says how full file systems are; gives whether all have room.
///
/// # Errors
/// [`Failure`] if they cannot be listed or asked.
pub fn disk_check(config: &AgentConfig, wish: &Wish) -> Result<bool, Failure> {
    block_on(disk_check::run(config, wish, Worker::of_this_program(&["mount-worker"]).quiet()))
}

/// A line of `/proc/sys/kernel`.
fn kernel(config: &AgentConfig, name: &str) -> String {
    let path = config.proc_root.join("sys/kernel").join(name);
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// One thread: the agent waits far more than it works, and each thread costs memory.
fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .map_err(|error| Failure::Other(format!("the runtime cannot start: {error}")))?;
    let result = runtime.block_on(task);
    // A thread that hangs in the kernel must not keep the agent from ending.
    runtime.shutdown_background();
    result
}

fn stop_on_signal(stop: CancellationToken) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::Other(format!("cannot listen for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

async fn serve(config: &Arc<AgentConfig>, identity: Identity, stop: CancellationToken) -> Result<(), Failure> {
    let inventory = Inventory::default();
    let (outbox, readings) = mpsc::channel(READINGS);
    let tasks = TaskTracker::new();
    started(&outbox).await;
    // A host's phase is its own and stays: no herd, and the same place in every interval.
    let phase = Duration::from_millis(identity.agent_id.as_u128() as u64 % u64::from(config.interval_ms));
    collect(&tasks, config, phase, outbox.clone(), &stop);
    // Collectors have begun: what they read waits in their channel.
    let (spool, writing) = open_spool(config, &identity.host_name, &stop).await?;
    tasks.spawn(trouble::report(spool.clone(), config.interval(), outbox.clone(), stop.clone()));
    tasks.spawn(batcher::run(readings, inventory.clone(), spool.clone()));
    let executor = executor::Client::new(config.executor_socket.clone());
    tasks.spawn(policy_trouble::report(executor.clone(), outbox, stop.clone()));
    tasks.spawn(results::follow(executor.clone(), spool.clone(), stop.clone()));
    let link = Link {
        seed: identity.agent_id.as_u128() as u64,
        identity: Arc::new(identity::Store::new(config.state_dir.clone(), identity)),
        spool,
        inventory,
        clock: Arc::new(Clock::load(&config.state_dir, Arc::new(wall_ms))),
        about: About {
            agent_version: env!("CARGO_PKG_VERSION").into(),
            boot_id: kernel(config, "random/boot_id"),
            hostname: kernel(config, "hostname"),
        },
        sockets: transport::udp_sockets(),
        resolver: Arc::default(),
        executor,
    };
    tasks.spawn(transport::run(link, stop.clone()));
    tasks.close();
    stop.cancelled().await;
    tracing::info!("stopping");
    if tokio::time::timeout(STOP_WAIT, tasks.wait()).await.is_err() {
        tracing::warn!("a task has not ended within {STOP_WAIT:?} and is dropped");
    }
    writing.stop().await;
    Ok(())
}

async fn open_spool(
    config: &AgentConfig,
    host: &str,
    stop: &CancellationToken,
) -> Result<(Spool, spool::Thread), Failure> {
    let (disk, bounds) = (Arc::new(Folder::new(config.spool_path())), Bounds::of_disk(config.spool.bytes));
    #[cfg(debug_assertions)]
    let bounds = crate::kill_point::spool_bounds().unwrap_or(bounds);
    let until = Instant::now() + SPOOL_IN_USE_WAIT;
    loop {
        match Spool::open(disk.clone(), bounds, host).await {
            Ok(opened) => return Ok(opened),
            Err(error @ OpenError::Thread(_)) => return Err(Failure::Other(error.to_string())),
            Err(error) if stop.is_cancelled() || Instant::now() >= until => {
                return Err(Failure::Config(error.to_string()));
            }
            Err(error) => tracing::warn!("{error}; it is tried again for {} s", SPOOL_IN_USE_WAIT.as_secs()),
        }
        stop.run_until_cancelled(tokio::time::sleep(SPOOL_IN_USE_LOOK)).await;
    }
}

async fn started(outbox: &Outbox) {
    let event = Event {
        id: Uuid::now_v7(),
        at_ms: wall_ms(),
        kind: EntityKind::Host,
        key: String::new(),
        subject: "agent".into(),
        severity: Severity::Info,
        fact: Fact::AgentStarted { version: env!("CARGO_PKG_VERSION").into() },
    };
    // The batcher starts after this: the channel has room.
    let _ = outbox.send(Reading::Events(vec![event])).await;
}

fn collect(tasks: &TaskTracker, config: &Arc<AgentConfig>, phase: Duration, outbox: Outbox, stop: &CancellationToken) {
    let interval = config.interval();
    tracing::info!(interval_ms = config.interval_ms, phase_ms = phase.as_millis() as u64, "sampling");
    let names = Arc::new(ContainerNames::default());
    let host = collectors::host::Host::new(config, outbox.clone());
    let mounts = collectors::mounts::Mounts::new(config, outbox.clone());
    let gpu = collectors::gpu::GpuCollector::new(config, Arc::clone(&names), outbox.clone());
    let (containers, watch) = collectors::containers::spawn(config, outbox.clone(), names, stop.clone());
    tasks.spawn(collectors::run(host, interval, phase, outbox.clone(), stop.clone()));
    tasks.spawn(collectors::run(mounts, interval, phase, outbox.clone(), stop.clone()));
    tasks.spawn(collectors::run(gpu, interval, phase, outbox.clone(), stop.clone()));
    tasks.spawn(collectors::run(containers, interval, phase, outbox, stop.clone()));
    tasks.spawn(watch);
}
