//! The door through which ingest feeds the live view in passing.

use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::Row;
use std::time::Duration;

/// Where batches go before the database. Implementations return at once: no waiting, no I/O.
///
/// A batch may be fed more than once (an agent sends again what was not acked) and out of order;
/// samples of [`fleetlight_protocol::uplink::Class::Replay`] are told as [`LiveSink::replayed`] only.
pub trait LiveSink: Send + Sync + 'static {
    /// One tick of one host; `received_ms` is the controller's clock at arrival.
    fn samples(&self, host_id: i32, tick_ms: i64, received_ms: i64, rows: &[Row]);

    /// History of one host arrived; while it does, the host is catching up.
    fn replayed(&self, host_id: i32);

    /// How long the oldest batch waits for the database that is not stored, where that is long.
    fn history_behind(&self, behind: Option<Duration>);

    /// What is true of entities of one host from each document's `observed_ms` on.
    fn documents(&self, host_id: i32, documents: &[Document]);

    /// Facts of one host, as they happen.
    fn events(&self, host_id: i32, events: &[Event]);

    /// Facts of one host that happened while it was away.
    fn past_events(&self, host_id: i32, events: &[Event]);
}
