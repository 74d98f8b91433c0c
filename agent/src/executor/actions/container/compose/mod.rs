//! Recreate and rebuild: compose makes a container anew from its project's files on this host.
//!
//! A container's labels say where its project is, and whoever may make containers may set labels. They are therefore only
//! a pointer: the policy names the folders from which compose may work (`compose_folders`), and the folder and each of the project's
//! files under it must be such that nobody but root and the folder's owner can have written them ([`files`]). So what
//! compose does is what root or that owner wrote there, whoever made the container. Names from labels go into
//! arguments only if they cannot be options ([`declared`]); there is no shell.

mod child;
mod declared;
mod files;
mod program;

use super::effect::{Aim, Effect, Through};
use super::watch::{Clock, Watch};
use super::words::{Telling, now, said};
use super::{Prepared, judged};
use crate::docker::{ContainerId, Docker, DockerError, Inspection};
use crate::executor::actions::{Finding, Refused, Task};
use crate::executor::policy::Policy;
use crate::executor::server::Executor;
use crate::limits::{COMPOSE_ASK, COMPOSE_LONGEST};
use child::{Ended, Run};
use declared::Declared;
use fleetlight_protocol::command::{ContainerVerb, Outcome};
use program::Program;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::time::timeout;

/// A service of a project that this host trusts.
#[derive(Debug)]
pub struct Service {
    declared: Declared,
    files: files::Files,
    program: Program,
    docker_socket: PathBuf,
}

/// # Errors
/// [`Refused`]: no compose, not of a project, its folder not named by the policy, or its files writable by others.
pub async fn prepare(
    container: &Inspection,
    docker: &Docker,
    policy: &Policy,
    executor: &Executor,
) -> Result<Service, Refused> {
    let declared = declared::of(container)?;
    let files = trusted(&declared, executor).await?;
    policy.allow_compose(&files.folder)?;
    let containers = docker.list_labelled(declared.labels()).await;
    let containers = containers.map_err(|error| Refused::new(said(&error.to_string())))?.containers;
    if containers.len() != 1 {
        return Err(Refused::new(format!(
            "the service {} of project {} has {} containers, and compose would make all of them anew: do it on the host",
            declared.service,
            declared.project,
            containers.len()
        )));
    }
    let docker_socket = executor.config().docker_socket.clone();
    let program = program::find(&docker_socket).await?;
    Ok(Service { declared, files, program, docker_socket })
}

/// One at a time: whoever makes containers can name a folder that hangs, and it must not take all the threads there are.
async fn trusted(declared: &Declared, executor: &Executor) -> Result<files::Files, Refused> {
    let (folder, paths, environment) = (declared.folder.clone(), declared.files.clone(), declared.environment.clone());
    let looked = async {
        let turn = Arc::clone(executor.folder_turn()).acquire_owned().await.ok();
        let look = move || {
            let _turn = turn;
            files::trusted(&folder, &paths, &environment)
        };
        tokio::task::spawn_blocking(look).await
    };
    match timeout(COMPOSE_ASK, looked).await {
        Ok(Ok(found)) => found.map_err(|error| Refused::new(said(&error.to_string()))),
        Ok(Err(_)) | Err(_) => Err(Refused::new(format!(
            "the project's folder {}, or that of another command, does not answer: does its file system hang?",
            shown(&declared.folder)
        ))),
    }
}

pub async fn run(
    service: &Service,
    prepared: &Prepared,
    telling: Telling,
    docker: &Docker,
    task: &Task,
    clock: Clock,
) -> Finding {
    let old = &prepared.container.id;
    task.report.step(&format!("{} begins", service.program.name()));
    let output = child::run(service.command(prepared.verb), task).await;
    let found = service.containers(docker).await;
    if let Some(finding) = not_done(service, &telling, &output, now_is(docker, old, &found).await) {
        return finding;
    }
    let new = match found {
        Err(error) => return telling.unseen(&error),
        Ok(found) => found.into_iter().find(|id| id != old),
    };
    let Some(new) = new else {
        let observed = format!("{} has ended well, but made no new container", service.program.name());
        return telling.finding(Outcome::Unverified, observed, Some(output.last_words()));
    };
    task.report.step(&format!("the new container is {}", short(&new)));
    let effect = Effect::new(Aim::Runs, Through::Started, prepared.stable);
    let mut watch = Watch::new(docker, &new, task, effect, clock);
    watch.answered();
    let ending = watch.until_judged().await;
    let mut finding = judged(ending, &telling, docker, task, &new, clock).await;
    finding.observed.push_str(&format!("; container {} in place of {}", short(&new), short(old)));
    finding
}

/// How it ended, unless well.
fn not_done(service: &Service, telling: &Telling, output: &Run, now: String) -> Option<Finding> {
    let name = service.program.name();
    let failed =
        |reason, exit_code| Some(Finding { exit_code, ..telling.finding(Outcome::Failed, now.clone(), Some(reason)) });
    match &output.ended {
        Ended::Code(0) => None,
        Ended::Code(code) => failed(format!("{name} ended with {code}: {}", output.last_words()), Some((*code).into())),
        Ended::Signal => failed(format!("{name} was killed by somebody: {}", output.last_words()), None),
        Ended::NotStarted(error) => failed(format!("{name} cannot be started: {error}"), None),
        Ended::Stuck(why) => failed(format!("{name} was to be ended: {why}"), None),
        Ended::TooLong => {
            failed(format!("{name} was ended, it took longer than {} min", COMPOSE_LONGEST.as_secs() / 60), None)
        }
        Ended::Cancelled => {
            let reason = format!("cancelled while {name} was at it: it was ended, and its work may be half done");
            Some(telling.finding(Outcome::Cancelled, now, Some(reason)))
        }
    }
}

impl Service {
    fn command(&self, verb: ContainerVerb) -> tokio::process::Command {
        let mut command = self.program.command(&self.docker_socket);
        command.current_dir(&self.files.folder);
        command.arg("--project-name").arg(&self.declared.project);
        command.arg("--project-directory").arg(&self.files.folder);
        for (option, paths) in [("--file", &self.files.files), ("--env-file", &self.files.environment)] {
            for path in paths {
                command.arg(option).arg(path);
            }
        }
        command.args(["up", "--detach", "--no-deps", "--force-recreate"]);
        if verb == ContainerVerb::Rebuild {
            command.arg("--build");
        }
        // Docker's own compose takes `--` before it, the Python one does not; it cannot be an option.
        command.arg(&self.declared.service);
        command
    }

    async fn containers(&self, docker: &Docker) -> Result<Vec<ContainerId>, DockerError> {
        let found = docker.list_labelled(self.declared.labels()).await?.containers;
        Ok(found.into_iter().map(|it| it.id).collect())
    }
}

/// What is there after compose did not end well.
async fn now_is(docker: &Docker, old: &ContainerId, found: &Result<Vec<ContainerId>, DockerError>) -> String {
    let Ok(found) = found else { return now(None, 0) };
    let clock_ms = crate::tick::wall_ms();
    let mut told = Vec::new();
    for id in found {
        let which = if id == old { "the container" } else { "a new container" };
        let state = docker.inspect(id).await.ok();
        told.push(format!("{which} {} {}", short(id), now(state.as_ref(), clock_ms)));
    }
    if told.is_empty() {
        return "the service has no container".to_owned();
    }
    told.join("; ")
}

fn short(id: &ContainerId) -> String {
    id.as_str().chars().take(12).collect()
}

/// As [`said`], of a path.
fn shown(path: &Path) -> String {
    said(&path.to_string_lossy())
}
