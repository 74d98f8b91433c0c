//! Gathers the readings of one tick into one batch.
//!
//! A tick's batch leaves as soon as every collector that was in time at the tick before has
//! reported, and after [`BATCH_WAIT`] at the latest; who comes later gets a batch of its own. Facts
//! go at once. One batch a tick keeps the wire small: a QUIC packet costs more than twenty rows.

use crate::collectors::Reading;
use crate::inventory::Inventory;
use crate::limits::{BATCH_WAIT, FACTS_BATCH_BYTES};
use crate::spool::{Payload, Spool};
use fleetlight_protocol::document::Document;
use fleetlight_protocol::limits::{DOCUMENTS_PER_BATCH, EVENTS_PER_BATCH, ROWS_PER_BATCH};
use fleetlight_protocol::samples::Row;
use serde::Serialize;
use std::collections::HashSet;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Moves readings into the spool until every collector has gone.
pub async fn run(mut readings: mpsc::Receiver<Reading>, inventory: Inventory, spool: Spool) {
    let mut open = Open::default();
    loop {
        let reading = match open.until {
            Some(until) => tokio::select! {
                reading = readings.recv() => reading,
                () = sleep_until(until) => {
                    open.close(&spool);
                    continue;
                }
            },
            None => readings.recv().await,
        };
        match reading {
            Some(Reading::Rows { collector, at_ms, rows }) => open.add(collector, at_ms, rows, &spool),
            Some(Reading::Documents(documents)) => push_documents(&inventory.absorb(documents), &spool),
            Some(Reading::Events(events)) => {
                for events in pieces(&events, EVENTS_PER_BATCH) {
                    spool.push(Payload::Events(events.into()));
                }
            }
            None => {
                open.close(&spool);
                return;
            }
        }
    }
}

/// Puts documents into the spool, in batches within their bound.
pub fn push_documents(documents: &[Document], spool: &Spool) {
    for documents in pieces(documents, DOCUMENTS_PER_BATCH) {
        spool.push(Payload::Inventory(documents.into()));
    }
}

/// Runs of at most `most` facts and [`FACTS_BATCH_BYTES`]; a fact that alone is larger is left out.
fn pieces<F: Serialize>(facts: &[F], most: usize) -> Vec<&[F]> {
    let (mut pieces, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (index, fact) in facts.iter().enumerate() {
        // Facts are plain data: writing them cannot fail.
        let size = rmp_serde::to_vec_named(fact).map_or(0, |written| written.len());
        let refused = size > FACTS_BATCH_BYTES;
        if refused || index - from == most || bytes + size > FACTS_BATCH_BYTES {
            pieces.push(&facts[from..index]);
            (from, bytes) = (index + usize::from(refused), 0);
        }
        if refused {
            tracing::error!(size, "a fact has more than {FACTS_BATCH_BYTES} bytes and is left out; please report this");
        } else {
            bytes += size;
        }
    }
    pieces.push(&facts[from..]);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The tick that is being gathered.
#[derive(Default)]
struct Open {
    at_ms: i64,
    rows: Vec<Row>,
    reported: HashSet<&'static str>,
    /// Who reported in time at the tick before.
    expected: HashSet<&'static str>,
    until: Option<Instant>,
}

impl Open {
    fn add(&mut self, collector: &'static str, at_ms: i64, rows: Vec<Row>, spool: &Spool) {
        if self.until.is_some() && at_ms != self.at_ms {
            self.close(spool);
        }
        if self.until.is_none() && at_ms == self.at_ms {
            // Too late for its tick's batch, and expected again from now on.
            self.expected.insert(collector);
            return push_rows(at_ms, &rows, spool);
        }
        self.at_ms = at_ms;
        self.until.get_or_insert_with(|| Instant::now() + BATCH_WAIT);
        self.rows.extend(rows);
        self.reported.insert(collector);
        if !self.expected.is_empty() && self.expected.is_subset(&self.reported) {
            self.close(spool);
        }
    }

    fn close(&mut self, spool: &Spool) {
        if self.until.take().is_none() {
            return;
        }
        self.expected = std::mem::take(&mut self.reported);
        push_rows(self.at_ms, &std::mem::take(&mut self.rows), spool);
    }
}

fn push_rows(at_ms: i64, rows: &[Row], spool: &Spool) {
    for rows in rows.chunks(ROWS_PER_BATCH) {
        spool.push(Payload::Samples { at_ms, rows: rows.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Next, Place};
    use fleetlight_protocol::samples::{CoreSample, Sample};
    use fleetlight_protocol::uplink::Class;
    use std::time::Duration;

    fn rows(collector: &'static str, at_ms: i64) -> Reading {
        Reading::Rows { collector, at_ms, rows: vec![CoreSample::default().row(collector)] }
    }

    async fn batches(spool: &Spool) -> Vec<(i64, usize)> {
        let (mut reader, mut found) = (spool.reader(Class::Live, Place::FIRST, Place::END), Vec::new());
        while let Next::Batch(batch) = reader.next().await {
            if let Payload::Samples { at_ms, rows } = batch.payload {
                found.push((at_ms, rows.len()));
            }
        }
        found
    }

    #[test]
    fn batches_of_facts_are_bounded_in_number_and_in_bytes() {
        let sizes = |facts: &[String]| pieces(facts, 3).iter().map(|piece| piece.len()).collect::<Vec<_>>();
        let of = |bytes: usize| "x".repeat(bytes);
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&vec![of(1); 7]), [3, 3, 1]);
        assert_eq!(sizes(&vec![of(FACTS_BATCH_BYTES / 2 - 8); 5]), [2, 2, 1]);
        let huge = [of(1), of(FACTS_BATCH_BYTES + 1), of(2), of(3)];
        assert_eq!(sizes(&huge), [1, 2], "one that no frame can take hinders no other");
        assert_eq!(pieces(&huge, 3)[1], &huge[2..]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_is_one_batch_and_a_stuck_collector_holds_up_one_tick_only() {
        let (outbox, readings) = mpsc::channel(8);
        let spool = Spool::default();
        let task = tokio::spawn(run(readings, Inventory::default(), spool.clone()));
        let began = Instant::now();
        for tick in [5_000, 10_000] {
            for collector in ["host", "mounts"] {
                outbox.send(rows(collector, tick)).await.expect("runs");
            }
            tokio::time::sleep(BATCH_WAIT * 2).await;
        }
        assert_eq!(batches(&spool).await, [(5_000, 2), (10_000, 2)]);

        // mounts hangs: this tick waits for it, the next one does not.
        outbox.send(rows("host", 15_000)).await.expect("runs");
        tokio::time::sleep(BATCH_WAIT + Duration::from_millis(1)).await;
        let waited = Instant::now();
        outbox.send(rows("host", 20_000)).await.expect("runs");
        while batches(&spool).await.len() < 4 {
            tokio::task::yield_now().await;
        }
        assert!(waited.elapsed() < Duration::from_millis(2), "the tick did not wait");

        // It comes back: late rows still count, and the next tick waits for both again.
        outbox.send(rows("mounts", 20_000)).await.expect("runs");
        outbox.send(rows("host", 25_000)).await.expect("runs");
        outbox.send(rows("mounts", 25_000)).await.expect("runs");
        drop(outbox);
        task.await.expect("ends");
        assert_eq!(batches(&spool).await[2..], [(15_000, 1), (20_000, 1), (20_000, 1), (25_000, 2)]);
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
