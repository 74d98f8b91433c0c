//! The sample codec over the batches of one stream: what a decoder accepts, an encoder can say,
//! and it comes back rounded to the catalogue's resolution.
#![no_main]

use fleetlight_fuzz::{batches, join_batches, seed};
use fleetlight_protocol::delta::{Decoder, Encoder};
use fleetlight_protocol::samples::{ContainerSample, EntityKind, GpuSample, HostSample, Row, Sample};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed([seed_stream()]), |data: &[u8]| {
    let (mut decoder, mut encoder, mut second) = (Decoder::default(), Encoder::default(), Decoder::default());
    for batch in batches(data) {
        let Ok((tick_ms, rows)) = decoder.decode(batch) else { return };
        if encoder.is_full(rows.len()) {
            return;
        }
        let bytes = encoder.encode(tick_ms, &rows).expect("an encoder can say what a decoder accepted");
        let (second_tick_ms, second_rows) = second.decode(&bytes).expect("our own batch is read");
        assert_eq!(second_tick_ms, tick_ms);
        assert_eq!(second_rows, rows.iter().map(rounded).collect::<Vec<_>>());
    }
});

fn rounded(row: &Row) -> Row {
    let values = row.values.iter().zip(row.kind.metrics()).map(|(value, metric)| {
        let code = metric.resolution.encode((*value)?)?;
        Some(metric.resolution.decode(code))
    });
    Row { kind: row.kind, key: row.key.clone(), values: values.collect() }
}

fn seed_stream() -> Vec<u8> {
    let mut encoder = Encoder::default();
    let every = |kind: EntityKind| Row {
        kind,
        key: "every".into(),
        values: (0..kind.metrics().len()).map(|metric| Some(metric as f64)).collect(),
    };
    let ticks = [
        vec![HostSample::default().row(""), GpuSample::default().row("GPU-1"), ContainerSample::default().row("c1")],
        vec![every(EntityKind::Host), every(EntityKind::Gpu), every(EntityKind::Container), every(EntityKind::Core)],
        vec![GpuSample { utilization_percent: Some(97.0), ..Default::default() }.row("GPU-1")],
    ];
    let encoded = ticks.iter().zip(1..).map(|(rows, tick)| encoder.encode(tick * 5_000, rows).expect("within bounds"));
    join_batches(&encoded.collect::<Vec<_>>())
}
