//! One run: what is to be done, and how it ended. Pure.

use super::declared::Runbook;
use super::expect::Seen;
use crate::executor::actions::{Finding, Task};
use crate::executor::systemd::hint;
use fleetlight_protocol::command::Outcome;
use uuid::Uuid;

#[derive(Debug)]
pub struct Run {
    pub command: Uuid,
    pub runbook: Runbook,
    /// Arguments with their parameters.
    pub steps: Vec<Vec<String>>,
}

/// How the steps ended; the index is that of the last one that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Exited {
        step: usize,
        code: i32,
    },
    Killed {
        step: usize,
        signal: i32,
    },
    TimedOut,
    TooMuchOutput,
    OutOfMemory,
    Cancelled,
    /// In words.
    NotStarted(String),
    /// Its end would not have been heard, so it was stopped; in words, why.
    Stopped(String),
    /// Whether it still runs is not known; in words, why.
    Lost(String),
}

impl Run {
    /// Programs are named, arguments are not: a step's own output tells more.
    pub fn say_step(&self, index: usize, task: &Task) {
        if let Some(arguments) = self.steps.get(index) {
            task.report.step(&format!("step {} of {}: {}", index + 1, self.steps.len(), arguments[0]));
        }
    }

    /// Whether the steps ended as they should.
    #[must_use]
    pub fn is_well(&self, ended: &Ended) -> bool {
        matches!(ended, Ended::Exited { step, code } if step + 1 == self.steps.len() && *code == self.runbook.expect.exit_code)
    }

    /// What came of a run whose steps ended well.
    #[must_use]
    pub fn looked_at(&self, ended: &Ended, seen: &Seen) -> Finding {
        let mut observed = vec![self.words(ended)];
        observed.extend(seen.so.iter().chain(&seen.not_so).cloned());
        let verified = seen.not_so.is_empty();
        let outcome = if verified { Outcome::Verified } else { Outcome::Unverified };
        let reason = (!verified)
            .then(|| format!("its steps ended well, but not all is as declared: {}", seen.not_so.join("; ")));
        Finding { outcome, reason, ..self.finding(ended, observed.join("; ")) }
    }

    /// What came of one whose steps did not.
    #[must_use]
    pub fn not_well(&self, ended: &Ended) -> Finding {
        let outcome = if *ended == Ended::Cancelled { Outcome::Cancelled } else { Outcome::Failed };
        let reason = match ended {
            Ended::Cancelled => "what it had done by then is done".to_owned(),
            Ended::TimedOut => "it took longer than its timeout_seconds; what it had done by then is done".to_owned(),
            Ended::TooMuchOutput => "it printed more than its output_max_bytes".to_owned(),
            Ended::OutOfMemory => "it needed more memory than there was, or than its memory_max_bytes".to_owned(),
            Ended::NotStarted(why) | Ended::Stopped(why) | Ended::Lost(why) => why.clone(),
            Ended::Exited { .. } | Ended::Killed { .. } => "its output tells why".to_owned(),
        };
        Finding { outcome, reason: Some(reason), ..self.finding(ended, self.words(ended)) }
    }

    fn finding(&self, ended: &Ended, observed: String) -> Finding {
        let exit_code = match ended {
            Ended::Exited { code, .. } => Some((*code).into()),
            _ => None,
        };
        let asked = self.runbook.expect.asked(&self.runbook.name);
        Finding { outcome: Outcome::Failed, asked, observed, reason: None, exit_code }
    }

    fn words(&self, ended: &Ended) -> String {
        let name = |step: &usize| {
            let program = self.steps.get(*step).map_or("", |arguments| arguments[0].as_str());
            format!("step {} of {} ({program})", step + 1, self.steps.len())
        };
        match ended {
            Ended::Exited { code, .. } if self.is_well(ended) => format!("ended with {code}"),
            Ended::Exited { step, code } => format!("{} ended with {code}{}", name(step), hint(*code)),
            // Under cgroup v1 systemd does not hear of it.
            Ended::Killed { step, signal: 9 } => format!("{} was killed: by hand, or for lack of memory", name(step)),
            Ended::Killed { step, signal } => format!("{} was ended by signal {signal}", name(step)),
            Ended::TimedOut => format!("stopped after {} s", self.runbook.timeout.as_secs()),
            Ended::TooMuchOutput => format!("stopped after {} bytes of output", self.runbook.output_max_bytes),
            Ended::OutOfMemory => "ended by the kernel for lack of memory".into(),
            Ended::Cancelled | Ended::Stopped(_) => "stopped, with all that it had started".into(),
            Ended::NotStarted(_) => "not started".into(),
            Ended::Lost(_) => "it is not known whether it still runs".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(expect: &str) -> Run {
        let text =
            format!("description = \"\"\nuser = \"root\"\nsteps = [[\"/bin/a\"], [\"/bin/b\"]]\n[expect]\n{expect}");
        let runbook = Runbook::parse("backup", &text).expect("a runbook");
        let steps = runbook.fill(&Default::default()).expect("no parameters");
        Run { command: Uuid::nil(), runbook, steps }
    }

    #[test]
    fn only_the_last_step_may_end_with_the_declared_code() {
        let run = run("exit_code = 24");
        let exited = |step, code| Ended::Exited { step, code };
        for (ended, well) in [
            (exited(1, 24), true),
            (exited(1, 0), false),
            (exited(0, 24), false),
            (exited(0, 0), false),
            (Ended::Killed { step: 1, signal: 24 }, false),
            (Ended::TimedOut, false),
        ] {
            assert_eq!(run.is_well(&ended), well, "{ended:?}");
        }
        let finding = run.not_well(&exited(0, 24));
        assert_eq!((finding.outcome, finding.exit_code), (Outcome::Failed, Some(24)));
        assert_eq!(finding.observed, "step 1 of 2 (/bin/a) ended with 24");
    }

    #[test]
    fn what_is_not_as_expected_makes_it_unverified() {
        let run = run("");
        let ended = Ended::Exited { step: 1, code: 0 };
        let seen = Seen { so: vec!["/a has 3 files".into()], not_so: vec!["99 of 100 files are in /b".into()] };
        let finding = run.looked_at(&ended, &seen);
        assert_eq!(finding.outcome, Outcome::Unverified);
        assert_eq!(finding.observed, "ended with 0; /a has 3 files; 99 of 100 files are in /b");
        assert!(finding.reason.expect("a reason").contains("99 of 100"));
        let seen = Seen { not_so: Vec::new(), ..seen };
        assert_eq!(
            (run.looked_at(&ended, &seen).outcome, run.looked_at(&ended, &seen).reason),
            (Outcome::Verified, None)
        );
    }

    #[test]
    fn a_cancelled_one_is_cancelled_and_any_other_end_is_a_failure() {
        let run = run("");
        assert_eq!(run.not_well(&Ended::Cancelled).outcome, Outcome::Cancelled);
        for ended in [
            Ended::TimedOut,
            Ended::TooMuchOutput,
            Ended::OutOfMemory,
            Ended::NotStarted("x".into()),
            Ended::Lost("x".into()),
        ] {
            assert_eq!(run.not_well(&ended).outcome, Outcome::Failed);
        }
    }
}
