//! Collector of GPUs: asks the NVML process, and says what its answers mean.
//!
//! `outage` judges NVML as a whole, `fleet` the single GPUs, `process` whose the processes are,
//! `xid` what an Xid means. Only this file talks to the worker and to the outbox; the others are
//! pure or read small files of `/proc`.
//!
//! Invariants: a GPU or a driver that does not answer is reported as such, and never as zeros; a
//! host without NVML costs a process once a minute; what was said is not said again.

mod fleet;
mod outage;
mod process;
mod xid;

use super::names::{ContainerNames, UserPattern};
use super::{Collector, Outbox, Reading, Unavailable};
use crate::config::AgentConfig;
use crate::limits::{GPU_PENDING, NVML_OPEN_WITHIN, NVML_READ_WITHIN, NVML_REOPEN};
use crate::tick::Tick;
use crate::workers::Worker;
use crate::workers::nvml::messages::{self, Answer, Question};
use fleet::Fleet;
use fleetlight_protocol::document::{Body, Document};
use fleetlight_protocol::samples::{EntityKind, Row};
use outage::{DriverState, Failure};
use process::Attribution;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The gpu collector.
#[derive(Debug)]
pub struct GpuCollector {
    worker: Worker,
    proc_root: PathBuf,
    /// Since when the running child has NVML open.
    opened: Option<Instant>,
    driver: DriverState,
    fleet: Fleet,
    attribution: Attribution,
    outbox: Outbox,
    /// Not yet taken by the outbox.
    pending: VecDeque<Reading>,
}

impl GpuCollector {
    /// A collector that asks `fleetlight-agent nvml-worker`, a child of this program.
    #[must_use]
    pub fn new(config: &AgentConfig, names: Arc<ContainerNames>, outbox: Outbox) -> Self {
        let worker = Worker::of_this_program(&["nvml-worker", "--library", &config.nvml_library]);
        Self::with_worker(worker, config, names, outbox)
    }

    /// A collector that asks `worker`: tests are another program than the agent.
    #[must_use]
    pub fn with_worker(worker: Worker, config: &AgentConfig, names: Arc<ContainerNames>, outbox: Outbox) -> Self {
        let pattern = UserPattern::new(config.user_pattern.as_deref());
        Self {
            worker,
            proc_root: config.proc_root.clone(),
            opened: None,
            driver: DriverState::default(),
            fleet: Fleet::default(),
            attribution: Attribution::new(config.proc_root.clone(), "/etc/passwd".into(), names, pattern),
            outbox,
            pending: VecDeque::new(),
        }
    }

    /// Process id of the NVML process, while one runs.
    #[must_use]
    pub fn worker_pid(&self) -> Option<u32> {
        self.worker.pid()
    }

    async fn read(&mut self) -> Result<messages::Reading, Failure> {
        let reopen = self.opened.is_some_and(|since| since.elapsed() >= NVML_REOPEN && self.fleet.ails());
        if reopen {
            self.opened = None;
            self.worker.restart().await.map_err(Failure::Worker)?;
        }
        if self.opened.is_none() {
            let question = Question::Open { proc_root: self.proc_root.clone() };
            match self.worker.ask(&question, NVML_OPEN_WITHIN).await.map_err(Failure::Worker)? {
                Answer::Opened(driver) => self.driver.opened(driver),
                Answer::Outage(outage) => return Err(Failure::Outage(outage)),
                other => return Err(Failure::unexpected(&other)),
            }
            self.opened = Some(Instant::now());
        }
        match self.worker.ask(&Question::Read, NVML_READ_WITHIN).await.map_err(Failure::Worker)? {
            Answer::Reading(reading) => Ok(reading),
            Answer::Outage(outage) => Err(Failure::Outage(outage)),
            other => Err(Failure::unexpected(&other)),
        }
    }

    /// Ends the child, whatever it is doing, and says why there is nothing.
    async fn give_up(&mut self, failure: Failure) -> Unavailable {
        self.opened = None;
        let stuck = self.worker.restart().await.err();
        self.driver.failed(failure, stuck.as_ref())
    }

    fn absorb(&mut self, reading: messages::Reading, at_ms: i64) -> Vec<Row> {
        let messages::Reading { gpus, facts, unopened, xids } = reading;
        let change = self.fleet.absorb(&gpus, facts, &unopened, at_ms);
        self.driver.works(self.fleet.count(), self.fleet.unknown(&unopened));
        let mut events = change.events;
        events.extend(xids.iter().map(|xid| xid::event(xid, self.fleet.subject(xid.gpu.as_deref()))));
        let mut documents = change.documents;
        documents.extend(self.attribution.changes(&gpus, at_ms));
        self.say(Reading::Documents(documents));
        self.say(Reading::Events(events));
        fleet::rows(gpus)
    }

    fn say(&mut self, reading: Reading) {
        match &reading {
            Reading::Documents(documents) if documents.is_empty() => {}
            Reading::Events(events) if events.is_empty() => {}
            _ => self.pending.push_back(reading),
        }
    }

    /// Hands over what is pending. What does not get through before the deadline waits for the
    /// next tick; beyond the bound all is forgotten, and the documents are said anew.
    async fn flush(&mut self) {
        if self.pending.len() > GPU_PENDING {
            tracing::warn!(dropped = self.pending.len(), "nobody takes what the gpu collector says");
            self.pending.clear();
            self.fleet.say_again();
            self.attribution.say_again();
            self.driver.say_again();
        }
        while !self.pending.is_empty() {
            let Ok(permit) = self.outbox.reserve().await else { return };
            if let Some(reading) = self.pending.pop_front() {
                permit.send(reading);
            }
        }
    }
}

impl Collector for GpuCollector {
    const NAME: &'static str = "gpu";

    /// Beyond those of the worker, which say more about what hangs.
    fn deadline(&self, _interval: Duration) -> Duration {
        NVML_OPEN_WITHIN + NVML_READ_WITHIN + Duration::from_secs(2)
    }

    async fn collect(&mut self, tick: Tick) -> Result<Vec<Row>, Unavailable> {
        let result = match self.driver.pause() {
            Some(why) => Err(why),
            None => match self.read().await {
                Ok(reading) => Ok(self.absorb(reading, tick.at_ms)),
                Err(failure) => Err(self.give_up(failure).await),
            },
        };
        if let Some(document) = self.driver.change() {
            let body = Some(Body::GpuDriver(document));
            let document = Document { kind: EntityKind::GpuDriver, key: String::new(), observed_ms: tick.at_ms, body };
            self.say(Reading::Documents(vec![document]));
        }
        self.flush().await;
        result
    }
}
