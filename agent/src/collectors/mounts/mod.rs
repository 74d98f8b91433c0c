//! Collector of mounts: how full they are, and whether they answer.
//!
//! The list comes from procfs; everything that could touch a file system is asked of the mount
//! worker. A task of its own looks at every tick and, since a mount that hangs must be known
//! sooner than an interval tells, also between ticks; documents and events leave as soon as a
//! state changes, rows with the tick.

mod changes;
mod judge;
mod mountinfo;
mod select;
mod watch;

pub use mountinfo::Mount;

use super::procfile::{Buffer, ProcFile};
use super::{Collector, Outbox, Unavailable};
use crate::config::AgentConfig;
use crate::tick::Tick;
use crate::workers::Worker;
use crate::workers::mounts::Target;
use fleetlight_protocol::document::CollectorState;
use fleetlight_protocol::samples::Row;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch as channel};
use tokio_util::task::AbortOnDropHandle;
use watch::{Rows, Watch};

/// All mounts of the host.
#[derive(Debug)]
pub struct Mounts {
    look_now: Arc<Notify>,
    latest: channel::Receiver<Rows>,
    /// Ends with the collector.
    _watch: AbortOnDropHandle<()>,
}

impl Mounts {
    /// Begins to watch with the first tick. Must be called on a runtime.
    #[must_use]
    pub fn new(config: &AgentConfig, outbox: Outbox) -> Self {
        Self::with_worker(config, outbox, Worker::of_this_program(&["mount-worker"]))
    }

    /// As [`Mounts::new`] with another worker: a test's own program has none.
    #[must_use]
    pub fn with_worker(config: &AgentConfig, outbox: Outbox, worker: Worker) -> Self {
        let look_now = Arc::new(Notify::new());
        let (publish, latest) = channel::channel(Ok(Arc::default()));
        let watch = Watch::new(config, worker, answer_within(config.interval()));
        let task = tokio::spawn(watch.run(look_now.clone(), publish, outbox));
        Self { look_now, latest, _watch: AbortOnDropHandle::new(task) }
    }
}

/// The mounts that are worth watching, as procfs has them now; no file system is touched.
///
/// # Errors
/// In words, if procfs is not where it is said to be.
pub fn watched(proc_root: &Path) -> Result<Vec<Mount>, String> {
    let text = ProcFile::new(proc_root.join("self/mountinfo")).read(&mut Buffer::default()).map(mountinfo::parse);
    Ok(select::select(
        text.map_err(|error| format!("cannot list mounts: {error}; check proc_root in the configuration"))?,
    ))
}

/// A mount as the worker is asked for it.
#[must_use]
pub fn target(mount: &Mount) -> Target {
    let path = mount.mount_point.as_os_str().as_bytes().to_vec();
    Target { id: mount.id, path, remote: select::is_remote(&mount.fs_type) }
}

/// The worker's answer must be in before the tick is given up, with some time to judge it.
fn answer_within(interval: Duration) -> Duration {
    deadline(interval).mul_f64(0.8)
}

fn deadline(interval: Duration) -> Duration {
    interval.min(Duration::from_secs(2))
}

impl Collector for Mounts {
    const NAME: &'static str = "mounts";

    fn deadline(&self, interval: Duration) -> Duration {
        deadline(interval)
    }

    async fn collect(&mut self, _tick: Tick) -> Result<Vec<Row>, Unavailable> {
        self.latest.mark_unchanged();
        self.look_now.notify_one();
        self.latest.changed().await.map_err(|_| Unavailable {
            state: CollectorState::Failing,
            reason: "the watch over the mounts has ended; restart the agent and report its log".into(),
        })?;
        self.latest.borrow().clone().map(|rows| rows.to_vec())
    }
}
