//! What a unit's states mean for what was asked. Pure.

use super::super::Finding;
use crate::executor::systemd::{JobResult, UnitState};
use crate::limits::UNIT_JOB_WITHIN;
use fleetlight_protocol::command::{Outcome, UnitVerb};
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    pub verb: UnitVerb,
    pub unit: &'a str,
    pub stable: Duration,
}

/// Whether an effect held as long as asked.
#[derive(Debug)]
pub enum Held {
    Yes,
    Until(Duration, UnitState),
    Cancelled(Duration),
}

impl Judge<'_> {
    /// `restarted`
    pub fn done(&self) -> &'static str {
        match self.verb {
            UnitVerb::Start => "started",
            UnitVerb::Stop => "stopped",
            UnitVerb::Restart => "restarted",
        }
    }

    fn verb(&self) -> &'static str {
        match self.verb {
            UnitVerb::Start => "start",
            UnitVerb::Stop => "stop",
            UnitVerb::Restart => "restart",
        }
    }

    fn asked(&self) -> String {
        let aim = if self.verb == UnitVerb::Stop { "is down" } else { "is active" };
        match self.stable.as_secs() {
            0 => format!("{} {aim}", self.unit),
            seconds => format!("{} {aim} for {seconds} s", self.unit),
        }
    }

    /// Whether a state is the one that was asked for. A oneshot service that has done its work is down again.
    pub fn is_so(&self, state: &UnitState) -> bool {
        match self.verb {
            UnitVerb::Stop => state.is_down(),
            UnitVerb::Start | UnitVerb::Restart => {
                let worked = state.kind.as_deref() == Some("oneshot") && state.active == "inactive";
                state.is_active() || (worked && state.trouble().is_none() && !state.is_skipped())
            }
        }
    }

    /// Whether nothing was started anew meanwhile, by systemd or by somebody else.
    pub fn is_same(&self, first: &UnitState, state: &UnitState) -> bool {
        first.invocation == state.invocation && first.restarts == state.restarts
    }

    fn finding(&self, outcome: Outcome, observed: String, reason: Option<String>) -> Finding {
        Finding { outcome, asked: self.asked(), observed, reason, exit_code: None }
    }

    fn look(&self) -> String {
        format!("its last lines are in the output; more: journalctl -u {}", self.unit)
    }

    pub fn verified(&self, state: &UnitState) -> Finding {
        self.finding(Outcome::Verified, format!("{}, {}", self.done(), state.words()), None)
    }

    /// systemd did it, and then it was not so.
    pub fn done_but(&self, state: &UnitState, after: Duration) -> Finding {
        let how = match state.trouble() {
            Some(trouble) if state.active == "failed" => format!("failed: {trouble}"),
            Some(trouble) => format!("{}: {trouble}", state.words()),
            None if state.is_skipped() => format!("{}: a condition of it is not met, systemd skips it", state.words()),
            None => state.words(),
        };
        let again = if self.is_so(state) { "started again: " } else { "" };
        let restarts = match state.restarts {
            Some(restarts) if restarts > 0 => format!(", restarted {restarts} times by systemd"),
            _ => String::new(),
        };
        let observed = format!("{}, then {again}{how} after {} s{restarts}", self.done(), after.as_secs());
        self.finding(Outcome::Unverified, observed, Some(self.look()))
    }

    /// The job ended without being done.
    pub fn ended_otherwise(&self, result: &JobResult, state: &UnitState) -> Finding {
        let now = state.words();
        match result {
            JobResult::Cancelled => {
                let reason = Some(format!("the job was cancelled before {} had {}", self.unit, self.done()));
                self.finding(Outcome::Cancelled, now, reason)
            }
            JobResult::Late => {
                let reason = format!(
                    "systemd still works on it after {} s: systemctl list-jobs; journalctl -u {}",
                    UNIT_JOB_WITHIN.as_secs(),
                    self.unit
                );
                self.finding(Outcome::Unverified, now, Some(reason))
            }
            JobResult::Done => self.done_but(state, Duration::ZERO),
            JobResult::Other(word) => {
                let why = state.trouble().unwrap_or_else(|| word.clone());
                let reason = match word.as_str() {
                    "dependency" => format!(
                        "a unit that {} needs did not start: systemctl list-dependencies {}",
                        self.unit, self.unit
                    ),
                    "canceled" => format!("another job took the place of this one: systemctl status {}", self.unit),
                    _ => self.look(),
                };
                let observed =
                    if state.active == "failed" { format!("failed: {why}") } else { format!("{now}, failed: {why}") };
                self.finding(Outcome::Failed, observed, Some(reason))
            }
        }
    }

    /// systemd did not take it.
    pub fn not_done(&self, words: &str, state: Option<&UnitState>) -> Finding {
        let now = state.map_or_else(|| "its state is not known".to_owned(), UnitState::words);
        let masked = state.is_some_and(|state| state.load == "masked");
        let reason = if masked {
            format!("{} is masked, so that nobody starts it: systemctl unmask {}", self.unit, self.unit)
        } else {
            format!("systemd did not {} it: {words}", self.verb())
        };
        let observed = if masked { format!("masked, {now}") } else { now };
        self.finding(Outcome::Failed, observed, Some(reason))
    }

    /// systemd may or may not have taken it.
    pub fn not_heard(&self, words: &str, state: Option<&UnitState>) -> Finding {
        let now = state.map_or_else(|| "its state is not known".to_owned(), UnitState::words);
        let reason = format!(
            "systemd has not said whether it does it: {words}; it may still: systemctl list-jobs; systemctl status {}",
            self.unit
        );
        self.finding(Outcome::Unverified, now, Some(reason))
    }

    /// It was done, and how it is now cannot be seen.
    pub fn unseen(&self, words: &str) -> Finding {
        let reason = Some(format!("how it is now cannot be seen: {words}"));
        self.finding(Outcome::Unverified, "its state is not known".into(), reason)
    }

    pub fn cancelled_while_watched(&self, state: &UnitState, after: Duration) -> Finding {
        let reason = format!("it was done; watching it was cancelled after {} s", after.as_secs());
        self.finding(Outcome::Cancelled, format!("{}, {}", self.done(), state.words()), Some(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::systemd::MainEnd;

    const RESTART: Judge<'_> =
        Judge { verb: UnitVerb::Restart, unit: "nginx.service", stable: Duration::from_secs(10) };
    const STOP: Judge<'_> = Judge { verb: UnitVerb::Stop, ..RESTART };

    fn state(active: &str, sub: &str) -> UnitState {
        UnitState {
            active: active.into(),
            sub: sub.into(),
            invocation: vec![1],
            result: Some("success".into()),
            restarts: Some(0),
            ..UnitState::default()
        }
    }

    fn failed(code: i32) -> UnitState {
        UnitState { result: Some("exit-code".into()), main: Some(MainEnd::Exited(code)), ..state("failed", "failed") }
    }

    #[test]
    fn what_is_active_is_verified() {
        let running = state("active", "running");
        assert!(RESTART.is_so(&running) && !STOP.is_so(&running));
        let finding = RESTART.verified(&running);
        assert_eq!(finding.asked, "nginx.service is active for 10 s");
        assert_eq!(finding.observed, "restarted, active (running)");
    }

    #[test]
    fn a_oneshot_that_has_worked_is_so_and_one_that_failed_is_not() {
        let oneshot = |state| UnitState { kind: Some("oneshot".into()), ..state };
        assert!(RESTART.is_so(&oneshot(state("inactive", "dead"))));
        assert!(!RESTART.is_so(&oneshot(failed(1))));
        assert!(!RESTART.is_so(&state("inactive", "dead")), "another type has gone");
        assert!(STOP.is_so(&failed(143)), "stopped, however it ended");
        let skipped = UnitState { conditions_met: Some(false), ..oneshot(state("inactive", "dead")) };
        assert!(!RESTART.is_so(&skipped) && STOP.is_so(&skipped));
        let observed = RESTART.done_but(&skipped, Duration::ZERO).observed;
        assert!(observed.contains("a condition of it is not met"), "{observed}");
    }

    #[test]
    fn what_systemd_may_have_taken_has_not_failed() {
        let finding = RESTART.not_heard("no answer within 10 s", Some(&state("active", "running")));
        assert_eq!((finding.outcome, finding.observed.as_str()), (Outcome::Unverified, "active (running)"));
        assert!(finding.reason.expect("a reason").contains("no answer within 10 s"));
    }

    #[test]
    fn one_that_dies_again_is_done_but_not_verified() {
        let finding = RESTART.done_but(&failed(1), Duration::from_secs(3));
        assert_eq!(finding.outcome, Outcome::Unverified);
        assert_eq!(finding.observed, "restarted, then failed: exit-code 1 after 3 s");
    }

    #[test]
    fn one_that_systemd_started_again_is_not_the_same() {
        let first = state("active", "running");
        let again = UnitState { invocation: vec![2], restarts: Some(1), ..first.clone() };
        assert!(RESTART.is_so(&again) && !RESTART.is_same(&first, &again));
        let observed = RESTART.done_but(&again, Duration::from_secs(2)).observed;
        assert_eq!(observed, "restarted, then started again: active (running) after 2 s, restarted 1 times by systemd");
    }

    #[test]
    fn one_that_fails_to_start_says_why() {
        let finding = RESTART.ended_otherwise(&JobResult::Other("failed".into()), &failed(1));
        assert_eq!((finding.outcome, finding.observed.as_str()), (Outcome::Failed, "failed: exit-code 1"));
        let finding = RESTART.ended_otherwise(&JobResult::Other("dependency".into()), &state("inactive", "dead"));
        assert_eq!(finding.observed, "inactive (dead), failed: dependency");
        assert!(finding.reason.expect("a reason").contains("list-dependencies nginx.service"));
    }

    #[test]
    fn a_masked_one_is_named() {
        let masked = UnitState { load: "masked".into(), ..state("inactive", "dead") };
        let finding = RESTART.not_done("Unit nginx.service is masked.", Some(&masked));
        assert_eq!((finding.outcome, finding.observed.as_str()), (Outcome::Failed, "masked, inactive (dead)"));
        assert!(finding.reason.expect("a reason").contains("systemctl unmask nginx.service"));
    }
}
