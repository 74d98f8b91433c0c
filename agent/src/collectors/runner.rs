//! Runs one collector: its ticks, its deadline, its own measurements and state.

use super::{Collector, Outbox, Reading, Unavailable};
use crate::tick::{Ticks, wall_ms};
use fleetlight_protocol::document::{Body, CollectorDocument, CollectorState, Document};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::{CollectorSample, EntityKind, Row, Sample};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Runs `collector` every `interval` until `stop`. Ends early only when nobody listens any more.
pub async fn run<C: Collector>(
    mut collector: C,
    interval: Duration,
    phase: Duration,
    outbox: Outbox,
    stop: CancellationToken,
) {
    let mut ticks = Ticks::new(interval, phase);
    let mut health = Health::new(C::NAME, interval);
    let mut missed = 0_u64;
    loop {
        let (tick, skipped) = tokio::select! {
            next = ticks.next() => next,
            () = stop.cancelled() => return,
        };
        missed += skipped;
        let began = Instant::now();
        let deadline = collector.deadline(interval);
        let result = tokio::time::timeout(deadline, collector.collect(tick)).await.unwrap_or_else(|_| {
            Err(Unavailable {
                state: CollectorState::Stuck,
                reason: format!("{} has not answered within {} ms", C::NAME, deadline.as_millis()),
            })
        });
        let (mut rows, trouble) = match result {
            Ok(rows) => (rows, collector.trouble()),
            Err(why) => {
                missed += u64::from(why.state != CollectorState::Absent);
                (Vec::new(), Some(why))
            }
        };
        let (state, reason) = trouble.map_or((CollectorState::Ok, String::new()), |why| (why.state, why.reason));
        rows.push(own_row::<C>(began - tick.due, began.elapsed(), missed));
        let mut readings = vec![Reading::Rows { collector: C::NAME, at_ms: tick.at_ms, rows }];
        readings.extend(health.change(state, reason));
        for reading in readings {
            if outbox.send(reading).await.is_err() {
                return;
            }
        }
    }
}

fn own_row<C: Collector>(lateness: Duration, duration: Duration, missed: u64) -> Row {
    CollectorSample {
        duration_seconds: Some(duration.as_secs_f64()),
        lateness_seconds: Some(lateness.as_secs_f64()),
        missed_ticks: Some(missed as f64),
    }
    .row(C::NAME)
}

/// What was last said of the collector.
struct Health {
    name: &'static str,
    interval: Duration,
    said: Option<(CollectorState, String)>,
}

impl Health {
    fn new(name: &'static str, interval: Duration) -> Self {
        Self { name, interval, said: None }
    }

    /// The document and event of a change; nothing if nothing changed.
    fn change(&mut self, state: CollectorState, reason: String) -> Vec<Reading> {
        if self.said.as_ref().is_some_and(|(old, why)| *old == state && *why == reason) {
            return Vec::new();
        }
        let from = self.said.replace((state, reason.clone())).map_or(CollectorState::Ok, |(old, _)| old);
        match state {
            CollectorState::Ok => tracing::info!(collector = self.name, "collecting"),
            _ => tracing::warn!(collector = self.name, ?state, reason, "not collecting"),
        }
        let now = wall_ms();
        let interval_ms = self.interval.as_millis() as u32;
        let body = Body::Collector(CollectorDocument { state, reason: reason.clone(), interval_ms });
        let document =
            Document { kind: EntityKind::Collector, key: self.name.into(), observed_ms: now, body: Some(body) };
        let mut readings = vec![Reading::Documents(vec![document])];
        if from != state && state != CollectorState::Absent {
            readings.push(Reading::Events(vec![Event {
                id: Uuid::now_v7(),
                at_ms: now,
                kind: EntityKind::Collector,
                key: self.name.into(),
                subject: self.name.into(),
                severity: if state == CollectorState::Ok { Severity::Info } else { Severity::Warn },
                fact: Fact::CollectorChanged { from, to: state, reason },
            }]));
        }
        readings
    }
}
