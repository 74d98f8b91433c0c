//! Says on the host's problems why its policy or a runbook is not believed, before anybody needs them.

use crate::collectors::{Outbox, health::Health};
use crate::executor::Client;
use crate::limits::POLICY_LOOK;
use fleetlight_protocol::allowed::AllowedReport;
use fleetlight_protocol::document::CollectorState;
use fleetlight_protocol::limits::TEXT_CHARS;
use tokio_util::sync::CancellationToken;

/// Its name among the collectors.
const NAME: &str = "policy";

/// Asks the executor, and reports each change, until `stop`.
pub async fn report(executor: Client, outbox: Outbox, stop: CancellationToken) {
    let mut health = Health::new(NAME, POLICY_LOOK);
    loop {
        // An executor that is away is told of by the collector of containers.
        if let Some(Ok(AllowedReport::Allowed(allowed))) = stop.run_until_cancelled(executor.allowed()).await {
            let (state, reason) = judge(&allowed.problems);
            for reading in health.change(state, reason) {
                if outbox.send(reading).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(POLICY_LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

fn judge(problems: &[String]) -> (CollectorState, String) {
    match problems {
        [] => (CollectorState::Ok, String::new()),
        [only] => (CollectorState::Failing, clipped(only)),
        [first, others @ ..] => {
            let (first, others) = (clipped(first), others.len());
            (CollectorState::Failing, format!("{first}; and {others} more like it: see check-config there"))
        }
    }
}

/// A mistake is told with the line that holds it, and a line may be as long as its file. Half of what such a text may
/// have: the rest is for what is said beside.
fn clipped(problem: &str) -> String {
    problem.chars().take(TEXT_CHARS / 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_problems_is_told_with_their_number() {
        let problems = ["a is open to others".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(judge(&problems[..0]), (CollectorState::Ok, String::new()));
        assert_eq!(judge(&problems[..1]).1, "a is open to others");
        assert!(judge(&problems).1.starts_with("a is open to others; and 2 more"));
        let long = ["x".repeat(100_000), String::new()];
        assert_eq!(judge(&long[..1]).1.len(), TEXT_CHARS / 2);
        assert!(judge(&long).1.len() <= TEXT_CHARS);
    }
}
