//! What is known of one container. Pure.

use super::crash_loop::{self, Death, Past, Policy, Turn};
use crate::docker::{ContainerId, Inspection, RestartPolicy};
use fleetlight_protocol::document::{ContainerState, CrashLoop};
use fleetlight_protocol::event::Fact;

/// A signal sent by a person explains a death that follows within it: `docker stop` waits ten
/// seconds unless told otherwise.
pub const KILL_EXPLAINS_MS: i64 = 60_000;

/// The exit code of a process that SIGKILL ended.
const KILLED: i64 = 137;

/// An event and the daemon's own record of the same death differ by less.
const SAME_DEATH_MS: i64 = 2_000;

/// A death that is not yet told.
#[derive(Debug, Clone, PartialEq)]
pub struct DeathNews {
    pub id: ContainerId,
    pub name: String,
    pub at_ms: i64,
    pub exit_code: Option<i64>,
    pub deliberate: bool,
    /// That memory was lacking was said before it, or while it waited to be told.
    pub oom: bool,
    pub turn: Option<Turn>,
}

impl DeathNews {
    /// Whether the word that memory was lacking would explain it, and has not come.
    #[must_use]
    pub fn may_lack_memory(&self) -> bool {
        self.exit_code == Some(KILLED) && !self.oom
    }

    /// Whether it died for want of memory: a container that lost only a child to it may end well later.
    #[must_use]
    pub fn lacked_memory(&self) -> bool {
        self.exit_code == Some(KILLED) && self.oom
    }
}

/// Facts, history and what is suspected.
#[derive(Debug, Default)]
pub struct Known {
    /// As inspected, and as events changed it since.
    pub facts: Option<Inspection>,
    pub crash_loop: crash_loop::Watch,
    pub last_lines: Vec<String>,
    pub oom: bool,
    pub killed_ms: Option<i64>,
    pub last_death_ms: Option<i64>,
    /// The last death was found by inspecting; its event may still come.
    found_dead: bool,
    /// Number of the last event.
    pub changed: u64,
}

impl Known {
    /// It runs since `at_ms`.
    pub fn start(&mut self, at_ms: i64) {
        self.crash_loop.started(at_ms);
        (self.oom, self.killed_ms) = (false, None);
        // Its pid is the former one until it has been inspected.
        if let Some(facts) = &mut self.facts {
            (facts.state, facts.pid, facts.started_ms) = (ContainerState::Running, None, Some(at_ms));
        }
    }

    /// `None` if this death was told already.
    pub fn die(&mut self, id: &ContainerId, name: &str, at_ms: i64, exit_code: Option<i64>) -> Option<DeathNews> {
        if let Some(facts) = &mut self.facts {
            (facts.state, facts.pid) = (ContainerState::Exited, None);
            (facts.exit_code, facts.finished_ms) = (exit_code, Some(at_ms));
        }
        let found = std::mem::take(&mut self.found_dead);
        if found && self.last_death_ms.is_some_and(|last| (at_ms - last).abs() < SAME_DEATH_MS) {
            return None;
        }
        Some(self.news(id, name, at_ms, exit_code))
    }

    fn news(&mut self, id: &ContainerId, name: &str, at_ms: i64, exit_code: Option<i64>) -> DeathNews {
        let deliberate = self.killed_ms.take().is_some_and(|killed| at_ms - killed < KILL_EXPLAINS_MS);
        self.last_death_ms = Some(at_ms);
        let policy = match self.facts.as_ref().map(|facts| facts.restart_policy) {
            Some(RestartPolicy::Always | RestartPolicy::UnlessStopped) => Policy::Always,
            Some(RestartPolicy::OnFailure) => Policy::OnFailure,
            Some(RestartPolicy::No) | None => Policy::None,
        };
        let turn = self.crash_loop.died(Death { at_ms, exit_code, deliberate, policy });
        DeathNews { id: id.clone(), name: name.to_owned(), at_ms, exit_code, deliberate, oom: self.oom, turn }
    }

    /// A death that Docker knows of and no event told.
    pub fn missed_death(&mut self, found: &Inspection) -> Option<DeathNews> {
        let at_ms = found.finished_ms.filter(|at| self.last_death_ms.is_none_or(|last| at - last > SAME_DEATH_MS))?;
        let news = self.news(&found.id, &found.name, at_ms, found.exit_code);
        self.found_dead = true;
        if let (ContainerState::Running, Some(started_ms)) = (found.state, found.started_ms) {
            self.crash_loop.started(started_ms);
        }
        Some(news)
    }

    /// Judges by what Docker remembers whether it is in a crash loop whose deaths were not seen. A
    /// container that Docker does not start again is in none.
    pub fn recall(&mut self, found: &Inspection, now_ms: i64) -> Option<Turn> {
        let up_since = match found.state {
            ContainerState::Running => Some(found.started_ms?),
            ContainerState::Restarting => None,
            _ => return None,
        };
        let (created_ms, died_ms) = (found.created_ms?, found.finished_ms?);
        let past = Past { restarts: found.restarts, created_ms, died_ms, exit_code: found.exit_code, up_since };
        self.crash_loop.recall(past, now_ms)
    }

    /// Paused or going on; gives back the fact that says so.
    pub fn becomes(&mut self, state: ContainerState, fact: Fact) -> Option<Fact> {
        self.facts.iter_mut().for_each(|facts| facts.state = state);
        Some(fact)
    }

    /// A turn of the crash loop as a fact.
    pub fn turned(&self, turn: Turn) -> Fact {
        match (turn, self.looping()) {
            (Turn::Began, Some(CrashLoop { deaths, window_seconds, last_exit_code, last_lines })) => {
                Fact::CrashLoopBegan { deaths, window_seconds, last_exit_code, last_lines }
            }
            _ => Fact::CrashLoopEnded,
        }
    }

    /// The crash loop, if there is one.
    pub fn looping(&self) -> Option<CrashLoop> {
        self.crash_loop.is_looping().then(|| CrashLoop {
            deaths: self.crash_loop.deaths(),
            window_seconds: (crash_loop::WINDOW_MS / 1_000) as u32,
            last_exit_code: self.crash_loop.last_exit_code(),
            last_lines: self.last_lines.clone(),
        })
    }
}
