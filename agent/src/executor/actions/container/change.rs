//! The verbs that Docker does by itself.

use super::effect::{Aim, Effect, Through};
use super::watch::{Clock, Watch};
use super::words::Telling;
use super::{Prepared, judged};
use crate::docker::{Docker, DockerError, Inspection};
use crate::executor::actions::{Finding, Task};
use fleetlight_protocol::command::ContainerVerb;
use fleetlight_protocol::document::ContainerState;

pub async fn run(prepared: &Prepared, mut telling: Telling, docker: &Docker, task: &Task, clock: Clock) -> Finding {
    let id = &prepared.container.id;
    // It may have waited since it was prepared.
    let before = match docker.inspect(id).await {
        Ok(before) => before,
        Err(error) => return telling.failed(&error, None, clock.now_ms()),
    };
    telling.already = is_so(prepared.verb, telling.aim, before.state);
    let effect = effect(prepared, &telling, &before);
    let mut watch = Watch::new(docker, id, task, effect, clock);
    if telling.already {
        watch.answered();
    } else {
        match watch.during(call(prepared.verb, docker, &before)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let found = docker.inspect(id).await.ok();
                return telling.failed(&error, found.as_ref(), clock.now_ms());
            }
            None => {
                let reason = "cancelled while Docker was at it, which may still finish it: look again";
                return telling.cancelled(reason, docker.inspect(id).await.ok().as_ref(), clock.now_ms());
            }
        }
    }
    let ending = watch.until_judged().await;
    judged(ending, &telling, docker, task, id, clock).await
}

/// Whether there is nothing to do.
fn is_so(verb: ContainerVerb, aim: Aim, state: ContainerState) -> bool {
    match aim {
        _ if verb == ContainerVerb::Restart => false,
        Aim::Runs => state == ContainerState::Running,
        Aim::Paused => state == ContainerState::Paused,
        Aim::Ended => matches!(state, ContainerState::Exited | ContainerState::Created | ContainerState::Dead),
        Aim::Gone => false,
    }
}

fn effect(prepared: &Prepared, telling: &Telling, before: &Inspection) -> Effect {
    let (aim, stable) = (telling.aim, prepared.stable);
    match prepared.verb {
        _ if telling.already => Effect::already(aim, stable, before),
        ContainerVerb::Start => Effect::new(aim, Through::Started, stable),
        ContainerVerb::Restart => Effect::new(aim, Through::Restarted, stable),
        _ => Effect::staying(aim, stable, before),
    }
}

async fn call(verb: ContainerVerb, docker: &Docker, before: &Inspection) -> Result<(), DockerError> {
    let (id, stop_seconds) = (&before.id, before.stop_seconds);
    match verb {
        ContainerVerb::Start => docker.start(id).await,
        ContainerVerb::Stop => docker.stop(id, stop_seconds).await,
        ContainerVerb::Restart => docker.restart(id, stop_seconds).await,
        ContainerVerb::Kill => docker.kill(id).await,
        ContainerVerb::Pause => docker.pause(id).await,
        ContainerVerb::Unpause => docker.unpause(id).await,
        ContainerVerb::Remove => docker.remove(id).await,
        // Done by others: see `super::Way`.
        ContainerVerb::Pull | ContainerVerb::Recreate | ContainerVerb::Rebuild => Ok(()),
    }
}
