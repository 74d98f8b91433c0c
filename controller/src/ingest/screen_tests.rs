use super::*;
use crate::transport::AgentRef;
use fleetlight_protocol::command::{CommandResult, Outcome, Output};
use fleetlight_protocol::document::{Body, CollectorDocument};
use fleetlight_protocol::event::Severity;
use fleetlight_protocol::limits::{LAST_LINE_CHARS, LAST_LINES, TEXT_CHARS};
use fleetlight_protocol::uplink::Class;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::advance;
use uuid::Uuid;

fn arrived(host_id: i32, payload: Payload) -> Inbound {
    let agent = AgentRef { agent_id: Uuid::nil(), host_id };
    let (acks, _) = mpsc::channel(1);
    Inbound { agent, epoch: Uuid::nil(), seq: 1, class: Class::Live, received_ms: 0, payload, held_back: false, acks }
}

fn rows(names: std::ops::Range<usize>) -> Payload {
    let row = |name| Row { kind: EntityKind::Container, key: format!("c{name}"), values: vec![Some(1.0)] };
    Payload::Samples { tick_ms: 0, rows: names.map(row).collect() }
}

fn documents(names: std::ops::Range<usize>, reason: &str) -> Payload {
    let body = Body::Collector(CollectorDocument { reason: reason.into(), ..Default::default() });
    let document = |name| Document {
        kind: EntityKind::Collector,
        key: format!("d{name}"),
        observed_ms: 0,
        body: Some(body.clone()),
    };
    Payload::Inventory(names.map(document).collect())
}

/// How many came through, and what was said of the others.
fn pass(screen: &Screen, host_id: i32, payload: Payload) -> (usize, Vec<LeftOut>) {
    let mut arrived = arrived(host_id, payload);
    let out = screen.pass(&mut arrived);
    let left = match arrived.payload {
        Payload::Samples { rows, .. } => rows.len(),
        Payload::Events(events) => events.len(),
        Payload::Inventory(documents) => documents.len(),
        Payload::Evicted { .. } => 0,
    };
    (left, out)
}

#[tokio::test(start_paused = true)]
async fn a_host_that_names_entities_without_end_keeps_those_that_it_had() {
    let screen = Screen::default();
    assert_eq!(pass(&screen, 1, rows(0..ENTITIES_PER_HOST)), (ENTITIES_PER_HOST, vec![]));
    let (left, out) = pass(&screen, 1, rows(ENTITIES_PER_HOST - 10..ENTITIES_PER_HOST + 90));
    assert_eq!((left, out[0].reason, out[0].rows), (10, Reason::Entities, 90));
    assert_eq!(pass(&screen, 2, rows(0..100)), (100, vec![]), "another host has room of its own");
    advance(ENTITY_FORGOTTEN_AFTER - Duration::from_secs(1)).await;
    assert_eq!(pass(&screen, 1, rows(0..10)).0, 10);
    advance(SCREEN_SWEEP_EVERY).await;
    let fresh = ENTITIES_PER_HOST..2 * ENTITIES_PER_HOST;
    assert_eq!(pass(&screen, 1, rows(fresh)).0, ENTITIES_PER_HOST - 10, "what was not seen for long made room");
}

#[tokio::test]
async fn a_days_history_at_once_is_kept_and_takes_no_room_of_the_present() {
    let screen = Screen::default();
    let mut kept = 0;
    for hour in 0..24 {
        let mut replayed = Inbound { class: Class::Replay, ..arrived(1, rows(hour * 5_000..(hour + 1) * 5_000)) };
        assert_eq!(screen.pass(&mut replayed), vec![], "hour {hour}");
        kept += if let Payload::Samples { rows, .. } = replayed.payload { rows.len() } else { 0 };
    }
    assert_eq!(kept, 24 * 5_000);
    assert_eq!(pass(&screen, 1, rows(500_000..500_100)), (100, vec![]), "what begins now is seen");
    let mut flood = Inbound { class: Class::Replay, ..arrived(1, rows(0..2 * REPLAYED_ENTITIES_PER_HOST)) };
    assert_eq!(screen.pass(&mut flood)[0].rows, REPLAYED_ENTITIES_PER_HOST as u64);
}

