//! One uplink stream: frames → checked batches → ingest. A stream waits while ingest is busy, or its host sends
//! faster than one may; QUIC's flow control then holds the agent back.
//!
//! Invariants: the first frame is a begin, of an epoch that the hello named; samples do not come
//! on streams of facts, nor facts on those of live samples; nothing beyond `protocol::limits` goes on to ingest.

use super::control::{self, Company, ReadError};
use super::credit::Account;
use super::pace::Pace;
use super::{AgentRef, Inbound, Payload, Stored, WallClock};
use fleetlight_protocol::delta::{Decoder, DeltaError};
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::Event;
use fleetlight_protocol::limits::{DOCUMENTS_PER_BATCH, ENTITY_KEY_BYTES, EVENTS_PER_BATCH, TEXT_CHARS};
use fleetlight_protocol::uplink::{Begin, Class, Uplink};
use quinn::RecvStream;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

/// What is wrong with an uplink stream; said to the agent and logged.
#[derive(Debug, thiserror::Error)]
pub(super) enum UplinkError {
    #[error("uplink stream: {0}")]
    Read(#[from] ReadError),
    #[error("uplink stream: {0}")]
    Delta(#[from] DeltaError),
    #[error("uplink stream does not begin with a begin frame")]
    NoBegin,
    #[error("uplink stream is of epoch {0}, which the hello does not name")]
    Epoch(Uuid),
    #[error("{0} came on the stream of {1:?}")]
    Class(&'static str, Class),
    #[error("batch has {0} {1}, more than {2}")]
    TooMany(usize, &'static str, usize),
    #[error("{0} of batch {1} is longer than its bound")]
    TooLong(&'static str, u64),
    #[error("sequence number {0} is out of range")]
    Sequence(u64),
    #[error("evicted interval {0} to {1} runs backwards")]
    Backwards(u64, u64),
}

/// What the streams of one session share.
pub(super) struct Lane {
    pub agent: AgentRef,
    /// Epochs that the hello named.
    pub epochs: Vec<Uuid>,
    pub inbound: mpsc::Sender<Inbound>,
    pub acks: mpsc::Sender<Stored>,
    /// Told of every batch.
    pub company: Arc<Company>,
    pub pace: Arc<Pace>,
    /// For its history.
    pub account: Arc<Account>,
    pub wall: WallClock,
}

/// Reads a stream to its end. A lost connection is no error here: the session notices by itself.
pub(super) async fn run(mut stream: RecvStream, lane: Arc<Lane>) -> Result<(), UplinkError> {
    let mut reader = Reader::default();
    loop {
        let (frame, bytes) = match control::read_sized(&mut stream).await {
            Ok(Some(frame)) => frame,
            Ok(None) | Err(ReadError::Lost(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let taken = reader.take(frame, &lane.epochs)?;
        if taken.is_some() {
            lane.company.batch();
        }
        let values = taken.as_ref().map_or(0, |(.., payload)| payload.values());
        let held_back = match reader.class() {
            Some(class) => lane.pace.wait(class, values, bytes).await,
            None => false,
        };
        let Some((class, epoch, seq, payload)) = taken else { continue };
        if let (Class::Replay, Payload::Samples { rows, .. }) = (class, &payload) {
            lane.account.came(epoch, seq, rows.len());
        }
        let (received_ms, acks) = ((lane.wall)(), lane.acks.clone());
        let inbound = Inbound { agent: lane.agent, epoch, seq, class, received_ms, payload, held_back, acks };
        if lane.inbound.send(inbound).await.is_err() {
            // Ingest has stopped: so does the controller, and nothing more is acknowledged.
            return Ok(());
        }
    }
}

/// The state of one stream; pure, so that it can be fuzzed.
#[derive(Debug, Default)]
pub(super) struct Reader {
    begun: Option<Begin>,
    decoder: Decoder,
}

impl Reader {
    fn class(&self) -> Option<Class> {
        self.begun.as_ref().map(|begun| begun.class)
    }

    /// Checks one frame; nothing to pass on for a begin.
    pub fn take(&mut self, frame: Uplink, epochs: &[Uuid]) -> Result<Option<(Class, Uuid, u64, Payload)>, UplinkError> {
        if let Uplink::Begin(begin) = frame {
            if !epochs.contains(&begin.epoch) {
                return Err(UplinkError::Epoch(begin.epoch));
            }
            *self = Self { begun: Some(begin), decoder: Decoder::default() };
            return Ok(None);
        }
        let (class, epoch) = self.begun.as_ref().map(|begin| (begin.class, begin.epoch)).ok_or(UplinkError::NoBegin)?;
        let (samples, facts) = (class != Class::Facts, class != Class::Live);
        let (seq, payload) = match frame {
            Uplink::Samples(seq, bytes) if samples => {
                let (tick_ms, rows) = self.decoder.decode(&bytes)?;
                (seq, Payload::Samples { tick_ms, rows })
            }
            Uplink::Events(seq, events) if facts => {
                check_events(seq, &events)?;
                (seq, Payload::Events(events))
            }
            Uplink::Inventory(seq, documents) if facts => {
                check_documents(seq, &documents)?;
                (seq, Payload::Inventory(documents))
            }
            Uplink::Evicted(first, last) if first > last => return Err(UplinkError::Backwards(first, last)),
            Uplink::Evicted(first, last) => (first, Payload::Evicted { last }),
            Uplink::Samples(..) => return Err(UplinkError::Class("samples", class)),
            Uplink::Events(..) => return Err(UplinkError::Class("events", class)),
            Uplink::Inventory(..) => return Err(UplinkError::Class("inventory", class)),
            Uplink::Begin(_) => return Ok(None),
        };
        let last = if let Payload::Evicted { last } = payload { last } else { seq };
        // Postgres counts in signed 64 bits.
        if i64::try_from(last).is_err() {
            Err(UplinkError::Sequence(last))
        } else {
            Ok(Some((class, epoch, seq, payload)))
        }
    }
}

fn check_events(seq: u64, events: &[Event]) -> Result<(), UplinkError> {
    if events.len() > EVENTS_PER_BATCH {
        return Err(UplinkError::TooMany(events.len(), "events", EVENTS_PER_BATCH));
    }
    if events.iter().any(|event| event.key.len() > ENTITY_KEY_BYTES) {
        return Err(UplinkError::TooLong("an event's key", seq));
    }
    if events.iter().any(|event| event.subject.chars().nth(TEXT_CHARS).is_some()) {
        return Err(UplinkError::TooLong("an event's subject", seq));
    }
    Ok(())
}

fn check_documents(seq: u64, documents: &[Document]) -> Result<(), UplinkError> {
    if documents.len() > DOCUMENTS_PER_BATCH {
        return Err(UplinkError::TooMany(documents.len(), "documents", DOCUMENTS_PER_BATCH));
    }
    if documents.iter().any(|document| document.key.len() > ENTITY_KEY_BYTES) {
        return Err(UplinkError::TooLong("a document's key", seq));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::delta::Encoder;
    use proptest::prelude::*;

    const EPOCH: Uuid = Uuid::from_u128(1);

    fn begin(class: Class) -> Uplink {
        Uplink::Begin(Begin { class, epoch: EPOCH })
    }

    fn fault(frames: Vec<Uplink>) -> String {
        let mut reader = Reader::default();
        let errors = frames.into_iter().filter_map(|frame| reader.take(frame, &[EPOCH]).err());
        errors.map(|error| error.to_string()).next().unwrap_or_default()
    }

    #[test]
    fn each_fault_is_named() {
        assert!(fault(vec![Uplink::Events(1, vec![])]).contains("begin frame"));
        let stranger = Begin { class: Class::Live, epoch: Uuid::nil() };
        assert!(fault(vec![Uplink::Begin(stranger)]).contains("epoch"));
        assert!(fault(vec![begin(Class::Facts), Uplink::Samples(1, vec![])]).contains("samples came on"));
        assert!(fault(vec![begin(Class::Live), Uplink::Events(1, vec![])]).contains("events came on"));
        let ragged = Uplink::Samples(1, vec![0xff; 40]);
        assert!(fault(vec![begin(Class::Live), ragged]).contains("shorter or longer"));
        assert!(fault(vec![begin(Class::Facts), Uplink::Evicted(2, 1)]).contains("backwards"));
        assert!(fault(vec![begin(Class::Facts), Uplink::Evicted(2, u64::MAX)]).contains("out of range"));
    }

    #[test]
    fn a_second_begin_brings_a_fresh_decoder() {
        let mut reader = Reader::default();
        for (seq, class) in [(1, Class::Live), (2, Class::Live)] {
            reader.take(begin(class), &[EPOCH]).expect("begins");
            let bytes = Encoder::default().encode(5_000, &[]).expect("encodes");
            let taken = reader.take(Uplink::Samples(seq, bytes), &[EPOCH]).expect("decodes");
            assert!(matches!(taken, Some((_, _, _, Payload::Samples { tick_ms: 5_000, .. }))));
        }
    }

    #[test]
    fn the_past_brings_facts_too() {
        let mut reader = Reader::default();
        reader.take(begin(Class::Replay), &[EPOCH]).expect("begins");
        let taken = reader.take(Uplink::Events(1, vec![]), &[EPOCH]).expect("takes");
        assert!(matches!(taken, Some((Class::Replay, _, 1, Payload::Events(_)))));
    }

    proptest! {
        #[test]
        fn any_samples_are_an_answer_or_an_error(batches in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..4)) {
            let mut reader = Reader::default();
            reader.take(begin(Class::Replay), &[EPOCH]).expect("begins");
            for (seq, bytes) in batches.into_iter().enumerate() {
                if reader.take(Uplink::Samples(seq as u64, bytes), &[EPOCH]).is_err() {
                    break;
                }
            }
        }
    }
}
