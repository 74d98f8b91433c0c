//! NVML as a whole: its state, and when it is tried again.

use super::Unavailable;
use crate::limits::{NVML_ABSENT_RETRY, NVML_FAILED_RETRY};
use crate::workers::WorkerError;
use crate::workers::nvml::messages::{Answer, Driver, Outage};
use fleetlight_protocol::document::{CollectorState, GpuDriverDocument, GpuDriverState};
use std::time::Duration;
use tokio::time::Instant;

/// Why a tick has no reading.
#[derive(Debug)]
pub enum Failure {
    Worker(WorkerError),
    Outage(Outage),
}

impl Failure {
    /// An answer that does not fit its question.
    pub fn unexpected(answer: &Answer) -> Self {
        let what = match answer {
            Answer::NotOpen => "was started anew",
            _ => "gave an answer that does not fit the question",
        };
        Self::Outage(Outage { state: GpuDriverState::Error, reason: format!("the NVML process {what}") })
    }

    fn outage(self) -> Outage {
        let error = match self {
            Self::Outage(outage) => return outage,
            Self::Worker(error) => error,
        };
        let (state, reason) = match &error {
            WorkerError::Late(_) => (
                GpuDriverState::Unresponsive,
                format!(
                    "a call of NVML has given {error}; look for Xid and NVRM lines in the kernel log, then reboot the host"
                ),
            ),
            WorkerError::Unkillable(_) => (
                GpuDriverState::Unresponsive,
                format!("the driver hangs: {error}; look for NVRM lines in the kernel log, then reboot the host"),
            ),
            WorkerError::Ended(_) => (
                GpuDriverState::Error,
                format!("the NVML process has failed ({error}); run nvidia-smi, reinstall the driver if it fails too"),
            ),
            WorkerError::NotStarted(_) => {
                (GpuDriverState::Error, format!("{error}; free memory and processes on this host"))
            }
        };
        Outage { state, reason }
    }
}

/// The driver's document as it should be said, and the pause after a failure.
#[derive(Debug, Default)]
pub struct DriverState {
    now: GpuDriverDocument,
    said: Option<GpuDriverDocument>,
    pause: Option<(Instant, Unavailable)>,
    /// The pause before this one, while failures go on.
    last_pause: Option<Duration>,
}

impl DriverState {
    /// Why there is nothing to ask for now.
    pub fn pause(&self) -> Option<Unavailable> {
        self.pause.as_ref().filter(|(until, _)| Instant::now() < *until).map(|(_, why)| why.clone())
    }

    /// Takes over the versions.
    pub fn opened(&mut self, driver: Driver) {
        let Driver { driver_version, cuda_version, nvml_version } = driver;
        self.now = GpuDriverDocument { driver_version, cuda_version, nvml_version, ..self.now.clone() };
    }

    /// There is a reading of `gpus` GPUs; `unknown` says what cannot even be named.
    pub fn works(&mut self, gpus: u32, unknown: Option<String>) {
        (self.pause, self.last_pause) = (None, None);
        let state = if unknown.is_some() { GpuDriverState::Error } else { GpuDriverState::Ok };
        self.now = GpuDriverDocument { state, reason: unknown.unwrap_or_default(), gpus, ..self.now.clone() };
    }

    /// There is none, and a child that does not even end says `stuck`.
    pub fn failed(&mut self, failure: Failure, stuck: Option<&WorkerError>) -> Unavailable {
        let mut outage = failure.outage();
        if let Some(error @ WorkerError::Unkillable(_)) = stuck
            && !outage.reason.contains("stuck in the kernel")
        {
            outage = Outage { state: GpuDriverState::Unresponsive, reason: format!("{}; {error}", outage.reason) };
        }
        let Outage { state, reason } = outage;
        let pause = match state {
            GpuDriverState::LibraryMissing | GpuDriverState::DriverNotLoaded | GpuDriverState::VersionMismatch => {
                NVML_ABSENT_RETRY
            }
            _ => self.last_pause.map_or(NVML_FAILED_RETRY, |last| (last * 2).min(NVML_ABSENT_RETRY)),
        };
        self.last_pause = Some(pause);
        let collector = match state {
            GpuDriverState::LibraryMissing => CollectorState::Absent,
            GpuDriverState::Unresponsive => CollectorState::Stuck,
            _ => CollectorState::Failing,
        };
        let why = Unavailable { state: collector, reason: reason.clone() };
        self.pause = Some((Instant::now() + pause, why.clone()));
        self.now = GpuDriverDocument { state, reason, ..self.now.clone() };
        why
    }

    /// The document, if it has changed since it was last said.
    pub fn change(&mut self) -> Option<GpuDriverDocument> {
        if self.said.as_ref() == Some(&self.now) {
            return None;
        }
        self.said = Some(self.now.clone());
        self.said.clone()
    }

    /// Forgets what was said.
    pub fn say_again(&mut self) {
        self.said = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late() -> Failure {
        Failure::Worker(WorkerError::Late(Duration::from_secs(2)))
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_tried_again_less_and_less_often() {
        let mut driver = DriverState::default();
        for seconds in [5, 10, 20, 40, 60, 60] {
            let why = driver.failed(late(), None);
            assert_eq!(why.state, CollectorState::Stuck);
            tokio::time::advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert_eq!(driver.pause(), Some(why), "{seconds} s");
            tokio::time::advance(Duration::from_millis(2)).await;
            assert_eq!(driver.pause(), None, "{seconds} s");
        }
        driver.works(1, None);
        driver.failed(late(), None);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(driver.pause(), None, "a success begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_library_is_no_fault_and_costs_one_try_a_minute() {
        let mut driver = DriverState::default();
        let outage = Outage { state: GpuDriverState::LibraryMissing, reason: "none".into() };
        assert_eq!(driver.failed(Failure::Outage(outage), None).state, CollectorState::Absent);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(driver.pause().is_some());
    }

    #[tokio::test]
    async fn a_child_that_cannot_be_ended_makes_the_driver_unresponsive() {
        let mut driver = DriverState::default();
        let stuck = WorkerError::Unkillable(4711);
        let crash = Failure::Worker(WorkerError::Ended("signal: 11".into()));
        let why = driver.failed(crash, Some(&stuck));
        assert_eq!(why.state, CollectorState::Stuck);
        assert!(why.reason.contains("4711"), "{}", why.reason);
    }

    #[test]
    fn a_document_is_said_once_for_each_change() {
        let mut driver = DriverState::default();
        driver.works(2, None);
        assert_eq!(driver.change().map(|document| (document.state, document.gpus)), Some((GpuDriverState::Ok, 2)));
        assert_eq!(driver.change(), None);
        driver.works(2, Some("GPU 1 is lost".into()));
        assert_eq!(driver.change().map(|document| document.state), Some(GpuDriverState::Error));
    }
}
