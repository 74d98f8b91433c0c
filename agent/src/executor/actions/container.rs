//! Containers: start, stop, restart, kill, pause, unpause, remove, pull, recreate, rebuild.

use super::{Finding, Refused, Task};
use crate::executor::policy::Policy;
use crate::executor::server::Executor;
use fleetlight_protocol::command::{ContainerTarget, ContainerVerb};
use std::sync::Arc;

#[derive(Debug)]
pub struct Prepared {}

pub async fn prepare(_verb: ContainerVerb, _target: &ContainerTarget, _stable_seconds: u32, _policy: &Policy, _executor: &Arc<Executor>) -> Result<Prepared, Refused> {
    Err(Refused::new("this agent does not do that yet"))
}

impl Prepared {
    pub async fn run(self, _task: &Task) -> Finding {
        unreachable!("prepare refuses")
    }
}
