//! Containers: what they are, what happens to them, what they use.
//!
//! Two halves share a board. A task follows Docker ([`watch`], [`session`]) and sends documents and events the
//! moment things happen; the collector, at each tick, reads numbers straight from the kernel's files
//! ([`held`]) and never asks Docker, so that a daemon that hangs costs no number: it is named as the
//! collector's trouble beside the rows.
//!
//! - [`registry`], [`known`]: what is known, and what each fact changes; pure.
//! - [`crash_loop`]: whether a container dies again and again; pure.
//! - [`untold`]: what a death waits for before it is told; pure. [`last_lines`]: asking for it.
//! - [`document`], [`events`]: what leaves the host; pure.
//! - [`cgroup`], [`netdev`]: the kernel's files; pure but for finding folders.
//!
//! A container in the host's network, or in another container's, has no network numbers: the
//! counters there are not its own. A controller that the kernel does not offer gives no number.

mod cgroup;
mod crash_loop;
mod document;
mod events;
mod held;
mod known;
mod last_lines;
mod netdev;
mod registry;
mod session;
mod untold;
mod watch;

use super::names::{ContainerNames, UserPattern};
use super::{Collector, Outbox, Unavailable};
use crate::config::AgentConfig;
use crate::executor::Client;
use crate::limits::OPEN_FILES;
use crate::tick::Tick;
use cgroup::Hierarchies;
use fleetlight_protocol::samples::{Row, Sample};
use held::{Buffer, Held};
use registry::{Registry, Target};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use watch::{Board, Watcher};

/// Containers read before others may use the thread: 32 take about a millisecond.
const BATCH: usize = 32;

/// The collector of containers and the task that follows Docker for it. Both are to be run; they
/// end with `stop`, or when nobody listens to `outbox` any more.
pub fn spawn(
    config: &AgentConfig,
    outbox: Outbox,
    names: Arc<ContainerNames>,
    stop: CancellationToken,
) -> (Containers, impl Future<Output = ()> + Send + use<>) {
    let (board, reader) = tokio::sync::watch::channel(Board::default());
    let registry = Registry::new(names, UserPattern::new(config.user_pattern.as_deref()));
    let watcher = Watcher::new(Client::new(config.executor_socket.clone()), outbox, board, registry);
    let collector = Containers {
        proc_root: config.proc_root.clone(),
        hierarchies: Hierarchies::find(&config.proc_root, &config.sys_root),
        board: reader,
        held: Vec::new(),
        trouble: None,
        buffer: Buffer::default(),
    };
    allow_open_files();
    (collector, watcher.run(stop))
}

/// Seven files a container pass the usual soft limit of 1,024 at 150 containers.
fn allow_open_files() {
    let now = getrlimit(Resource::Nofile);
    let wanted = now.maximum.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES));
    if now.current.is_some_and(|soft| soft < wanted) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: now.maximum });
        if let Err(error) = raised {
            tracing::warn!(%error, wanted, "the limit of open files stays; with many containers numbers will be absent");
        }
    }
}

/// Reads the numbers of all running containers.
#[derive(Debug)]
pub struct Containers {
    proc_root: PathBuf,
    hierarchies: Hierarchies,
    board: tokio::sync::watch::Receiver<Board>,
    held: Vec<(Target, Option<Held>)>,
    trouble: Option<Unavailable>,
    buffer: Buffer,
}

impl Containers {
    /// Takes over a changed board; files of containers that go on stay open.
    fn follow(&mut self) {
        if !self.board.has_changed().unwrap_or(false) {
            return;
        }
        let board = self.board.borrow_and_update();
        self.trouble.clone_from(&board.trouble);
        let mut before = std::mem::take(&mut self.held);
        let held = |target: &Target| {
            let same = before.iter().position(|(known, _)| known == target);
            (target.clone(), same.and_then(|index| before.swap_remove(index).1))
        };
        self.held = board.targets.iter().map(held).collect();
    }

    fn read(&mut self, index: usize) -> Option<Row> {
        let (target, held) = &mut self.held[index];
        if held.is_none() {
            let id = target.id.as_str();
            *held = Held::open(&self.proc_root, &self.hierarchies, id, target.pid, target.own_network);
        }
        let sample = held.as_mut()?.read(&mut self.buffer);
        if sample.is_none() {
            *held = None;
        }
        Some(sample?.row(target.id.as_str()))
    }
}

impl Collector for Containers {
    const NAME: &'static str = "containers";

    async fn collect(&mut self, _: Tick) -> Result<Vec<Row>, Unavailable> {
        self.follow();
        let mut rows = Vec::with_capacity(self.held.len());
        for index in 0..self.held.len() {
            rows.extend(self.read(index));
            if index % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(rows)
    }

    fn trouble(&self) -> Option<Unavailable> {
        self.trouble.clone()
    }
}
