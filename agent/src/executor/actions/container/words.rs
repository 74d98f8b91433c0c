//! What a container's action came to, in words. Pure.

use super::effect::{Aim, Broken};
use crate::docker::{DockerError, Inspection, RestartPolicy};
use crate::executor::actions::Finding;
use crate::limits::REASON_CHARS;
use crate::mask;
use fleetlight_protocol::command::{ContainerVerb, Outcome};
use fleetlight_protocol::document::ContainerState;
use fleetlight_protocol::limits::TEXT_CHARS;
use std::time::Duration;

/// What is said of one action.
#[derive(Debug, Clone)]
pub struct Telling {
    pub verb: ContainerVerb,
    pub aim: Aim,
    pub name: String,
    pub stable: Duration,
    pub has_check: bool,
    /// It was so before anything was done.
    pub already: bool,
}

impl Telling {
    /// What is to be true.
    #[must_use]
    pub fn asked(&self) -> String {
        let (name, stable) = (&self.name, self.stable.as_secs());
        let anew = if self.is_anew() { " is made anew by compose and" } else { "" };
        match self.aim {
            Aim::Runs if self.has_check => format!("{name}{anew} runs, healthy, for {stable} s"),
            Aim::Runs => format!("{name}{anew} runs for {stable} s"),
            Aim::Paused => format!("{name} is paused for {stable} s"),
            Aim::Ended => format!("{name} has ended and stays so for {stable} s"),
            Aim::Gone => format!("{name} is removed"),
        }
    }

    fn is_anew(&self) -> bool {
        matches!(self.verb, ContainerVerb::Recreate | ContainerVerb::Rebuild)
    }

    /// What was done.
    fn done(&self) -> &'static str {
        match self.verb {
            _ if self.already && self.aim == Aim::Runs => "was already running",
            _ if self.already && self.aim == Aim::Paused => "was already paused",
            _ if self.already => "had already ended",
            ContainerVerb::Start => "started",
            ContainerVerb::Restart => "restarted",
            ContainerVerb::Stop => "stopped",
            ContainerVerb::Kill => "killed",
            ContainerVerb::Pause => "paused",
            ContainerVerb::Unpause => "resumed",
            ContainerVerb::Remove => "removed",
            ContainerVerb::Recreate => "recreated",
            ContainerVerb::Rebuild => "rebuilt and recreated",
            ContainerVerb::Pull => "pulled",
        }
    }

    /// It is so, and has been long enough.
    #[must_use]
    pub fn holds(&self, found: Option<&Inspection>, now_ms: i64) -> Finding {
        let observed = match (self.aim, found) {
            (Aim::Gone, _) => self.done().to_owned(),
            (_, Some(found)) => format!("{}; {}", self.done(), state(found, now_ms)),
            (_, None) => format!("{}; Docker has removed it, as it was made to be (--rm)", self.done()),
        };
        self.finding(Outcome::Verified, observed, None)
    }

    /// Docker did it, and it is not so. `lines` are the container's last ones, as they may leave the host.
    #[must_use]
    pub fn broken(&self, broken: &Broken, found: Option<&Inspection>, lines: &[String]) -> Finding {
        let done = self.done();
        let (observed, reason) = match broken {
            Broken::Died { exit_code, ran_ms } => {
                let code = exit_code.map_or_else(|| "ended".to_owned(), |code| format!("exited {code}"));
                let after = ran_ms.map_or_else(String::new, |ran| format!(" after {}", span(ran)));
                let rest = found.map_or("", after_death);
                (format!("{done}, then {code}{after}{rest}"), last_lines(lines))
            }
            Broken::CameBack => {
                let restarts = found.map_or(0, |found| found.restarts);
                (format!("{done}, then ended and was started again (restart count {restarts})"), last_lines(lines))
            }
            Broken::Is(now) => {
                let why = "somebody else or a supervisor of its own changes it: look at what does, then ask again";
                (format!("{done}, but {}", state_word(*now)), why.to_owned())
            }
            Broken::Unhealthy => (format!("{done}, runs, but is unhealthy"), probe(found)),
            Broken::StillStarting { after_ms } => {
                let after = span(*after_ms);
                (format!("{done}, runs, but its health check is still starting after {after}"), probe(found))
            }
            Broken::Removed => (format!("{done}, then was removed"), "somebody else removed it meanwhile".to_owned()),
        };
        let exit_code = match broken {
            Broken::Died { exit_code, .. } => *exit_code,
            _ => None,
        };
        Finding { exit_code, ..self.finding(Outcome::Unverified, observed, Some(reason)) }
    }

    /// Docker did not do it, or did not say so in time.
    #[must_use]
    pub fn failed(&self, error: &DockerError, found: Option<&Inspection>, now_ms: i64) -> Finding {
        self.finding(Outcome::Failed, now(found, now_ms), Some(said(&error.to_string())))
    }

    /// Nobody can see whether it is so.
    #[must_use]
    pub fn unseen(&self, error: &DockerError) -> Finding {
        let observed = format!("{}, but what it is now cannot be seen", self.done());
        self.finding(Outcome::Unverified, observed, Some(said(&error.to_string())))
    }

    /// `reason` says during what.
    #[must_use]
    pub fn cancelled(&self, reason: &str, found: Option<&Inspection>, now_ms: i64) -> Finding {
        self.finding(Outcome::Cancelled, now(found, now_ms), Some(reason.to_owned()))
    }

    #[must_use]
    pub fn finding(&self, outcome: Outcome, observed: String, reason: Option<String>) -> Finding {
        Finding { outcome, asked: self.asked(), observed, reason, exit_code: None }
    }
}

