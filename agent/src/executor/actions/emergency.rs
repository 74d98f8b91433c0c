//! The emergency stop: everything that matches a declared pattern, at once.
//!
//! For a host that is drowning: containers are not looked at one by one, all are stopped side by side, and who does not go
//! soon is killed. Done once more it does no harm.

use super::{Finding, Refused, Task};
use crate::docker::{Docker, DockerError, Listed};
use crate::executor::policy::{Policy, Stop};
use crate::executor::server::Executor;
use crate::limits::{EMERGENCY_AT_ONCE, EMERGENCY_GRACE, EMERGENCY_LISTS, EMERGENCY_NAMES};
use fleetlight_protocol::command::Outcome;
use fleetlight_protocol::document::ContainerState;
use futures_util::StreamExt;
use futures_util::stream;
use std::sync::Arc;

#[derive(Debug)]
pub struct Prepared {
    /// What the policy calls it.
    pattern: String,
    stop: Stop,
    /// What it stops of what ran just now.
    chosen: Vec<Listed>,
}

/// Declaring a pattern is allowing it.
///
/// # Errors
/// [`Refused`] if none of this name is declared, or Docker does not say what runs.
pub async fn prepare(pattern: &str, policy: &Policy, executor: &Arc<Executor>) -> Result<Prepared, Refused> {
    let stop = policy.emergency_stop(pattern)?;
    let docker = executor.docker().await.map_err(|error| Refused::new(error.to_string()))?;
    let mut chosen = alive(&docker).await.map_err(|error| Refused::new(error.to_string()))?;
    chosen.retain(|container| stop.stops(&container.name));
    Ok(Prepared { pattern: pattern.to_owned(), stop, chosen })
}

impl Prepared {
    pub async fn run(self, task: &Task) -> Finding {
        let asked = format!("all containers of the emergency stop {} are stopped", self.pattern);
        let finding = |outcome, observed, reason: Option<&str>| Finding {
            outcome,
            asked,
            observed,
            reason: reason.map(str::to_owned),
            exit_code: None,
        };
        let docker = match task.executor.docker().await {
            Ok(docker) => docker,
            Err(error) => return finding(Outcome::Failed, "nothing was stopped".into(), Some(&error.to_string())),
        };
        task.report.step(&format!("stopping {}", named(&self.chosen)));
        let stopping = stream::iter(self.chosen.clone())
            .for_each_concurrent(EMERGENCY_AT_ONCE, |container| stop(docker.clone(), container, task.clone()));
        let cancelled = task.cancel.run_until_cancelled(stopping).await.is_none();
        let mut left = match alive(&docker).await {
            Ok(alive) => alive,
            Err(error) => {
                let observed = format!("told to stop: {}; what is true now is not known", named(&self.chosen));
                return finding(Outcome::Unverified, observed, Some(&error.to_string()));
            }
        };
        // By their names, too: something may have made one anew, or another one that matches.
        left.retain(|left| self.stop.stops(&left.name) || self.chosen.iter().any(|chosen| chosen.id == left.id));
        let is_left = |chosen: &Listed| left.iter().any(|left| left.id == chosen.id || left.name == chosen.name);
        let gone: Vec<Listed> = self.chosen.into_iter().filter(|chosen| !is_left(chosen)).collect();
        let stopped = format!("stopped: {}", named(&gone));
        if left.is_empty() {
            return finding(Outcome::Verified, stopped, None);
        }
        let observed = format!("still running: {}; {stopped}", named(&left));
        if cancelled {
            return finding(Outcome::Cancelled, observed, Some("cancelled before all were stopped"));
        }
        let reason =
            "Docker could not stop them, or something starts them again: see `docker ps`, `journalctl -u docker`";
        finding(Outcome::Unverified, observed, Some(reason))
    }
}

/// What is not stopped, by name. On a drowning host Docker may need several tries to say it.
async fn alive(docker: &Docker) -> Result<Vec<Listed>, DockerError> {
    let mut tries = 1;
    let mut found = loop {
        match docker.list().await {
            Err(DockerError::Silent { .. }) if tries < EMERGENCY_LISTS => tries += 1,
            list => break list?.containers,
        }
    };
    let is_stopped = |state| {
        matches!(
            state,
            ContainerState::Created | ContainerState::Exited | ContainerState::Dead | ContainerState::Removing
        )
    };
    found.retain(|container| !is_stopped(container.state));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

async fn stop(docker: Docker, container: Listed, task: Task) {
    let name = &container.name;
    let said = match docker.halt(&container.id, EMERGENCY_GRACE).await {
        Ok(()) | Err(DockerError::Gone) => format!("{name} stopped"),
        Err(error) => format!("{name} not stopped: {error}"),
    };
    task.report.step(&said);
}

/// How many, and which.
fn named(containers: &[Listed]) -> String {
    let names: Vec<&str> = containers.iter().take(EMERGENCY_NAMES).map(|container| container.name.as_str()).collect();
    match containers.len() {
        0 => "none".into(),
        all if all > names.len() => format!("{all} ({} and {} more)", names.join(", "), all - names.len()),
        all => format!("{all} ({})", names.join(", ")),
    }
}
