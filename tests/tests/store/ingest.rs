//! Ingest against a real database: shown at once, acked after the commit, also while it is away.

use crate::{Agent, Fixture, NOW_MS, gpu_row, host_row};
use fleetlight_controller::ingest::{Ingest, LiveSink};
use fleetlight_controller::limits::{DRAIN_WAIT, ENTITIES_PER_HOST, EVENT_BYTES, LEDGER_INTERVALS, PILE_ROWS};
use fleetlight_controller::transport::{AgentRef, Inbound, Payload, Stored};
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::{EntityKind, Row};
use fleetlight_protocol::uplink::Class;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

/// What the live view was shown.
#[derive(Debug, Default)]
struct Shown {
    what: Mutex<Vec<String>>,
    /// How far history was said to be behind; -1: not at all.
    behind_ms: AtomicI64,
}

impl Shown {
    fn note(&self, what: String) {
        self.what.lock().expect("not poisoned").push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.what.lock().expect("not poisoned"))
    }
}

impl LiveSink for Shown {
    fn samples(&self, host_id: i32, tick_ms: i64, _received_ms: i64, rows: &[Row]) {
        self.note(format!("samples {host_id} {tick_ms} {}", rows.len()));
    }
    fn replayed(&self, host_id: i32) {
        self.note(format!("replayed {host_id}"));
    }
    fn history_behind(&self, behind: Option<Duration>) {
        self.behind_ms.store(behind.map_or(-1, |behind| behind.as_millis() as i64), Ordering::Relaxed);
    }
    fn documents(&self, host_id: i32, documents: &[Document]) {
        self.note(format!("documents {host_id} {}", documents.len()));
    }
    fn events(&self, host_id: i32, events: &[Event]) {
        self.note(format!("events {host_id} {}", events.len()));
    }
    fn past_events(&self, host_id: i32, events: &[Event]) {
        self.note(format!("past events {host_id} {}", events.len()));
    }
}

/// A running ingest, and the side that transport has.
struct Running {
    fixture: Fixture,
    agent: Agent,
    shown: Arc<Shown>,
    reconnects: Arc<Mutex<Vec<Uuid>>>,
    inbound: mpsc::Sender<Inbound>,
    acks: mpsc::Receiver<Stored>,
    ack_to: mpsc::Sender<Stored>,
    task: JoinHandle<()>,
}

impl Running {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let agent = Agent::new(fixture.host("alpha").await);
        let (shown, reconnects) = (Arc::<Shown>::default(), Arc::<Mutex<Vec<Uuid>>>::default());
        let (inbound, receiver) = mpsc::channel(64);
        let (ack_to, acks) = mpsc::channel(2 * LEDGER_INTERVALS);
        let asked = reconnects.clone();
        let ingest = Ingest {
            store: fixture.store.clone(),
            live: shown.clone(),
            clock: Arc::new(|| NOW_MS),
            reconnect: Arc::new(move |agent_id| asked.lock().expect("not poisoned").push(agent_id)),
            closed: Arc::new(|_| {}),
        };
        let task = tokio::spawn(ingest.run(receiver));
        Self { fixture, agent, shown, reconnects, inbound, acks, ack_to, task }
    }

    async fn send(&self, seq: u64, class: Class, payload: Payload) {
        let Agent { host_id, agent_id, epoch } = self.agent;
        let agent = AgentRef { agent_id, host_id };
        let acks = self.ack_to.clone();
        let inbound = Inbound { agent, epoch, seq, class, received_ms: NOW_MS, payload, held_back: false, acks };
        self.inbound.send(inbound).await.expect("ingest runs");
    }

    async fn tick(&self, seq: u64) {
        let rows = vec![host_row(seq as f64), gpu_row("GPU-0", 1.0)];
        self.send(seq, Class::Live, Payload::Samples { tick_ms: NOW_MS - 1_000, rows }).await;
    }

    /// The next `count` acked intervals, in order.
    async fn acked(&mut self, count: usize) -> Vec<(u64, u64)> {
        let mut acked = Vec::new();
        while acked.len() < count {
            let ack = timeout(Duration::from_secs(60), self.acks.recv()).await.expect("acked in time").expect("open");
            assert_eq!(ack.epoch, self.agent.epoch);
            acked.push((ack.first, ack.last));
        }
        acked.sort_unstable();
        acked
    }

    /// Waits until history is said to be so far behind.
    async fn behind(&self, far: impl Fn(i64) -> bool) {
        let said = async {
            while !far(self.shown.behind_ms.load(Ordering::Relaxed)) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), said).await.expect("told in time");
    }

    async fn shown(&self, count: usize) -> Vec<String> {
        let mut shown = Vec::new();
        while shown.len() < count {
            shown.extend(self.shown.take());
            tokio::task::yield_now().await;
        }
        shown
    }
}

