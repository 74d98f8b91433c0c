//! One uni stream for each class, opened when there is something to say.
//!
//! Invariants: a stream's first frame is a begin; a lane sends rising numbers, each once on a
//! connection; facts never wait for samples, and the present never for history.

use super::in_flight::InFlight;
use super::session::Ended;
use crate::limits::{REPLAY_BURST, REPLAY_PAUSE};
use crate::spool::{Batch, Next, Payload, Spool};
use fleetlight_protocol::delta::{DeltaError, Encoder};
use fleetlight_protocol::frame::{self, FrameError};
use fleetlight_protocol::uplink::{Begin, Class, Uplink};
use quinn::{Connection, SendStream};
use tokio::time::sleep;

/// Where lanes send from and to.
#[derive(Clone, Copy)]
pub(super) struct Road<'a> {
    pub connection: &'a Connection,
    pub spool: &'a Spool,
    pub in_flight: &'a InFlight,
    /// The spool's next number when the connection was welcomed: samples below it are history.
    pub head: u64,
}

/// Sends one class until the connection ends. Replay goes at a bounded rate and ends when the
/// history has been sent.
pub(super) async fn run(class: Class, road: Road<'_>) -> Ended {
    let mut lane = Lane { class, road, stream: None, encoder: Encoder::default() };
    let (mut cursor, before) = match class {
        Class::Live => (road.head.saturating_sub(1), u64::MAX),
        Class::Replay => (0, road.head),
        Class::Facts => (0, u64::MAX),
    };
    let mut head = road.spool.head();
    let mut burst = 0;
    loop {
        head.borrow_and_update();
        loop {
            road.in_flight.room().await;
            match lane.send(cursor, before).await {
                Ok(Some(sent)) => cursor = sent,
                Ok(None) => break,
                Err(ended) => return ended,
            }
            burst += 1;
            if class == Class::Replay && burst % REPLAY_BURST == 0 {
                sleep(REPLAY_PAUSE).await;
            }
        }
        if class == Class::Replay || head.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

struct Lane<'a> {
    class: Class,
    road: Road<'a>,
    stream: Option<SendStream>,
    encoder: Encoder,
}

impl Lane<'_> {
    /// Sends what comes next after `cursor`; returns the new cursor, or nothing if nothing is there.
    async fn send(&mut self, cursor: u64, before: u64) -> Result<Option<u64>, Ended> {
        let (first, last, frames) = match self.road.spool.next(self.class, cursor, before) {
            Next::Nothing => return Ok(None),
            Next::Evicted { first, last } => {
                (first, last, self.frames(&Uplink::Evicted(first, last)).map_err(Unsendable::from))
            }
            Next::Batch(batch) => (batch.seq, batch.seq, self.batch(&batch)),
        };
        let frames = match frames {
            Ok(frames) => frames,
            Err(error) => {
                // A batch beyond the wire's bounds can never be sent; the gap is told instead.
                tracing::error!(seq = first, %error, "a batch cannot be sent and is dropped; please report this");
                self.encoder = Encoder::default();
                self.stream = None;
                self.frames(&Uplink::Evicted(first, last)).map_err(|error| Ended::Lost(error.to_string()))?
            }
        };
        // Noted before it is written, so that its ack cannot come first.
        self.road.in_flight.sent(first, last);
        self.write(&frames).await?;
        Ok(Some(last))
    }

    fn batch(&mut self, batch: &Batch) -> Result<Vec<u8>, Unsendable> {
        let message = match &batch.payload {
            Payload::Events(events) => Uplink::Events(batch.seq, events.to_vec()),
            Payload::Inventory(documents) => Uplink::Inventory(batch.seq, documents.to_vec()),
            Payload::Samples { at_ms, rows } => {
                if self.encoder.is_full(rows.len()) {
                    // The dictionary begins anew, and so does the stream's begin.
                    self.encoder = Encoder::default();
                    let mut frames = self.begin()?;
                    let samples = self.encoder.encode(*at_ms, rows)?;
                    frames.extend(frame::encode(&Uplink::Samples(batch.seq, samples))?);
                    return Ok(frames);
                }
                Uplink::Samples(batch.seq, self.encoder.encode(*at_ms, rows)?)
            }
        };
        Ok(self.frames(&message)?)
    }

    /// The message's frame, after a begin if the stream is new: one write, so that it is one packet.
    fn frames(&self, message: &Uplink) -> Result<Vec<u8>, FrameError> {
        let mut frames = if self.stream.is_none() { self.begin()? } else { Vec::new() };
        frames.extend(frame::encode(message)?);
        Ok(frames)
    }

    fn begin(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode(&Uplink::Begin(Begin { class: self.class, epoch: self.road.spool.epoch() }))
    }

    async fn write(&mut self, frames: &[u8]) -> Result<(), Ended> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = self.road.connection.open_uni().await.map_err(Ended::lost)?;
                let priority = match self.class {
                    Class::Facts => 2,
                    Class::Live => 1,
                    Class::Replay => 0,
                };
                let _ = stream.set_priority(priority);
                self.stream.insert(stream)
            }
        };
        stream.write_all(frames).await.map_err(Ended::lost)
    }
}

/// Why a batch has no frame.
#[derive(Debug, thiserror::Error)]
enum Unsendable {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Delta(#[from] DeltaError),
}
