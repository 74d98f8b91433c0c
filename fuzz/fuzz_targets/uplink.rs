//! Frames of an agent's uplink streams, as the controller reads them.
#![no_main]

use fleetlight_fuzz::{message, seed_messages};
use fleetlight_protocol::document::{Body, CollectorDocument, ContainerDocument, Document, GpuDocument, HostDocument};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::{EntityKind, MountState};
use fleetlight_protocol::uplink::{Begin, Class, Uplink};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(init: seed_messages(&seeds()), |data: &[u8]| message::<Uplink>(data));

fn seeds() -> Vec<Uplink> {
    let mut seeds = vec![
        Uplink::Begin(Begin { class: Class::Live, epoch: Uuid::nil() }),
        Uplink::Samples(7, vec![0, 1, 0, 0]),
        Uplink::Evicted(3, 9),
        Uplink::Inventory(2, documents()),
    ];
    seeds.extend(facts().into_iter().map(|fact| Uplink::Events(1, vec![event(fact)])));
    seeds
}

fn event(fact: Fact) -> Event {
    Event {
        id: Uuid::nil(),
        at_ms: 1_700_000_000_000,
        kind: EntityKind::Container,
        key: "0123".into(),
        subject: "web".into(),
        severity: Severity::Warn,
        fact,
    }
}

fn facts() -> Vec<Fact> {
    let last_lines = vec!["out of memory".to_owned()];
    vec![
        Fact::AgentStarted { version: "0.1.0".into() },
        Fact::ContainerDied { exit_code: Some(137), oom_killed: true, last_lines: last_lines.clone() },
        Fact::CrashLoopBegan { deaths: 3, window_seconds: 60, last_exit_code: None, last_lines },
        Fact::Xid { code: 79, meaning: "fallen off the bus".into() },
        Fact::MountChanged { from: MountState::Ok, to: MountState::Hung, reason: "no answer".into() },
        Fact::Unknown,
    ]
}

fn documents() -> Vec<Document> {
    let document = |kind, body| Document { kind, key: "k".into(), observed_ms: 1, body };
    vec![
        document(EntityKind::Host, Some(Body::Host(HostDocument::default()))),
        document(EntityKind::Gpu, Some(Body::Gpu(Box::new(GpuDocument::default())))),
        document(EntityKind::Container, Some(Body::Container(Box::new(ContainerDocument::default())))),
        document(EntityKind::Collector, Some(Body::Collector(CollectorDocument::default()))),
        document(EntityKind::Mount, None),
    ]
}
