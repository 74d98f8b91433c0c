//! Collectors: one file, one task, one interval, one deadline each.
//!
//! A collector reads its source (under a configurable root), parses with pure functions that have
//! fixtures, and returns rows; documents and events it puts into its [`Outbox`] as they change.
//! "No data" is no error. Nothing here may block: what can, asks a worker process.

pub mod containers;
pub mod gpu;
pub(crate) mod health;
pub mod host;
pub mod mounts;
pub mod names;
pub mod procfile;
mod runner;

pub use runner::run;

use crate::tick::Tick;
use fleetlight_protocol::document::{CollectorState, Document};
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::Row;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;

/// What collectors say.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// One collector's rows of one tick. Sent for every tick that ended, also with no rows.
    Rows {
        collector: &'static str,
        at_ms: i64,
        rows: Vec<Row>,
    },
    /// Documents that may have changed; the inventory drops those that did not.
    Documents(Vec<Document>),
    Events(Vec<Event>),
}

/// The way from collectors to the batcher.
pub type Outbox = mpsc::Sender<Reading>;

/// Why a collector has no rows for a tick.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// [`CollectorState::Absent`], [`CollectorState::Stuck`] or [`CollectorState::Failing`].
    pub state: CollectorState,
    /// What happened, on what, what to do; shown on the host's page.
    pub reason: String,
}

/// A source of rows.
pub trait Collector: Send {
    /// Name in documents, samples, logs.
    const NAME: &'static str;

    /// The longest that one run may take; beyond it the run is dropped and the tick is missed.
    fn deadline(&self, interval: Duration) -> Duration {
        interval.min(Duration::from_secs(2))
    }

    /// Reads the source once. Must be safe to drop at any await.
    fn collect(&mut self, tick: Tick) -> impl Future<Output = Result<Vec<Row>, Unavailable>> + Send;

    /// What is wrong although the last run gave rows: a part of the source does not answer.
    fn trouble(&self) -> Option<Unavailable> {
        None
    }
}
