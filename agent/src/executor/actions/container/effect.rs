//! Whether what was asked for is true, and stays so: decided from events and looks as they come. Pure.
//!
//! An action says of itself only that Docker took it. So the container is looked at ([`Effect::look`]) until the state has
//! held for the time that was asked for, and Docker's events ([`Effect::event`]) tell what happened between two looks: one that
//! dies and is back before the next look has not held. A restart's own death and start are told from later ones
//! by Docker's `restart` event, which comes when it is through.

use crate::docker::{Change, Inspection};
use crate::limits::{HEALTH_LONGEST, HEALTH_SLACK, LOOK_PATIENCE};
use fleetlight_protocol::document::ContainerState;
use std::time::Duration;

/// What is to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Running, and healthy where there is a check.
    Runs,
    Paused,
    Ended,
    Gone,
}

/// By which of its own events the action is known to be through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// The first start.
    Started,
    /// The event of a restart: starts before it are its own.
    Restarted,
    /// Nothing of its own starts or ends: from the call's answer on, everything counts.
    Answered,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    /// It has held for the time that was asked for.
    Holds,
    Broken(Broken),
}

/// Why it is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    Died {
        exit_code: Option<i64>,
        ran_ms: Option<i64>,
    },
    /// It ended and runs again, so fast that only its count or its start time tell.
    CameBack,
    /// In a state that is not the wanted one.
    Is(ContainerState),
    Unhealthy,
    StillStarting {
        after_ms: i64,
    },
    Removed,
}

/// The fold over what is seen. Times are the host's, in milliseconds.
#[derive(Debug)]
pub struct Effect {
    aim: Aim,
    through: Through,
    stable_ms: i64,
    /// It was so before anything was done.
    already: bool,
    /// When the call was answered; none while it is under way.
    answered_ms: Option<i64>,
    /// The action's own start.
    own_start_ms: Option<i64>,
    is_through: bool,
    broken: Option<Broken>,
    /// Start time and restart count that are to stay.
    first: Option<(Option<i64>, u32)>,
    healthy_since_ms: Option<i64>,
}

impl Effect {
    #[must_use]
    pub fn new(aim: Aim, through: Through, stable: Duration) -> Self {
        Self {
            aim,
            through,
            stable_ms: milliseconds(stable),
            already: false,
            answered_ms: None,
            own_start_ms: None,
            is_through: false,
            broken: None,
            first: None,
            healthy_since_ms: None,
        }
    }

    /// Of a container that is not started by this: what it was `before` is what it is to stay.
    #[must_use]
    pub fn staying(aim: Aim, stable: Duration, before: &Inspection) -> Self {
        Self { first: Some((before.started_ms, before.restarts)), ..Self::new(aim, Through::Answered, stable) }
    }

    /// Of what is so already: how long it has been so counts too.
    #[must_use]
    pub fn already(aim: Aim, stable: Duration, before: &Inspection) -> Self {
        Self { already: true, ..Self::staying(aim, stable, before) }
    }

    #[must_use]
    pub fn is_to_run(&self) -> bool {
        self.aim == Aim::Runs
    }

    /// The call came back: from here on it is looked at.
    pub fn answered(&mut self, now_ms: i64) {
        self.answered_ms = Some(now_ms);
        self.is_through |= self.through == Through::Answered;
    }

    /// Takes an event of the container since before the action.
    pub fn event(&mut self, at_ms: i64, change: &Change) {
        match change {
            Change::Started => self.started(at_ms),
            Change::Restarted => self.is_through |= self.through == Through::Restarted,
            Change::Died { exit_code } => {
                let ran_ms =
                    self.own_start_ms.or(self.first.and_then(|(started, _)| started)).map(|start| at_ms - start);
                self.breaks(at_ms, &[Aim::Runs, Aim::Paused], Broken::Died { exit_code: *exit_code, ran_ms });
            }
            Change::Paused => self.breaks(at_ms, &[Aim::Runs], Broken::Is(ContainerState::Paused)),
            Change::Unpaused => self.breaks(at_ms, &[Aim::Paused], Broken::Is(ContainerState::Running)),
            Change::Removed => self.breaks(at_ms, &[Aim::Runs, Aim::Paused], Broken::Removed),
            Change::Health(health) if health == "healthy" => {
                self.healthy_since_ms.get_or_insert(at_ms);
            }
            Change::Health(_) => self.healthy_since_ms = None,
            Change::Created | Change::OutOfMemory | Change::Killed { .. } | Change::Altered => {}
        }
    }

