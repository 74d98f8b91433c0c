//! Results of commands on their way from the executor's journal into the spool.
//!
//! Invariant: the executor is told to settle a result only once the spool's file that holds it was synced. Whoever dies in
//! between repeats the result, and the controller stores it once: the event's id is the command's.

use crate::executor::Client;
use crate::executor::message::Ended;
use crate::limits::{RESULTS_BACKOFF, RESULTS_PENDING};
use crate::spool::{Payload, Spool, Synced};
use fleetlight_protocol::command::Outcome;
use fleetlight_protocol::event::{Event, Fact, Severity};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::pin::pin;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Moves results until `stop`.
pub async fn follow(executor: Client, spool: Spool, stop: CancellationToken) {
    let mut moving = Moving { executor, spool, pushed: HashMap::new() };
    stop.run_until_cancelled(moving.run()).await;
}

struct Moving {
    executor: Client,
    spool: Spool,
    /// Results that are in the spool and not settled.
    pushed: HashMap<Uuid, Pushed>,
}

#[derive(Clone, Copy)]
struct Pushed {
    seq: u64,
    /// How often the disk had failed by then.
    failures: u64,
}

impl Moving {
    async fn run(&mut self) {
        let (first, longest) = RESULTS_BACKOFF;
        let mut pause = first;
        loop {
            match self.listen().await {
                Ok(()) => pause = first,
                Err(words) => {
                    tracing::debug!("no results of commands: {words}");
                    pause = (pause * 2).min(longest);
                }
            }
            sleep(pause).await;
        }
    }

    /// Until the executor is gone, or what the disk has lost must be told again.
    async fn listen(&mut self) -> Result<(), String> {
        let mut results = pin!(self.executor.results().await?);
        let (mut synced, mut trouble) = (self.spool.synced(), self.spool.trouble());
        loop {
            let now = *synced.borrow_and_update();
            self.settle(now).await?;
            let in_trouble = trouble.borrow_and_update().is_some();
            if !in_trouble && self.forget_lost(now) {
                return Ok(());
            }
            tokio::select! {
                ended = results.next(), if self.pushed.len() < RESULTS_PENDING => match ended {
                    Some(ended) => self.push(ended),
                    None => return Ok(()),
                },
                _ = synced.changed() => {}
                _ = trouble.changed() => {}
            }
        }
    }

    fn push(&mut self, ended: Ended) {
        let id = ended.result.command;
        if self.pushed.contains_key(&id) {
            return;
        }
        #[cfg(debug_assertions)]
        crate::kill_point::pass("result.spool");
        let failures = self.spool.synced().borrow().failures;
        let seq = self.spool.push_numbered(Payload::Events([event(ended)].into()));
        self.pushed.insert(id, Pushed { seq, failures });
    }

    async fn settle(&mut self, now: Synced) -> Result<(), String> {
        let on_disk = |pushed: &Pushed| pushed.failures == now.failures && pushed.seq < now.below;
        let ids: Vec<Uuid> = self.pushed.iter().filter(|(_, pushed)| on_disk(pushed)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        #[cfg(debug_assertions)]
        crate::kill_point::pass("result.settle");
        self.executor.settle(ids.clone()).await?;
        self.pushed.retain(|id, _| !ids.contains(id));
        Ok(())
    }

    /// The disk has failed since: what was pushed before may be lost. Whether there is any.
    fn forget_lost(&mut self, now: Synced) -> bool {
        let before = self.pushed.len();
        self.pushed.retain(|_, pushed| pushed.failures == now.failures);
        self.pushed.len() < before
    }
}

fn event(ended: Ended) -> Event {
    let Ended { kind, key, subject, result } = ended;
    Event {
        id: result.command,
        at_ms: result.ended_ms,
        kind,
        key,
        subject,
        severity: severity(result.outcome),
        fact: Fact::CommandFinished(Box::new(result)),
    }
}

fn severity(outcome: Outcome) -> Severity {
    match outcome {
        Outcome::Verified | Outcome::Cancelled => Severity::Info,
        Outcome::Unverified
        | Outcome::Failed
        | Outcome::Refused
        | Outcome::Expired
        | Outcome::Interrupted
        | Outcome::Unknown => Severity::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{FACTS_BATCH_BYTES, NAME_BYTES, OBSERVED_CHARS, REASON_CHARS};
    use fleetlight_protocol::command::{CommandResult, Output};
    use fleetlight_protocol::limits::{OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES, TEXT_CHARS};
    use fleetlight_protocol::samples::EntityKind;

    #[test]
    fn the_largest_result_fits_one_batch() {
        let wide = |chars: usize| "\u{10348}".repeat(chars);
        let result = CommandResult {
            command: Uuid::max(),
            outcome: Outcome::Unverified,
            asked: wide(TEXT_CHARS),
            observed: wide(OBSERVED_CHARS),
            reason: Some(wide(REASON_CHARS)),
            began_ms: Some(i64::MAX),
            ended_ms: i64::MAX,
            exit_code: Some(i64::MAX),
            output: Output {
                head: "x".repeat(OUTPUT_HEAD_BYTES),
                tail: "x".repeat(OUTPUT_TAIL_BYTES),
                dropped_bytes: u64::MAX,
            },
        };
        let key = "x".repeat(NAME_BYTES);
        let event = event(Ended { kind: EntityKind::Container, key, subject: wide(NAME_BYTES), result });
        let bytes = rmp_serde::to_vec_named(&[event]).expect("encodes").len();
        assert!(bytes <= FACTS_BATCH_BYTES, "{bytes}");
    }
}
