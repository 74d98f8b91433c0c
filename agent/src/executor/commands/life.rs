//! One command from the ask to its end.

use super::journal::{Asked, JournalError};
use super::live::{Live, words};
use super::{form, is_emergency, verdict};
use crate::executor::actions::{self, Finding, Prepared, Refused, Report, Task};
use crate::executor::policy;
use crate::executor::server::Executor;
use crate::limits::{EMERGENCY_JOURNAL_WITHIN, JOURNAL_RETRY, OBSERVED_CHARS, REASON_CHARS};
use crate::tick::wall_ms;
use fleetlight_protocol::command::{Command, CommandReport, CommandResult, Outcome};
use fleetlight_protocol::limits::TEXT_CHARS;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A command that is in hand.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub executor: Arc<Executor>,
    pub live: Arc<Live>,
    pub command: Command,
}

/// How commands are done; a test has its own way.
pub(super) trait Doing: Send + Sync + 'static {
    type Prepared: Send;

    /// As [`actions::prepare`], by the policy of this moment.
    fn prepare(&self, life: &Life) -> impl Future<Output = Result<Self::Prepared, Refused>> + Send;
    /// As [`Prepared::run`].
    fn run(prepared: Self::Prepared, task: &Task) -> impl Future<Output = Finding> + Send;
}

/// The host's real actions.
pub(super) struct Real;

impl Doing for Real {
    type Prepared = Prepared;

    async fn prepare(&self, Life { executor, command, .. }: &Life) -> Result<Prepared, Refused> {
        let policy = policy::load(&executor.config().policy_file).await?;
        actions::prepare(&command.action, &policy, executor).await
    }

    async fn run(prepared: Prepared, task: &Task) -> Finding {
        prepared.run(task).await
    }
}

/// Why a command was not begun.
#[derive(Debug)]
enum Unbegun {
    /// That is its end.
    For(Outcome, String),
    /// Nothing is known of it, and it may be asked for again.
    Untaken(JournalError),
}

impl From<Refused> for Unbegun {
    fn from(refused: Refused) -> Self {
        Self::For(Outcome::Refused, refused.reason)
    }
}

impl From<(Outcome, String)> for Unbegun {
    fn from((outcome, reason): (Outcome, String)) -> Self {
        Self::For(outcome, reason)
    }
}

impl Life {
    /// `left_ms` until it may no longer begin; `busy` if it must not for another reason.
    pub async fn run(self, doing: impl Doing, left_ms: i64, busy: Option<Refused>) {
        let asked = verdict::asked(&self.command, left_ms, wall_ms());
        let until = self.live.since + Duration::from_millis(left_ms.max(0) as u64);
        let attempt = self.clone();
        // In a task of its own, so that a panic ends the attempt and not the command.
        let attempted = tokio::spawn(async move {
            let prepared = attempt.begin(&doing, asked, left_ms, until, busy).await?;
            Ok(attempt.act(doing, prepared).await)
        });
        let finding = match attempted.await {
            Ok(Ok(finding)) => finding,
            Ok(Err(Unbegun::For(outcome, reason))) => verdict::not_begun(&self.command.action, outcome, reason),
            Ok(Err(Unbegun::Untaken(error))) => return self.untaken(&error),
            Err(_) => verdict::broken(&self.command.action),
        };
        self.conclude(asked, finding).await;
    }

    /// Ends a command that was running when an earlier start went down, once nothing of it is left.
    pub async fn recover(self, began_ms: i64, asked: Asked) {
        tracing::warn!(command = %self.command.id, action = self.command.action.name(), "was running when the executor went down");
        self.live.accepted(began_ms);
        let attempt = self.clone();
        let recovered = tokio::spawn(async move { actions::recover(&attempt.command.action, &attempt.task()).await });
        let found = recovered.await.ok().flatten();
        self.conclude(asked, verdict::interrupted(&self.command.action, found)).await;
    }

