use super::*;
use crate::samples::{ContainerSample, GpuSample, Sample};
use proptest::prelude::*;

fn rounded(row: &Row) -> Row {
    let values = row.values.iter().zip(row.kind.metrics()).map(|(value, metric)| {
        let code = metric.resolution.encode((*value)?)?;
        Some(metric.resolution.decode(code))
    });
    Row { kind: row.kind, key: row.key.clone(), values: values.collect() }
}

fn any_row() -> impl Strategy<Value = Row> {
    (0..EntityKind::ALL.len(), "[a-c/]{0,3}").prop_flat_map(|(kind, key)| {
        let kind = EntityKind::ALL[kind];
        let value = proptest::option::of(-1e12..1e12_f64);
        proptest::collection::vec(value, kind.metrics().len()).prop_map(move |values| Row {
            kind,
            key: key.clone(),
            values,
        })
    })
}

proptest! {
    #[test]
    fn a_stream_returns_what_went_in(
        batches in proptest::collection::vec((any::<i64>(), proptest::collection::vec(any_row(), 0..12)), 0..12),
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for (tick_ms, rows) in batches {
            let bytes = encoder.encode(tick_ms, &rows).expect("within bounds");
            let decoded = decoder.decode(&bytes).expect("own bytes");
            prop_assert_eq!(decoded, (tick_ms, rows.iter().map(rounded).collect()));
        }
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error(batches in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4)) {
        let mut decoder = Decoder::default();
        for bytes in batches {
            if decoder.decode(&bytes).is_err() {
                break;
            }
        }
    }

    #[test]
    fn a_cut_batch_is_an_error(rows in proptest::collection::vec(any_row(), 1..6), cut in any::<prop::sample::Index>()) {
        let bytes = Encoder::default().encode(5_000, &rows).expect("within bounds");
        let cut = cut.index(bytes.len());
        prop_assert!(Decoder::default().decode(&bytes[..cut]).is_err());
    }
}

#[test]
fn an_unchanged_row_costs_its_bitmap() {
    let row = GpuSample { utilization_percent: Some(97.0), ..Default::default() }.row("GPU-1");
    let mut encoder = Encoder::default();
    encoder.encode(5_000, std::slice::from_ref(&row)).expect("first");
    let again = encoder.encode(10_000, &[row]).expect("second");
    assert_eq!(again.len(), 2 + 1 + 1 + 4, "tick, count, entity, bitmap of 30 metrics");
}

#[test]
fn absent_is_not_zero() {
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::default();
    for value in [Some(0.0), None, Some(0.0), Some(5.0), None] {
        let row = ContainerSample { pids: value, ..Default::default() }.row("c");
        let bytes = encoder.encode(0, &[row]).expect("encodes");
        let (_, rows) = decoder.decode(&bytes).expect("decodes");
        assert_eq!(rows[0].values[7], value);
    }
}

#[test]
fn wire_bytes_are_pinned() {
    let row = ContainerSample { cpu_percent: Some(12.3), pids: Some(4.0), ..Default::default() }.row("ab");
    let mut encoder = Encoder::default();
    let first = encoder.encode(5_000, std::slice::from_ref(&row)).expect("encodes");
    assert_eq!(first, [0x90, 0x4e, 1, 0, 8, 2, b'a', b'b', 0x81, 0, 0xfe, 0x0f, 8]);
}

#[test]
fn oversize_claims_are_refused_before_they_cost() {
    let mut rows = Vec::new();
    put_signed(&mut rows, 0);
    put_unsigned(&mut rows, u64::MAX);
    assert_eq!(Decoder::default().decode(&rows), Err(DeltaError::TooManyRows(u64::MAX)));
}
