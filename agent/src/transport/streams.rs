//! One uni stream for each cargo, opened when there is something to say.
//!
//! Invariants: a stream's first frame is a begin; a lane sends rising numbers, each once on a
//! connection; facts never wait for samples, and the present never for the past.

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

/// What one stream carries: the present or the past, as the connection found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cargo {
    Facts,
    Samples,
    PastFacts,
    PastSamples,
}

impl Cargo {
    fn is_past(self) -> bool {
        matches!(self, Self::PastFacts | Self::PastSamples)
    }

    /// The class that its stream begins with. Older controllers take facts as facts only.
    fn class(self, history: &History) -> Class {
        match self {
            Self::Samples => Class::Live,
            Self::PastSamples => Class::Replay,
            Self::PastFacts if history.takes_facts() => Class::Replay,
            Self::Facts | Self::PastFacts => Class::Facts,
        }
    }

    /// QUIC's: what happens now first, and facts before samples.
    fn priority(self) -> i32 {
        match self {
            Self::Facts => 3,
            Self::Samples => 2,
            Self::PastFacts => 1,
            Self::PastSamples => 0,
        }
    }

    fn reader(self, spool: &Spool, head: u64) -> Reader {
        let class = if matches!(self, Self::Facts | Self::PastFacts) { Class::Facts } else { Class::Live };
        if self.is_past() {
            spool.reader(class, Place::FIRST, Place::own(head))
        } else {
            spool.reader(class, Place::own(head.saturating_sub(1)), Place::END)
        }
    }
}

/// Sends one cargo until the connection ends. The past's samples go as fast as the controller allows.
pub(super) async fn run(cargo: Cargo, road: Road<'_>) -> Ended {
    let reader = cargo.reader(road.spool, road.head);
    let mut lane = Lane { cargo, road, reader, stream: None, begun: None, encoder: Encoder::default() };
    let mut head = road.spool.head();
    let mut count = 0;
    loop {
        head.borrow_and_update();
        if cargo == Cargo::PastSamples {
            road.history.is_left(lane.reader.left());
        }
        loop {
            road.in_flight.room(cargo.is_past()).await;
            if cargo == Cargo::PastSamples {
                road.history.room(count).await;
            }
            match lane.send().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(ended) => return ended,
            }
            count += 1;
        }
        if cargo == Cargo::PastSamples {
            road.history.is_left(0);
        }
        let again_at = lane.reader.again_at();
        tokio::select! {
            Ok(()) = head.changed(), if !cargo.is_past() => {}
            () = sleep_until(again_at.unwrap_or_else(Instant::now)), if again_at.is_some() => lane.reader.again(),
            else => return std::future::pending().await,
        }
    }
}

struct Lane<'a> {
    cargo: Cargo,
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
        if self.cargo == Cargo::PastSamples {
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
        frame::encode(&Uplink::Begin(Begin { class: self.cargo.class(self.road.history), epoch }))
    }

    async fn write(&mut self, frames: &[u8]) -> Result<(), Ended> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = self.road.connection.open_uni().await.map_err(Ended::lost)?;
                let _ = stream.set_priority(self.cargo.priority());
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
