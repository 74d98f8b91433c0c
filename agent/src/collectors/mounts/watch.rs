//! The task that looks at the mounts.

use super::changes::{Changes, Seen};
use super::judge::{Patience, hung_in_ms, judge};
use super::mountinfo::{self, Mount};
use super::select::select;
use crate::collectors::procfile::{Buffer, ProcFile};
use crate::collectors::{Outbox, Unavailable};
use crate::config::AgentConfig;
use crate::limits::{MOUNT_LOOK, MOUNT_WORKER_LATE};
use crate::workers::mounts::{Answer, Question};
use crate::workers::{Worker, WorkerError};
use fleetlight_protocol::document::CollectorState;
use fleetlight_protocol::samples::{Row, Sample};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch as channel};

/// What the last look gave.
pub type Rows = Result<Arc<[Row]>, Unavailable>;

/// Pause after the moment at which a mount becomes hung, so that the look does not come just before.
const JUST_AFTER: Duration = Duration::from_millis(20);

/// The list, the worker, and what was said of the mounts.
pub struct Watch {
    mountinfo: ProcFile,
    buffer: Buffer,
    /// The file's bytes when `listed` was made of it: parsed only when they change.
    raw: Vec<u8>,
    listed: Vec<Mount>,
    question: Question,
    worker: Worker,
    within: Duration,
    late: u32,
    patience: Patience,
    changes: Changes,
}

impl Watch {
    /// `within`: the time that the worker has for an answer.
    pub fn new(config: &AgentConfig, worker: Worker, within: Duration) -> Self {
        Self {
            mountinfo: ProcFile::new(config.proc_root.join("self/mountinfo")),
            buffer: Buffer::default(),
            raw: Vec::new(),
            listed: Vec::new(),
            question: Question { mounts: Vec::new() },
            worker,
            within,
            late: 0,
            patience: Patience::new(config),
            changes: Changes::default(),
        }
    }

    /// Looks whenever it is told to, and by itself in between, until nobody listens.
    pub async fn run(mut self, look_now: Arc<Notify>, publish: channel::Sender<Rows>, outbox: Outbox) {
        look_now.notified().await;
        loop {
            let (rows, next) = self.look().await;
            if publish.send(rows).is_err() {
                return;
            }
            for reading in self.changes.take() {
                if outbox.send(reading).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = look_now.notified() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// The rows now, and when to look again if no tick comes first.
    async fn look(&mut self) -> (Rows, Duration) {
        if let Err(unavailable) = self.list() {
            return (Err(unavailable), MOUNT_LOOK);
        }
        match self.worker.ask::<_, Answer>(&self.question, self.within).await {
            Ok(answer) => {
                self.late = 0;
                let (rows, next) = self.judge_all(&answer);
                (Ok(rows.into()), next)
            }
            Err(error) => (Err(self.without_answer(&error).await), MOUNT_LOOK),
        }
    }

    fn list(&mut self) -> Result<(), Unavailable> {
        let text = self.mountinfo.read(&mut self.buffer).map_err(|error| Unavailable {
            state: CollectorState::Failing,
            reason: format!("cannot list mounts: {error}; check proc_root in the configuration"),
        })?;
        if text == self.raw {
            return Ok(());
        }
        self.listed = select(mountinfo::parse(text));
        self.raw = text.to_vec();
        self.question = Question { mounts: self.listed.iter().map(super::target).collect() };
        Ok(())
    }

    fn judge_all(&mut self, answer: &Answer) -> (Vec<Row>, Duration) {
        let (mut rows, mut next) = (Vec::with_capacity(self.listed.len()), MOUNT_LOOK);
        self.changes.begin();
        for (mount, probe) in self.listed.iter().zip(&answer.mounts) {
            let key = mount.mount_point.to_string_lossy();
            match judge(mount, probe, self.patience) {
                Some(verdict) => {
                    rows.push(verdict.sample.row(&*key));
                    self.changes.see(&key, mount, Seen::Verdict(&verdict));
                }
                // A silent mount that was known stays what it was until it is late.
                None if probe.last.is_none() => self.changes.see(&key, mount, Seen::Silent),
                None => {}
            }
            if let Some(hung_in) = hung_in_ms(probe, self.patience) {
                next = next.min(Duration::from_millis(hung_in) + JUST_AFTER);
            }
        }
        self.changes.end();
        (rows, next)
    }

    /// Why there is no answer; a worker that stays silent is started anew.
    async fn without_answer(&mut self, error: &WorkerError) -> Unavailable {
        let mut reason = format!("mount worker: {error}");
        let state = match error {
            WorkerError::Late(_) | WorkerError::Unkillable(_) => CollectorState::Stuck,
            WorkerError::Ended(_) | WorkerError::NotStarted(_) => CollectorState::Failing,
        };
        if matches!(error, WorkerError::Late(_)) {
            self.late += 1;
        }
        if self.late >= MOUNT_WORKER_LATE {
            self.late = 0;
            if let Err(error) = self.worker.restart().await {
                reason = format!("mount worker: {error}; a file system or disk keeps it, see the kernel's log (dmesg)");
            }
        }
        Unavailable { state, reason }
    }
}
