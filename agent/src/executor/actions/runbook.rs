//! Runbooks: what the host declares to be run.

use super::{Finding, Refused, Task};
use crate::executor::policy::Policy;
use crate::executor::server::Executor;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
pub struct Prepared {}

pub async fn prepare(_name: &str, _parameters: &BTreeMap<String, String>, _policy: &Policy, _executor: &Arc<Executor>) -> Result<Prepared, Refused> {
    Err(Refused::new("this agent does not do that yet"))
}

impl Prepared {
    pub async fn run(self, _task: &Task) -> Finding {
        unreachable!("prepare refuses")
    }
}