    /// Everything before the first change, and the journal's word that it is on disk.
    async fn begin<D: Doing>(
        &self,
        doing: &D,
        asked: Asked,
        left_ms: i64,
        until: Instant,
        busy: Option<Refused>,
    ) -> Result<D::Prepared, Unbegun> {
        let Self { executor, live, command } = self;
        let journal = &executor.commands().journal;
        if left_ms <= 0 {
            return Err(verdict::expired(asked, journal.since_ms()).into());
        }
        form::check(command, left_ms)?;
        busy.map_or(Ok(()), Err)?;
        let prepared = tokio::select! {
            biased;
            () = live.cancel.cancelled() => return Err(verdict::cancelled().into()),
            prepared = timeout_at(until, doing.prepare(self)) => prepared.map_err(|_| verdict::late())??,
        };
        let began_ms = wall_ms();
        self.accept(asked, began_ms).await.map_err(Unbegun::Untaken)?;
        if live.cancel.is_cancelled() {
            return Err(verdict::cancelled().into());
        }
        if Instant::now() >= until {
            return Err(verdict::late().into());
        }
        tracing::info!(command = %command.id, action = command.action.name(), subject = command.action.subject(), by = words(&command.by, TEXT_CHARS), "begins");
        live.accepted(began_ms);
        Ok(prepared)
    }

    /// Has it in the journal. An emergency stop goes on without, and soon where the disk hangs.
    async fn accept(&self, asked: Asked, began_ms: i64) -> Result<(), JournalError> {
        let command = self.command.clone();
        let journal = &self.executor.commands().journal;
        let accepted = journal.on_thread(move |journal| journal.accept(&command, asked, began_ms));
        if !is_emergency(&self.command.action) {
            return accepted.await;
        }
        match timeout(EMERGENCY_JOURNAL_WITHIN, accepted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("an emergency stop goes on without: {error}"),
            Err(_) => tracing::error!("an emergency stop goes on without the journal of commands: its disk hangs"),
        }
        Ok(())
    }

    async fn act<D: Doing>(&self, _: D, prepared: D::Prepared) -> Finding {
        #[cfg(debug_assertions)]
        crate::kill_point::pass("command.run");
        D::run(prepared, &self.task()).await
    }

    fn task(&self) -> Task {
        Task {
            executor: Arc::clone(&self.executor),
            command: self.command.id,
            report: Arc::clone(&self.live) as Arc<dyn Report>,
            cancel: self.live.cancel.clone(),
        }
    }

    /// Has the result on disk, and then tells it.
    async fn conclude(&self, asked: Asked, finding: Finding) {
        let Self { executor, live, command } = self;
        let commands = executor.commands();
        let output = live.output_ends();
        let began_ms = live.began_ms();
        let result = CommandResult {
            command: command.id,
            outcome: finding.outcome,
            asked: words(&finding.asked, TEXT_CHARS),
            observed: words(&finding.observed, OBSERVED_CHARS),
            reason: finding.reason.map(|reason| words(&reason, REASON_CHARS)),
            began_ms,
            ended_ms: wall_ms(),
            exit_code: finding.exit_code,
            output,
        };
        let (outcome, reason) = (result.outcome, result.reason.clone());
        tracing::info!(command = %command.id, action = command.action.name(), %outcome, reason, "has ended");
        let ended = verdict::ended(&command.action, result);
        #[cfg(debug_assertions)]
        crate::kill_point::pass("command.finish");
        loop {
            let entry = ended.clone();
            match commands.journal.on_thread(move |journal| journal.finish(asked, entry)).await {
                Ok(()) => break,
                // Nothing was done: it may as well be asked for again.
                Err(error) if began_ms.is_none() => return self.untaken(&error),
                Err(error) => tracing::error!(command = %command.id, "a result is held until it is on disk: {error}"),
            }
            sleep(JOURNAL_RETRY).await;
        }
        #[cfg(debug_assertions)]
        crate::kill_point::pass("command.finished");
        commands.live().remove(&command.id);
        live.end(CommandReport::Finished(Box::new(ended.result)));
    }

    fn untaken(&self, error: &JournalError) {
        tracing::error!(command = %self.command.id, "a command is not taken: {error}");
        self.executor.commands().live().remove(&self.command.id);
        self.live.end(CommandReport::Unavailable { message: error.to_string() });
    }
}
