//! Runs one collector: its ticks, its deadline, its own measurements and state.

use super::health::Health;
use super::{Collector, Outbox, Reading, Unavailable};
use crate::tick::Ticks;
use fleetlight_protocol::document::CollectorState;
use fleetlight_protocol::samples::{CollectorSample, Row, Sample};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