/// One that the store takes like any other.
pub fn event(subject: &str) -> Event {
    Event {
        id: Uuid::new_v4(),
        at_ms: NOW_MS,
        kind: EntityKind::Gpu,
        key: "GPU-0".into(),
        subject: subject.into(),
        severity: Severity::Crit,
        fact: Fact::GpuBack,
    }
}

#[tokio::test]
async fn batches_are_shown_stored_and_acked() {
    let mut running = Running::new().await;
    let host = running.agent.host_id;
    running.tick(1).await;
    let rows = vec![host_row(2.0)];
    running.send(2, Class::Replay, Payload::Samples { tick_ms: NOW_MS - 60_000, rows }).await;
    running.send(3, Class::Facts, Payload::Events(vec![event("gpu0")])).await;
    running.send(4, Class::Replay, Payload::Evicted { last: 8 }).await;
    running.tick(1).await;
    assert_eq!(running.acked(5).await, [(1, 1), (1, 1), (2, 2), (3, 3), (4, 8)], "a repeat is acked too");
    let samples = format!("samples {host} {} 2", NOW_MS - 1_000);
    let shown = running.shown(4).await;
    assert_eq!(shown, [samples.clone(), format!("replayed {host}"), format!("events {host} 1"), samples]);
    assert_eq!(running.fixture.count("host_hot").await, 2);

    // Transport ends: what came is stored, and the task ends.
    running.tick(9).await;
    drop(running.inbound);
    timeout(Duration::from_secs(30), running.task).await.expect("in time").expect("ends");
    assert_eq!(running.fixture.count("host_hot").await, 3);
}

#[tokio::test]
async fn the_live_view_goes_on_while_the_database_is_away() {
    let mut running = Running::new().await;
    running.tick(1).await;
    running.acked(1).await;
    running.shown(1).await;
    running.fixture.take_away().await;
    for seq in 2..12 {
        running.tick(seq).await;
    }
    assert_eq!(running.shown(10).await.len(), 10);
    assert!(running.acks.try_recv().is_err(), "nothing is acked that is not stored");
    running.behind(|behind_ms| behind_ms >= 5_000).await;
    running.fixture.bring_back().await;
    let expected: Vec<(u64, u64)> = (2..12).map(|seq| (seq, seq)).collect();
    assert_eq!(running.acked(10).await, expected);
    running.behind(|behind_ms| behind_ms == -1).await;
    assert_eq!(running.fixture.count("host_hot").await, 11);
    assert!(running.reconnects.lock().expect("not poisoned").is_empty(), "all of it was held");
}

#[tokio::test]
async fn whoever_was_turned_away_is_asked_to_send_again() {
    let mut running = Running::new().await;
    running.fixture.take_away().await;
    let row = Row { kind: EntityKind::Core, key: "cpu0".into(), values: vec![Some(1.0)] };
    let batch = 8_000;
    // One host may hold as much as it leaves for others.
    let fitting = u64::from((PILE_ROWS / batch - 1) / 2 + 1);
    for seq in 0..fitting + 5 {
        let rows = vec![row.clone(); batch as usize];
        running.send(seq, Class::Live, Payload::Samples { tick_ms: NOW_MS, rows }).await;
    }
    running.shown(fitting as usize + 5).await;
    running.fixture.bring_back().await;
    let acked = running.acked(fitting as usize).await;
    assert_eq!(acked, (0..fitting).map(|seq| (seq, seq)).collect::<Vec<_>>());
    let deadline = Instant::now() + Duration::from_secs(30);
    while running.reconnects.lock().expect("not poisoned").is_empty() && Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    assert_eq!(*running.reconnects.lock().expect("not poisoned"), [running.agent.agent_id]);
    // It learns what is missing, and sends it.
    let agent = running.agent;
    let stored = running.fixture.store.stored(agent.host_id, &[agent.epoch]).await.expect("asked");
    assert_eq!(stored[0].1.intervals(), [(0, fitting - 1)]);
    running.send(fitting, Class::Replay, Payload::Samples { tick_ms: NOW_MS, rows: vec![row] }).await;
    assert_eq!(running.acked(1).await, [(fitting, fitting)]);
}

