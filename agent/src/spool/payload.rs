//! What a batch holds, and how a record keeps it: each by itself, so that damage to one record costs
//! that one, and any can be read without those before it.

use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::{Event, Fact};
use fleetlight_protocol::frame::{self, FrameError, HEAD_BYTES, Head};
use fleetlight_protocol::samples::{EntityKind, Row};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::format::Lane;

/// What a batch holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// The rows of one tick.
    Samples {
        at_ms: i64,
        rows: Arc<[Row]>,
    },
    Events(Arc<[Event]>),
    Inventory(Arc<[Document]>),
}

/// A payload in a record: one frame, compressed where it pays. Values are codes of the metric
/// catalogue ([`fleetlight_protocol::metric::Resolution`]), which is all that the wire carries of them.
#[derive(Serialize, Deserialize)]
enum Kept {
    #[serde(rename = "s")]
    Samples(i64, Vec<(u8, String, Vec<Option<i64>>)>),
    #[serde(rename = "e")]
    Events(Vec<Event>),
    #[serde(rename = "i")]
    Inventory(Vec<Document>),
}

impl Payload {
    pub(super) fn lane(&self) -> Lane {
        if matches!(self, Self::Samples { .. }) { Lane::Samples } else { Lane::Facts }
    }

    /// Rows of samples.
    #[must_use]
    pub fn rows(&self) -> usize {
        if let Self::Samples { rows, .. } = self { rows.len() } else { 0 }
    }

    /// Bytes that it takes in memory, roughly.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Samples { rows, .. } => {
                64 + rows.iter().map(|row| 64 + row.key.len() + row.values.len() * 16).sum::<usize>()
            }
            Self::Events(events) => 64 + events.iter().map(event_cost).sum::<usize>(),
            Self::Inventory(documents) => 64 + documents.len() * 2_048,
        }
    }

    /// # Errors
    /// It is longer than a frame may be.
    pub(super) fn encode(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode(&match self {
            Self::Samples { at_ms, rows } => Kept::Samples(*at_ms, rows.iter().map(codes).collect()),
            Self::Events(events) => Kept::Events(events.to_vec()),
            Self::Inventory(documents) => Kept::Inventory(documents.to_vec()),
        })
    }

    /// None: these bytes are no payload that this build knows.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let head = Head::parse(*head).ok().filter(|head| head.length == rest.len())?;
        Some(match frame::decode(head, rest).ok()? {
            Kept::Samples(at_ms, rows) => {
                Self::Samples { at_ms, rows: rows.into_iter().map(row).collect::<Option<_>>()? }
            }
            Kept::Events(events) => Self::Events(events.into()),
            Kept::Inventory(documents) => Self::Inventory(documents.into()),
        })
    }
}

fn event_cost(event: &Event) -> usize {
    let Fact::CommandFinished(result) = &event.fact else { return 1_024 };
    1_024 + result.observed.len() + result.output.head.len() + result.output.tail.len()
}

fn codes(row: &Row) -> (u8, String, Vec<Option<i64>>) {
    let values = row.values.iter().zip(row.kind.metrics());
    let codes = values.map(|(value, metric)| metric.resolution.encode((*value)?)).collect();
    (row.kind as u8, row.key.clone(), codes)
}

fn row((kind, key, codes): (u8, String, Vec<Option<i64>>)) -> Option<Row> {
    let kind = EntityKind::from_wire(kind)?;
    let values = codes.into_iter().zip(kind.metrics());
    let values = values.map(|(code, metric)| code.map(|code| metric.resolution.decode(code))).collect();
    Some(Row { kind, key, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::delta::Encoder;
    use fleetlight_protocol::samples::{GpuSample, Sample};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_comes_back_travels_as_the_same_bytes(watts in 0.0..700.0_f64, at_ms: i64) {
            let rows: Arc<[Row]> = vec![GpuSample { power_watts: Some(watts), ..Default::default() }.row("GPU-1")].into();
            let payload = Payload::Samples { at_ms, rows: Arc::clone(&rows) };
            let kept = Payload::decode(&payload.encode().expect("fits")).expect("own bytes");
            let Payload::Samples { at_ms: again, rows: kept } = kept else { unreachable!() };
            prop_assert_eq!(at_ms, again);
            let bytes = |rows: &[Row]| Encoder::default().encode(at_ms, rows).expect("encodes");
            prop_assert_eq!(bytes(&rows), bytes(&kept));
        }

        #[test]
        fn any_bytes_are_a_payload_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Payload::decode(&bytes);
        }
    }
}
