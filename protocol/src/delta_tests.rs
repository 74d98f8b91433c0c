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
}

#[test]
fn rows_that_do_not_change_cost_next_to_nothing() {
    let rows: Vec<_> = (0..100)
        .map(|gpu| GpuSample { utilization_percent: Some(97.0), ..Default::default() }.row(format!("GPU-{gpu}")))
        .collect();
    let mut encoder = Encoder::default();
    for tick in 1..20 {
        encoder.encode(tick * 5_000, &rows).expect("within bounds");
    }
    let again = encoder.encode(20 * 5_000, &rows).expect("within bounds");
    assert!(again.len() <= 24, "{} bytes for 100 rows of 30 metrics", again.len());
}

#[test]
fn busy_containers_cost_about_a_byte_a_value() {
    let mut encoder = Encoder::default();
    let mut random = 1_u64;
    let mut noise = |around: f64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        around * (0.8 + 0.4 * (random >> 40) as f64 / (1_u64 << 24) as f64)
    };
    let mut bytes = 0;
    for tick in 1..=60 {
        let rows: Vec<_> = (0..25)
            .map(|number| {
                let sample = ContainerSample {
                    cpu_percent: Some(noise(8.0)),
                    memory_used_bytes: Some(noise(40e6)),
                    memory_cache_bytes: Some(120e6),
                    receive_bytes_per_second: Some(noise(90_000.0)),
                    transmit_bytes_per_second: Some(noise(45_000.0)),
                    pids: Some(12.0),
                    ..Default::default()
                };
                sample.row(format!("{number:064x}"))
            })
            .collect();
        let batch = encoder.encode(tick * 5_000, &rows).expect("within bounds");
        if tick > 12 {
            bytes += batch.len();
        }
    }
    let each = bytes as f64 / (48 * 25 * 6) as f64;
    assert!(each < 0.85, "{each} bytes a value");
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
    assert_eq!(first, [203, 29, 254, 219, 120, 250, 34, 71, 239, 138, 217, 91]);
}

#[test]
fn oversize_claims_are_refused_before_they_cost() {
    let mut state = State::default();
    let mut writer = Writer::new();
    state.tick(&mut writer, 0);
    writer.bit(&mut state.same_rows, false);
    state.numbers.signed(&mut writer, -1);
    assert_eq!(Decoder::default().decode(&writer.finish()), Err(DeltaError::TooManyRows(u64::MAX)));
}

#[test]
fn a_batch_with_bytes_behind_it_is_refused() {
    let row = ContainerSample { pids: Some(1.0), ..Default::default() }.row("c");
    let mut bytes = Encoder::default().encode(0, &[row]).expect("encodes");
    bytes.push(0);
    assert_eq!(Decoder::default().decode(&bytes), Err(DeltaError::Length));
}