/// What it is now.
#[must_use]
pub fn now(found: Option<&Inspection>, now_ms: i64) -> String {
    found.map_or_else(|| "does not exist, or Docker does not say".to_owned(), |found| state(found, now_ms))
}

fn state(found: &Inspection, now_ms: i64) -> String {
    let since =
        |since_ms: Option<i64>| since_ms.map_or_else(String::new, |since| format!(" for {}", span(now_ms - since)));
    match found.state {
        ContainerState::Running => {
            let health = found.health.as_ref().map_or_else(String::new, |health| format!(", {health},"));
            format!("runs{health}{}, restart count {}", since(found.started_ms), found.restarts)
        }
        ContainerState::Exited | ContainerState::Dead => {
            let code = found.exit_code.map_or_else(|| "ended".to_owned(), |code| format!("exited {code}"));
            let ago = found.finished_ms.map_or_else(String::new, |end| format!(", {} ago", span(now_ms - end)));
            format!("{code}{ago}")
        }
        state => state_word(state).to_owned(),
    }
}

fn state_word(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "is created and was never started",
        ContainerState::Running => "is running",
        ContainerState::Paused => "is paused",
        ContainerState::Restarting => "waits to be restarted by its restart policy",
        ContainerState::Removing => "is being removed",
        ContainerState::Exited => "has ended",
        ContainerState::Dead => "is dead: Docker could not remove all of it",
        ContainerState::Unknown => "is in a state that this agent does not know",
    }
}

fn after_death(found: &Inspection) -> &'static str {
    let ended = !matches!(found.state, ContainerState::Running | ContainerState::Paused);
    match (found.oom_killed && ended, found.restart_policy) {
        (true, RestartPolicy::No) => ", killed because memory was lacking",
        (true, _) => ", killed because memory was lacking; its restart policy starts it again",
        (false, RestartPolicy::No) => "",
        (false, RestartPolicy::OnFailure) => "; its restart policy (on-failure) starts it again after a failure",
        (false, RestartPolicy::Always | RestartPolicy::UnlessStopped) => "; its restart policy starts it again",
    }
}

fn last_lines(lines: &[String]) -> String {
    const HEAD: &str = "its last lines:";
    if lines.is_empty() {
        return "its log has no lines: look at its command and exit code".to_owned();
    }
    // The newest matter most.
    let mut room = REASON_CHARS - HEAD.len();
    let fits = |line: &&String| {
        let left = room.checked_sub(line.chars().count() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let newest = lines.iter().rev().take_while(fits).count();
    format!("{HEAD}\n{}", lines[lines.len() - newest..].join("\n"))
}

fn probe(found: Option<&Inspection>) -> String {
    let Some(probe) = found.and_then(|found| found.probe.as_ref()) else {
        return "its health check has not said anything yet".to_owned();
    };
    let code = probe.exit_code.map_or_else(String::new, |code| format!(" (exit {code})"));
    let lines: Vec<Vec<u8>> = probe.output.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    format!("its health check said last{code}: {}", mask::last_lines(&lines).join("\n").trim())
}

/// Words of Docker or of a program, as they may leave the host.
#[must_use]
pub fn said(words: &str) -> String {
    mask::cut(mask::text(&mask::plain(words.as_bytes())), TEXT_CHARS)
}

/// As a container's document has a name: what the asker saw.
#[must_use]
pub fn text(text: &str) -> String {
    mask::cut(mask::plain(text.as_bytes()), TEXT_CHARS)
}

/// A time, no finer than people want it.
#[must_use]
pub fn span(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{} ms", milliseconds.max(0)),
        1_000..120_000 => format!("{} s", (milliseconds + 500) / 1_000),
        120_000..7_200_000 => format!("{} min", milliseconds / 60_000),
        _ => format!("{} h", milliseconds / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_as_fine_as_people_want_it() {
        let shown = [-5, 240, 3_049, 119_000, 300_000, 10_000_000].map(span);
        assert_eq!(shown, ["0 ms", "240 ms", "3 s", "119 s", "5 min", "2 h"]);
    }

    #[test]
    fn a_death_is_told_with_its_last_lines() {
        let telling = Telling {
            verb: ContainerVerb::Restart,
            aim: Aim::Runs,
            name: "comfy-user001".into(),
            stable: Duration::from_secs(10),
            has_check: false,
            already: false,
        };
        let died = Broken::Died { exit_code: Some(1), ran_ms: Some(3_012) };
        let finding = telling.broken(&died, None, &["no GPU".to_owned()]);
        assert_eq!(finding.asked, "comfy-user001 runs for 10 s");
        assert_eq!(finding.observed, "restarted, then exited 1 after 3 s");
        assert_eq!(finding.reason.as_deref(), Some("its last lines:\nno GPU"));
        assert_eq!((finding.outcome, finding.exit_code), (Outcome::Unverified, Some(1)));

        let many: Vec<_> = (0..20).map(|number| format!("{number} {}", "x".repeat(390))).collect();
        let reason = telling.broken(&died, None, &many).reason.expect("lines");
        assert!(reason.chars().count() <= REASON_CHARS && reason.contains("\n19 x") && !reason.contains("\n1 x"));
    }
}