#[tokio::test]
async fn documents_are_bounded_in_count_and_in_bytes() {
    let screen = Screen::default();
    assert_eq!(pass(&screen, 1, documents(0..DOCUMENTS_PER_HOST, "")).0, DOCUMENTS_PER_HOST);
    let (left, out) = pass(&screen, 1, documents(DOCUMENTS_PER_HOST - 1..DOCUMENTS_PER_HOST + 1, "changed"));
    assert_eq!((left, out[0].reason, out[0].rows), (1, Reason::Documents, 1), "one that it has may change");
    let gone = Document { kind: EntityKind::Collector, key: "d0".into(), observed_ms: 0, body: None };
    pass(&screen, 1, Payload::Inventory(vec![gone.clone()]));
    assert_eq!(pass(&screen, 1, documents(9_000_000..9_000_001, "")).0, 1, "one that is gone makes room");
    screen.ended(1, &Document { key: "d1".into(), ..gone });
    assert_eq!(pass(&screen, 1, documents(9_000_001..9_000_003, "")).0, 1);

    let large = "x".repeat(DOCUMENT_BYTES - 1_000);
    let fitting = DOCUMENT_BYTES_PER_HOST / (DOCUMENT_BYTES - 1_000);
    let (left, out) = pass(&screen, 2, documents(0..fitting + 5, &large));
    assert!((fitting - 1..=fitting).contains(&left), "{left} of {fitting}");
    assert_eq!(out[0].reason, Reason::Documents);
    let (left, out) = pass(&screen, 3, documents(0..1, &"x".repeat(DOCUMENT_BYTES)));
    assert_eq!((left, out[0].reason), (0, Reason::Size));
}

#[tokio::test]
async fn the_largest_honest_event_passes_and_a_larger_one_is_left_out() {
    let event = |line: String| Event {
        id: Uuid::nil(),
        at_ms: 0,
        kind: EntityKind::Container,
        key: "c".repeat(64),
        subject: "\u{1}".repeat(TEXT_CHARS),
        severity: Severity::Warn,
        fact: Fact::ContainerDied { exit_code: None, oom_killed: false, last_lines: vec![line; LAST_LINES] },
    };
    let (honest, broken) = (event("\u{1}".repeat(LAST_LINE_CHARS)), event("x".repeat(EVENT_BYTES / LAST_LINES)));
    let (left, out) = pass(&Screen::default(), 1, Payload::Events(vec![honest, broken]));
    assert_eq!((left, out[0].reason, out[0].rows), (1, Reason::Size, 1), "the rest of the batch is kept");
}

#[tokio::test]
async fn what_became_of_a_command_is_cut_and_never_left_out() {
    let noise = "\u{1b}€".repeat(EVENT_BYTES);
    let result = CommandResult {
        command: Uuid::nil(),
        outcome: Outcome::Failed,
        asked: noise.clone(),
        observed: noise.clone(),
        reason: Some(noise.clone()),
        began_ms: None,
        ended_ms: 0,
        exit_code: None,
        output: Output { head: noise.clone(), tail: noise.clone(), dropped_bytes: 1 },
    };
    let mut arrived = arrived(
        1,
        Payload::Events(vec![Event {
            id: Uuid::nil(),
            at_ms: 0,
            kind: EntityKind::Host,
            key: String::new(),
            subject: "check".into(),
            severity: Severity::Info,
            fact: Fact::CommandFinished(Box::new(result)),
        }]),
    );
    assert_eq!(Screen::default().pass(&mut arrived), vec![]);
    let Payload::Events(events) = arrived.payload else { unreachable!("events") };
    let Fact::CommandFinished(result) = &events[0].fact else { unreachable!("a result") };
    assert!(result.observed.len() <= COMMAND_WORDS && result.observed.len() > COMMAND_WORDS - 4);
    let kept = result.output.head.len() + result.output.tail.len();
    assert!(kept <= OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES);
    assert_eq!(result.output.dropped_bytes as usize, 1 + 2 * noise.len() - kept);
}

#[tokio::test]
async fn what_was_held_back_is_counted_and_kept() {
    let mut arrived = Inbound { held_back: true, ..arrived(1, rows(0..3)) };
    let out = Screen::default().pass(&mut arrived);
    assert_eq!((out.len(), out[0].reason, out[0].rows), (1, Reason::Rate, 0));
    assert!(matches!(arrived.payload, Payload::Samples { rows, .. } if rows.len() == 3));
}
