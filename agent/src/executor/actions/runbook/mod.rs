//! Runbooks: what the host declares to be run, `/etc/fleetlight/runbooks/*.toml` (docs/runbooks.md).
//!
//! - [`folder`], [`declared`], [`parameter`], [`template`]: from a file and an asker's values to arguments. There is no
//!   shell, and a value never becomes a second argument or an option.
//! - [`service`]: a run as a transient systemd service. [`child`]: as a plain child where there is no systemd, with
//!   [`marked`] to find all that it started.
//! - [`expect`]: whether it achieved what it is for. [`run`]: what all that comes to, in words.

mod account;
mod child;
mod declared;
mod environment;
mod expect;
mod folder;
pub(super) mod marked;
pub(super) mod output;
mod parameter;
mod run;
mod service;
mod template;

pub use folder::Runbooks;

use super::{Finding, Refused, Task};
use crate::executor::policy::Policy;
use crate::executor::server::Executor;
use crate::executor::systemd::{Systemd, UnitName};
use crate::tick::wall_ms;
use account::Account;
use declared::Runbook;
use run::{Ended, Run};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// A runbook of this host with allowed values.
#[derive(Debug)]
pub struct Prepared {
    runbook: Runbook,
    steps: Vec<Vec<String>>,
    way: Way,
}

/// How it is run.
#[derive(Debug)]
enum Way {
    Service(Systemd),
    Child(Account),
}

/// # Errors
/// [`Refused`]: not declared, not believed, values that are not allowed, the policy's rule, or this host
/// cannot run it as declared.
pub async fn prepare(
    name: &str,
    parameters: &BTreeMap<String, String>,
    policy: &Policy,
    executor: &Arc<Executor>,
) -> Result<Prepared, Refused> {
    let (runbooks, asked) = (executor.runbooks().clone(), name.to_owned());
    let found = tokio::task::spawn_blocking(move || runbooks.find(&asked)).await;
    let found = found.unwrap_or_else(|error| Err(format!("the runbooks could not be read: {error}")));
    let runbook = found.map_err(Refused::new)?;
    policy.allow("runbook.run", &runbook.name)?;
    let steps = runbook.fill(parameters).map_err(Refused::new)?;
    let way = way(&runbook).await.map_err(Refused::new)?;
    Ok(Prepared { runbook, steps, way })
}

/// By systemd where it runs this host and the executor is root, who may ask it.
async fn way(runbook: &Runbook) -> Result<Way, String> {
    if Systemd::runs_here() && rustix::process::geteuid().is_root() {
        return Systemd::connect().await.map(Way::Service).map_err(|error| error.to_string());
    }
    if runbook.sandbox.needs_systemd() {
        return Err(format!(
            "{} declares a sandbox that only systemd can make, and the executor has none",
            runbook.name
        ));
    }
    Account::find(&runbook.user).map(Way::Child)
}

impl Prepared {
    pub async fn run(self, task: &Task) -> Finding {
        let Self { runbook, steps, way } = self;
        let run = Run { command: task.command, runbook, steps };
        let began_ms = wall_ms();
        let ended = match &way {
            Way::Service(systemd) => {
                let file = task.executor.runbooks().environment_file(task.command);
                service::run(&run, systemd, file, task).await
            }
            Way::Child(account) => child::run(&run, account, task).await,
        };
        if !run.is_well(&ended) {
            return run.not_well(&ended);
        }
        task.report.step("its steps ended well; looking at what it was to achieve");
        match task.cancel.run_until_cancelled(run.runbook.expect.look(began_ms, wall_ms())).await {
            Some(seen) => run.looked_at(&ended, &seen),
            None => run.not_well(&Ended::Cancelled),
        }
    }
}

/// Ends what is left of a run that an earlier start of the executor had begun. In words what was found.
///
/// # Errors
/// In words: something of it still runs, or that cannot be known.
pub async fn recover(command: Uuid, executor: &Executor) -> Result<&'static str, String> {
    // A run may have begun before systemd could be asked, or as another account: both are looked for.
    let by_service = match Systemd::connect().await {
        Ok(systemd) => systemd.end_run(&UnitName::of_run(command)).await.map_err(|error| error.to_string())?,
        Err(error) if Systemd::runs_here() && rustix::process::geteuid().is_root() => return Err(error.to_string()),
        Err(_) => false,
    };
    let by_child = marked::end(command, None).await?;
    let _ = tokio::fs::remove_file(executor.runbooks().environment_file(command)).await;
    Ok(if by_service || by_child {
        "it still ran, and was stopped with all that it had started"
    } else {
        "nothing of it runs"
    })
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