#[tokio::test]
async fn a_refused_batch_does_not_stop_the_others() {
    let mut running = Running::new().await;
    sqlx::raw_sql("alter table events add check (subject <> 'poison')")
        .execute(&running.fixture.pool)
        .await
        .expect("a trap");
    for seq in 1..=9 {
        let subject = if seq == 5 { "poison" } else { "fine" };
        running.send(seq, Class::Facts, Payload::Events(vec![event(subject)])).await;
    }
    let expected: Vec<(u64, u64)> = (1..=9).map(|seq| (seq, seq)).collect();
    assert_eq!(running.acked(9).await, expected, "the offender is acked: it would only come again");
    assert_eq!(running.fixture.count("events").await, 8);
    assert_eq!(running.fixture.count("quarantine where reason = 'refused' and last_seq = 5").await, 1);
    assert_eq!(running.fixture.count("ledger where seqs = '{[1,10)}'").await, 1);
}

#[tokio::test]
async fn what_one_host_may_not_have_is_counted_and_the_rest_is_kept() {
    let mut running = Running::new().await;
    let core = |number: usize| Row { kind: EntityKind::Core, key: format!("cpu{number}"), values: vec![Some(1.0)] };
    // At the bound, then a batch of which most is beyond it.
    for (seq, first) in (0..).zip((0..ENTITIES_PER_HOST + 4_000).step_by(4_096)) {
        let rows = (first..first + 4_096).map(core).collect();
        running.send(seq, Class::Live, Payload::Samples { tick_ms: NOW_MS, rows }).await;
        running.acked(1).await;
    }
    running.send(9, Class::Live, Payload::Samples { tick_ms: NOW_MS, rows: vec![core(0), core(99_999)] }).await;
    let long = Event { subject: "x".repeat(EVENT_BYTES), ..event("long") };
    running.send(10, Class::Facts, Payload::Events(vec![event("short"), long])).await;
    running.send(11, Class::Live, Payload::Samples { tick_ms: i64::MAX, rows: vec![core(0)] }).await;
    // Sent twice, counted once.
    running.send(9, Class::Live, Payload::Samples { tick_ms: NOW_MS, rows: vec![core(0), core(99_999)] }).await;
    running.acked(4).await;
    assert_eq!(running.fixture.count("entities").await, ENTITIES_PER_HOST as i64);
    assert_eq!(running.fixture.count("core_hot").await, ENTITIES_PER_HOST as i64 + 1);
    assert_eq!(running.fixture.count("events").await, 1);
    let refusals = running.fixture.store.refusals(running.agent.host_id, NOW_MS - 1).await.expect("asked");
    let mut told: Vec<_> = refusals.iter().map(|told| (told.reason.as_str(), told.rows, told.last_ms)).collect();
    told.sort_unstable();
    assert_eq!(told, [("entities", 4_097, NOW_MS), ("size", 1, NOW_MS), ("time", 1, NOW_MS)]);
    assert!(refusals.iter().all(|told| !told.last_detail.is_empty()));
}

#[tokio::test]
async fn an_agent_with_too_many_gaps_sends_the_rest_later() {
    let mut running = Running::new().await;
    let seqs = || (0..).step_by(2).take(LEDGER_INTERVALS + 1);
    for seq in seqs() {
        running.send(seq, Class::Facts, Payload::Events(vec![event("isolated")])).await;
    }
    let acked = running.acked(LEDGER_INTERVALS).await;
    assert_eq!(acked.len(), LEDGER_INTERVALS);
    // A number between two intervals joins them; then the one that was withheld is taken.
    running.send(1, Class::Facts, Payload::Events(vec![event("between")])).await;
    assert_eq!(running.acked(1).await, [(1, 1)]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while running.reconnects.lock().expect("not poisoned").is_empty() && Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    assert_eq!(*running.reconnects.lock().expect("not poisoned"), [running.agent.agent_id]);
    let last = 2 * LEDGER_INTERVALS as u64;
    running.send(last, Class::Facts, Payload::Events(vec![event("withheld")])).await;
    assert_eq!(running.acked(1).await, [(last, last)]);
    assert_eq!(running.fixture.count("events").await, LEDGER_INTERVALS as i64 + 2);
}

#[tokio::test]
async fn a_stopping_controller_does_not_wait_for_ever() {
    let running = Running::new().await;
    running.fixture.take_away().await;
    running.tick(1).await;
    running.shown(1).await;
    drop(running.inbound);
    // One attempt may be under way: it waits for a connection first.
    timeout(DRAIN_WAIT * 4, running.task).await.expect("gives up").expect("ends");
}
