//! Containers: start, stop, restart, kill, pause, unpause, remove, pull, recreate, rebuild.
//!
//! - [`find`]: from the container that the asker saw to the host's own. [`effect`]: whether it is so, and stays so (pure).
//! - [`watch`]: sees what happens meanwhile. [`change`]: the verbs that Docker does. [`fetch`]: pull. [`compose`]: recreate, rebuild.
//! - [`words`]: what it came to, for people.

mod change;
mod compose;
mod effect;
mod fetch;
mod find;
mod watch;
mod words;

use super::{Finding, Refused, Task};
use crate::docker::{ContainerId, Docker, DockerError, ImageName, Inspection};
use crate::executor::policy::Policy;
use crate::executor::server::Executor;
use effect::Aim;
use fleetlight_protocol::command::{ContainerTarget, ContainerVerb};
use fleetlight_protocol::document::ContainerState;
use fleetlight_protocol::limits::STABLE_SECONDS;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use watch::Clock;
use words::Telling;

/// A verb on a container of this host that the policy allows.
#[derive(Debug)]
pub struct Prepared {
    verb: ContainerVerb,
    container: Box<Inspection>,
    stable: Duration,
    way: Way,
}

/// Who does it.
#[derive(Debug)]
enum Way {
    Docker,
    Fetch(ImageName),
    Compose(Box<compose::Service>),
}

/// Finds the container, makes sure that it is the one that the asker saw, and asks the policy. Changes nothing.
///
/// # Errors
/// [`Refused`], in words.
pub async fn prepare(
    verb: ContainerVerb,
    target: &ContainerTarget,
    stable_seconds: u32,
    policy: &Policy,
    executor: &Arc<Executor>,
) -> Result<Prepared, Refused> {
    if stable_seconds > STABLE_SECONDS {
        return Err(Refused::new(format!("stable_seconds is {stable_seconds}: at most {STABLE_SECONDS}")));
    }
    let silent = |error: DockerError| Refused::new(words::said(&error.to_string()));
    let docker = executor.docker().await.map_err(silent)?;
    let id = find::id(&target.id, &docker.list().await.map_err(silent)?.containers)?;
    let container = docker.inspect(&id).await.map_err(silent)?;
    find::same(target, &container)?;
    policy.allow(verb.action(), &container.name)?;
    let way = match verb {
        ContainerVerb::Remove => removable(&container).map(|()| Way::Docker)?,
        ContainerVerb::Pull => Way::Fetch(fetch::image(&container)?),
        ContainerVerb::Recreate | ContainerVerb::Rebuild => {
            Way::Compose(Box::new(compose::prepare(&container, &docker, policy, executor).await?))
        }
        _ => Way::Docker,
    };
    Ok(Prepared { verb, container: Box::new(container), stable: Duration::from_secs(stable_seconds.into()), way })
}

fn removable(container: &Inspection) -> Result<(), Refused> {
    use ContainerState::{Paused, Restarting, Running};
    if matches!(container.state, Running | Paused | Restarting) {
        return Err(Refused::new(format!("{} is not stopped: stop it first, then remove it", container.name)));
    }
    Ok(())
}

/// After the executor went down: Docker finishes by itself what it was asked; compose is ended.
pub async fn recover(verb: ContainerVerb, command: Uuid) -> Option<String> {
    if !matches!(verb, ContainerVerb::Recreate | ContainerVerb::Rebuild) {
        return None;
    }
    Some(match super::runbook::marked::end(command, None).await {
        Ok(true) => "compose still ran, and was stopped with all that it had started".to_owned(),
        Ok(false) => "compose does not run any more".to_owned(),
        Err(why) => format!("whether compose still runs is not known: {why}"),
    })
}

impl Prepared {
    /// Does it, once, and looks at what became of it.
    pub async fn run(self, task: &Task) -> Finding {
        let clock = Clock::new();
        let telling = self.telling();
        let docker = match task.executor.docker().await {
            Ok(docker) => docker,
            Err(error) => return telling.failed(&error, None, clock.now_ms()),
        };
        match &self.way {
            Way::Docker => change::run(&self, telling, &docker, task, clock).await,
            Way::Fetch(image) => fetch::run(image, &self.container, &docker, task).await,
            Way::Compose(service) => compose::run(service, &self, telling, &docker, task, clock).await,
        }
    }

    fn telling(&self) -> Telling {
        let aim = match self.verb {
            ContainerVerb::Stop | ContainerVerb::Kill => Aim::Ended,
            ContainerVerb::Pause => Aim::Paused,
            ContainerVerb::Remove => Aim::Gone,
            _ => Aim::Runs,
        };
        Telling {
            verb: self.verb,
            aim,
            name: words::text(&self.container.name),
            stable: self.stable,
            has_check: self.container.health_verdict.is_some(),
            already: false,
        }
    }
}

/// What became of a container that was acted on, with its last lines where it died.
async fn judged(
    ending: watch::Ending,
    telling: &Telling,
    docker: &Docker,
    task: &Task,
    id: &ContainerId,
    clock: Clock,
) -> Finding {
    use effect::{Broken, Verdict};
    match ending {
        watch::Ending::Judged(Verdict::Broken(broken), found) => {
            let lines = match broken {
                Broken::Died { .. } | Broken::CameBack => {
                    task.executor.last_lines(docker, id).await.unwrap_or_default()
                }
                _ => Vec::new(),
            };
            telling.broken(&broken, found.as_deref(), &crate::mask::last_lines(&lines))
        }
        watch::Ending::Judged(_, found) => telling.holds(found.as_deref(), clock.now_ms()),
        watch::Ending::Unseen(error) => telling.unseen(&error),
        watch::Ending::Cancelled => {
            let found = docker.inspect(id).await.ok();
            telling.cancelled("cancelled while it was being seen whether it stays so", found.as_ref(), clock.now_ms())
        }
    }
}
