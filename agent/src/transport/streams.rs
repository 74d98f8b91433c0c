//! One uni stream for each class, opened when there is something to say.
//!
//! Invariants: a stream's first frame is a begin; a lane sends rising numbers, each once on a
//! connection; facts never wait for samples, and the present never for history.

use super::history::History;
use super::in_flight::InFlight;
use super::session::Ended;
use crate::spool::{Batch, Next, Payload, Place, Reader, Spool};
use fleetlight_protocol::delta::{DeltaError, Encoder};
use fleetlight_protocol::frame::{self, FrameError};
use fleetlight_protocol::uplink::{Begin, Class, Uplink, history_rows};
use quinn::{Connection, SendStream};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// Where lanes send from and to.
#[derive(Clone, Copy)]
pub(super) struct Road<'a> {
    pub connection: &'a Connection,
    pub spool: &'a Spool,
    pub in_flight: &'a InFlight,
    pub history: &'a History,
    /// The spool's next number when the connection was welcomed: samples below it are history.
    pub head: u64,
}

/// Sends one class until the connection ends. Replay goes as fast as the controller allows, and ends when the
/// history has been sent.
pub(super) async fn run(class: Class, road: Road<'_>) -> Ended {
    let (after, before) = match class {
        Class::Live => (Place::own(road.head.saturating_sub(1)), Place::END),
        Class::Replay => (Place::FIRST, Place::own(road.head)),
        Class::Facts => (Place::FIRST, Place::END),
    };
    let reader = road.spool.reader(class, after, before);
    let mut lane = Lane { class, road, reader, stream: None, begun: None, encoder: Encoder::default() };
    let mut head = road.spool.head();
    let mut count = 0;
    loop {
        head.borrow_and_update();
        if class == Class::Replay {
            road.history.is_left(lane.reader.left());
        }
        loop {
            road.in_flight.room(class).await;
            if class == Class::Replay {
                road.history.room(count).await;
            }
            match lane.send().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(ended) => return ended,
            }
            count += 1;
        }
        if class == Class::Replay {
            road.history.is_left(0);
        }
        let again_at = lane.reader.again_at();
        tokio::select! {
            Ok(()) = head.changed(), if class != Class::Replay => {}
            () = sleep_until(again_at.unwrap_or_else(Instant::now)), if again_at.is_some() => lane.reader.again(),
            else => return std::future::pending().await,
        }
    }
}

struct Lane<'a> {
    class: Class,
    road: Road<'a>,
    reader: Reader,
    stream: Option<SendStream>,
    /// The epoch that the stream's last begin named.
    begun: Option<Uuid>,
    encoder: Encoder,
}

impl Lane<'_> {
    /// Sends what comes next; false if nothing is there.
    async fn send(&mut self) -> Result<bool, Ended> {
        let mut rows = 0;
        let (epoch, first, last, frames) = match self.reader.next().await {
            Next::Nothing => return Ok(false),
            Next::Evicted { epoch, first, last } => {
                let frames = self.frames(epoch, &Uplink::Evicted(first, last)).map_err(Unsendable::from);
                (epoch, first, last, frames)
            }
            Next::Batch(batch) => {
                rows = history_rows(batch.payload.rows());
                (batch.epoch, batch.seq, batch.seq, self.batch(&batch))
            }
        };
        let frames = match frames {
            Ok(frames) => frames,
            Err(error) => {
                // A batch beyond the wire's bounds can never be sent; the gap is told instead.
                tracing::error!(seq = first, %error, "a batch cannot be sent and is dropped; please report this");
                self.begun = None;
                self.frames(epoch, &Uplink::Evicted(first, last)).map_err(|error| Ended::Lost(error.to_string()))?
            }
        };
        // Noted before it is written, so that its ack cannot come first.
        self.road.in_flight.sent(epoch, first, last);
        self.write(&frames).await?;
        if self.class == Class::Replay {
            self.road.history.sent(rows);
        }
        Ok(true)
    }

    fn batch(&mut self, batch: &Batch) -> Result<Vec<u8>, Unsendable> {
        let message = match &batch.payload {
            Payload::Events(events) => Uplink::Events(batch.seq, events.to_vec()),
            Payload::Inventory(documents) => Uplink::Inventory(batch.seq, documents.to_vec()),
            Payload::Samples { at_ms, rows } => {
                if self.encoder.is_full(rows.len()) {
                    self.begun = None;
                }
                let mut frames = self.begin(batch.epoch)?;
                let samples = self.encoder.encode(*at_ms, rows)?;
                frames.extend(frame::encode(&Uplink::Samples(batch.seq, samples))?);
                return Ok(frames);
            }
        };
        Ok(self.frames(batch.epoch, &message)?)
    }

    /// The message's frame, after a begin if one is due: one write, so that it is one packet.
    fn frames(&mut self, epoch: Uuid, message: &Uplink) -> Result<Vec<u8>, FrameError> {
        let mut frames = self.begin(epoch)?;
        frames.extend(frame::encode(message)?);
        Ok(frames)
    }

    /// A begin, and with it a fresh dictionary, where the stream or the epoch is new.
    fn begin(&mut self, epoch: Uuid) -> Result<Vec<u8>, FrameError> {
        if self.begun == Some(epoch) {
            return Ok(Vec::new());
        }
        self.begun = Some(epoch);
        self.encoder = Encoder::default();
        frame::encode(&Uplink::Begin(Begin { class: self.class, epoch }))
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
