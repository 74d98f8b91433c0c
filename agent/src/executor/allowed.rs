//! What this host does when it is asked, told to people who choose: policy, runbooks and log files as they are now.

use super::policy::{self, Policy};
use super::server::Executor;
use super::wire::{self, WireError};
use fleetlight_protocol::allowed::{Allowed, AllowedReport, Runbook};
use fleetlight_protocol::limits::ALLOWED_RUNBOOK_BYTES;
use tokio::net::UnixStream;

/// [`super::Request::Allowed`].
///
/// # Errors
/// Who asked is gone.
pub async fn answer(stream: &mut UnixStream, executor: &Executor) -> Result<(), WireError> {
    let report = AllowedReport::Allowed(Box::new(told(executor).await));
    match wire::write(stream, &report).await {
        Err(WireError::Frame(error)) => {
            let message =
                format!("what this host allows is more than one answer holds: {error}; state it in fewer patterns");
            wire::write(stream, &AllowedReport::Unavailable { message }).await
        }
        written => written,
    }
}

/// As [`answer`] tells it.
pub async fn told(executor: &Executor) -> Allowed {
    let policy = match policy::load(&executor.config().policy_file).await {
        Ok(policy) => policy,
        Err(refused) => return Allowed { problems: vec![refused.reason], ..Allowed::default() },
    };
    let mut allowed = policy.told();
    let files = executor.config().log_files.keys();
    allowed.log_files = files.filter(|name| policy.read_logs(name).is_ok()).cloned().collect();
    let runbooks = executor.runbooks().clone();
    let found = tokio::task::spawn_blocking(move || runbooks.all()).await;
    match found.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(found) => add_runbooks(&mut allowed, &policy, found),
        Err(why) => allowed.problems.push(why),
    }
    allowed
}

/// Those that may be run, in their order, as many as one answer has room for.
fn add_runbooks(allowed: &mut Allowed, policy: &Policy, found: Vec<Result<Runbook, String>>) {
    let (mut bytes, mut left_out) = (0, 0);
    for found in found {
        match found {
            Ok(runbook) if policy.allow(policy::RUNBOOK, &runbook.name).is_err() => {}
            Ok(runbook) => {
                bytes += serde_json::to_vec(&runbook).map_or(0, |json| json.len());
                if bytes <= ALLOWED_RUNBOOK_BYTES { allowed.runbooks.push(runbook) } else { left_out += 1 }
            }
            Err(why) => {
                bytes += why.len();
                if bytes <= ALLOWED_RUNBOOK_BYTES { allowed.problems.push(why) } else { left_out += 1 }
            }
        }
    }
    if left_out > 0 {
        allowed.problems.push(format!("{left_out} more runbooks are declared, and not shown here"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn runbook(name: &str, description: &str) -> Result<Runbook, String> {
        let (name, description) = (name.to_owned(), description.to_owned());
        Ok(Runbook { name, description, timeout_seconds: 1, parameters: Vec::new() })
    }

    #[test]
    fn only_what_may_be_run_is_told_and_no_more_than_fits() {
        let text = "[[allow]]\nactions = [\"runbook.run\"]\nnames = [\"backup-*\"]\n";
        let policy = Policy::parse(Path::new("/policy"), Some(text)).expect("a policy");
        let mut allowed = policy.told();
        let large = "x".repeat(ALLOWED_RUNBOOK_BYTES);
        let found =
            vec![runbook("wipe", ""), runbook("backup-a", ""), Err("broken".into()), runbook("backup-b", &large)];
        add_runbooks(&mut allowed, &policy, found);
        let names: Vec<_> = allowed.runbooks.iter().map(|runbook| runbook.name.as_str()).collect();
        assert_eq!(names, ["backup-a"]);
        assert_eq!(allowed.problems, ["broken", "1 more runbooks are declared, and not shown here"]);
    }
}
