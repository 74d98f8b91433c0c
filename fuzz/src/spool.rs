//! The spool's files, as an agent finds them at its start: after a power cut, on a disk that fails.

#[path = "../../agent/src/spool/format.rs"]
mod format;
#[path = "../../agent/src/spool/payload.rs"]
mod payload;

use fleetlight_protocol::samples::{EntityKind, Row};
use format::{HEAD_BYTES, Header, Name};
use payload::Payload;

/// Reads bytes as a file's name, as a segment and as a payload. What is read, written and read again is itself.
pub fn read(data: &[u8]) {
    if let Some(name) = std::str::from_utf8(data).ok().and_then(|text| text.parse::<Name>().ok()) {
        assert_eq!(name.to_string().as_bytes(), data);
    }
    if let Header::Good { made_ms } = format::parse_header(data) {
        assert_eq!(format::parse_header(&format::header(made_ms)), Header::Good { made_ms });
    }
    let mut rest = data;
    while let Some((seq, payload)) = format::parse_record(rest) {
        assert_eq!(format::peek_seq(rest), Some(seq));
        assert_eq!(format::record(seq, payload), rest[..HEAD_BYTES + payload.len()]);
        check(payload);
        rest = &rest[HEAD_BYTES + payload.len()..];
    }
    check(data);
}

fn check(bytes: &[u8]) {
    let Some(payload) = Payload::decode(bytes) else { return };
    assert!(payload.cost() >= 64, "{:?}", payload.lane());
    // What was packed tightly may not fit when it is packed anew.
    let Ok(first) = payload.encode() else { return };
    let again = Payload::decode(&first).expect("our own");
    assert_eq!(again.encode().expect("written before"), first, "a payload changed on its way");
}

/// A name, a header, payloads, and a segment of them.
pub fn seeds() -> Vec<Vec<u8>> {
    let kind = EntityKind::Host;
    let row = Row { kind, key: String::new(), values: vec![Some(1.5); kind.metrics().len()] };
    let payloads = [
        Payload::Samples { at_ms: 1_795_258_420_000, rows: vec![row].into() },
        Payload::Events(Vec::new().into()),
        Payload::Inventory(Vec::new().into()),
    ]
    .map(|payload| payload.encode().expect("fits a frame"));
    let segment = (1..).zip(&payloads).flat_map(|(seq, payload)| format::record(seq, payload)).collect();
    let name = "000000000000000a-facts-00000000000000000000000000000001.seg";
    [name.as_bytes().to_vec(), format::header(5).to_vec(), segment].into_iter().chain(payloads).collect()
}