    fn started(&mut self, at_ms: i64) {
        if self.through == Through::Answered || self.is_through {
            return self.breaks(
                at_ms,
                &[Aim::Ended, Aim::Runs],
                match self.aim {
                    Aim::Ended => Broken::Is(ContainerState::Running),
                    _ => Broken::CameBack,
                },
            );
        }
        // Of a restart that is not through: an earlier start was the restart policy's, and what followed it too.
        self.own_start_ms = Some(at_ms);
        self.broken = None;
        self.healthy_since_ms = None;
        self.is_through = self.through == Through::Started;
    }

    /// Counts if it comes after the action's own start, or after the answer where nothing of it starts.
    fn breaks(&mut self, at_ms: i64, aims: &[Aim], broken: Broken) {
        let counts = match self.through {
            Through::Answered => self.answered_ms.is_some_and(|answered| at_ms > answered),
            Through::Started | Through::Restarted => self.own_start_ms.is_some(),
        };
        if counts && aims.contains(&self.aim) {
            self.broken.get_or_insert(broken);
        }
    }

    /// Takes what the container is now; `None` if it does not exist.
    pub fn look(&mut self, now_ms: i64, found: Option<&Inspection>) -> Verdict {
        if let Some(broken) = &self.broken {
            return Verdict::Broken(broken.clone());
        }
        let Some(found) = found else {
            let wanted = matches!(self.aim, Aim::Gone | Aim::Ended);
            return if wanted { Verdict::Holds } else { Verdict::Broken(Broken::Removed) };
        };
        let answered_ms = self.answered_ms.unwrap_or(now_ms);
        let held_since_ms = match self.aim {
            Aim::Gone if now_ms - answered_ms < milliseconds(LOOK_PATIENCE) => Err(Verdict::Wait),
            Aim::Gone => Err(Verdict::Broken(Broken::Is(found.state))),
            Aim::Ended if has_ended(found.state) => {
                Ok(if self.already { found.finished_ms.unwrap_or(answered_ms) } else { answered_ms })
            }
            Aim::Paused if found.state == ContainerState::Paused => Ok(answered_ms),
            Aim::Runs if found.state == ContainerState::Running => self.runs(now_ms, answered_ms, found),
            Aim::Runs => Err(Verdict::Broken(not_running(found))),
            Aim::Ended | Aim::Paused => Err(Verdict::Broken(Broken::Is(found.state))),
        };
        match held_since_ms {
            Ok(since_ms) if now_ms - since_ms >= self.stable_ms => Verdict::Holds,
            Ok(_) => Verdict::Wait,
            Err(verdict) => verdict,
        }
    }

    /// Since when it runs as it should.
    fn runs(&mut self, now_ms: i64, answered_ms: i64, found: &Inspection) -> Result<i64, Verdict> {
        let (started_ms, restarts) = *self.first.get_or_insert((found.started_ms, found.restarts));
        if (found.started_ms, found.restarts) != (started_ms, restarts) {
            return Err(Verdict::Broken(Broken::CameBack));
        }
        let counts_from_start = self.already || self.through != Through::Answered;
        let up_since_ms = started_ms.filter(|_| counts_from_start).unwrap_or(answered_ms);
        match found.health.as_deref() {
            None => Ok(up_since_ms),
            Some("healthy") if self.already => Ok(self.healthy_since_ms.unwrap_or(up_since_ms)),
            Some("healthy") => Ok(up_since_ms.max(*self.healthy_since_ms.get_or_insert(now_ms))),
            Some("unhealthy") => Err(Verdict::Broken(Broken::Unhealthy)),
            Some(_) => {
                self.healthy_since_ms = None;
                let after_ms = now_ms - up_since_ms.max(answered_ms);
                let late = after_ms >= milliseconds(health_within(found.health_verdict));
                Err(if late { Verdict::Broken(Broken::StillStarting { after_ms }) } else { Verdict::Wait })
            }
        }
    }
}

/// How long a health check may take to say what it thinks.
fn health_within(verdict: Option<Duration>) -> Duration {
    verdict.unwrap_or_default().saturating_add(HEALTH_SLACK).min(HEALTH_LONGEST)
}

fn has_ended(state: ContainerState) -> bool {
    matches!(state, ContainerState::Exited | ContainerState::Created | ContainerState::Dead)
}

/// What a container that does not run came to.
fn not_running(found: &Inspection) -> Broken {
    match found.state {
        ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting => Broken::Died {
            exit_code: found.exit_code,
            ran_ms: found.finished_ms.zip(found.started_ms).map(|(end, start)| end - start).filter(|ran| *ran >= 0),
        },
        state => Broken::Is(state),
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "effect_tests.rs"]
mod tests;
