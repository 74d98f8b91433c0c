//! What a command does, one noun a file: first [`prepare`], which changes nothing and may refuse; then, once the journal
//! has it on disk, [`Prepared::run`], which acts, looks at the effect and says what it found.
//!
//! Names that come from outside only ever select from the host's own lists (Docker's containers, systemd's units, the declared
//! runbooks); the policy judges the name that the host gives, not the one that was asked for.

pub mod container;
pub mod emergency;
pub mod runbook;
pub mod unit;

use super::policy::Policy;
use super::server::Executor;
use fleetlight_protocol::command::{Action, Outcome, OutputStream};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Why a command is not begun: the rule, or what does not fit, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    pub reason: String,
}

impl Refused {
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// Takes steps and output of a running command as they come; what nobody can take is bounded, never waited for.
pub trait Report: std::fmt::Debug + Send + Sync {
    /// A step was reached: "stopped", "started", "healthy".
    fn step(&self, text: &str);
    /// A piece of output as it was read; not masked yet.
    fn output(&self, stream: OutputStream, bytes: &[u8]);
}

/// What a running action works with.
#[derive(Clone, Debug)]
pub struct Task {
    pub executor: Arc<Executor>,
    /// Names what it starts: a runbook's unit is `fleetlight-run-<id>`.
    pub command: uuid::Uuid,
    pub report: Arc<dyn Report>,
    /// The action stops as soon as it can, and says what is true then.
    pub cancel: CancellationToken,
}

/// What an action came to; see [`fleetlight_protocol::command::CommandResult`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub outcome: Outcome,
    pub asked: String,
    pub observed: String,
    pub reason: Option<String>,
    pub exit_code: Option<i64>,
}

/// An action whose names were found here and which the policy allows.
#[derive(Debug)]
pub enum Prepared {
    Check,
    Container(container::Prepared),
    Unit(unit::Prepared),
    Runbook(Box<runbook::Prepared>),
    EmergencyStop(emergency::Prepared),
}

/// Finds what the action names and asks the policy. Changes nothing.
///
/// # Errors
/// [`Refused`] names the rule, or what is not there.
pub async fn prepare(action: &Action, policy: &Policy, executor: &Arc<Executor>) -> Result<Prepared, Refused> {
    match action {
        Action::Check => Ok(Prepared::Check),
        Action::Container { verb, container, stable_seconds } => {
            container::prepare(*verb, container, *stable_seconds, policy, executor).await.map(Prepared::Container)
        }
        Action::Unit { verb, unit, stable_seconds } => {
            unit::prepare(*verb, unit, *stable_seconds, policy, executor).await.map(Prepared::Unit)
        }
        Action::Runbook { name, parameters } => {
            let prepared = runbook::prepare(name, parameters, policy, executor).await?;
            Ok(Prepared::Runbook(Box::new(prepared)))
        }
        Action::EmergencyStop { pattern } => {
            emergency::prepare(pattern, policy, executor).await.map(Prepared::EmergencyStop)
        }
    }
}

/// The executor went down while this action ran: ends what it left behind. Says in words what it found, if there is anything
/// to find.
pub async fn recover(action: &Action, task: &Task) -> Option<String> {
    match action {
        Action::Container { verb, .. } => container::recover(*verb, task.command).await,
        // Docker and systemd finish by themselves what they were asked.
        Action::Check | Action::Unit { .. } | Action::EmergencyStop { .. } => None,
        Action::Runbook { .. } => Some(match runbook::recover(task.command, &task.executor).await {
            Ok(found) => found.to_owned(),
            Err(why) => format!("whether it still runs is not known: {why}"),
        }),
    }
}

impl Prepared {
    /// Does it, once.
    pub async fn run(self, task: &Task) -> Finding {
        match self {
            Self::Check => Finding {
                outcome: Outcome::Verified,
                asked: "the executor answers".into(),
                observed: "it answers".into(),
                reason: None,
                exit_code: None,
            },
            Self::Container(prepared) => prepared.run(task).await,
            Self::Unit(prepared) => prepared.run(task).await,
            Self::Runbook(prepared) => prepared.run(task).await,
            Self::EmergencyStop(prepared) => prepared.run(task).await,
        }
    }
}
