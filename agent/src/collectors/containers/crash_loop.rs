//! Whether a container dies again and again. Pure: times come from outside.
//!
//! It is a crash loop from the third death within [`WINDOW_MS`] on if Docker restarts the container
//! by policy, and from the fifth failure on if someone or something else starts it again. Docker's
//! back-off (100 ms, doubled up to a minute, reset by ten seconds of running) spreads the deaths
//! out, but the first three always come early. It does not count when someone stops the
//! container, nor when a container without policy ends well.
//!
//! Of a container whose deaths nobody watched, since the agent has just started, Docker's own memory is
//! asked ([`Past`]): it counts restarts, and knows the last death and start. It loops if it restarts
//! often and still does: on average since it was made, or after a pause that only a back-off doubled
//! many times explains. One that began to fail late in a long life, and lives for more than ten seconds
//! each time, shows neither; it is named by the deaths that follow.
//!
//! A loop ends when the container has stayed up for a minute and for longer than it took from death to death, when someone
//! stops or removes it, or when nothing has happened for a whole window (Docker gave up).

use crate::limits::DEATHS;
use std::collections::VecDeque;

/// Deaths within it make a loop.
pub const WINDOW_MS: i64 = 300_000;

/// Deaths that make a loop when a restart policy starts the container again.
const DEATHS_BY_POLICY: usize = 3;

/// Failures that make a loop without a policy: a person who tries again three times is none.
const DEATHS_BY_HAND: usize = 5;

/// The least time up that ends a loop.
const STABLE_MS: i64 = 60_000;

/// A pause before a start that takes seven restarts in a row: starting is never that slow by itself.
const BACKED_OFF_MS: i64 = 6_400;

/// Running for so long resets Docker's back-off.
const BACKOFF_RESET_MS: i64 = 10_000;

/// One end of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    pub at_ms: i64,
    pub exit_code: Option<i64>,
    /// Someone stopped it.
    pub deliberate: bool,
    pub policy: Policy,
}

/// Who starts it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nobody, or someone outside Docker.
    None,
    OnFailure,
    /// Docker, however it ended.
    Always,
}

/// What Docker remembers of a container that it restarts by policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// By policy, since someone last started it.
    pub restarts: u32,
    pub created_ms: i64,
    /// Its last death.
    pub died_ms: i64,
    pub exit_code: Option<i64>,
    /// Since when it runs; none while Docker pauses before it starts it again.
    pub up_since: Option<i64>,
}

impl Past {
    /// From death to death, if it died often enough lately to make a loop.
    fn period_ms(&self, now_ms: i64) -> Option<i64> {
        let average = (self.died_ms - self.created_ms) / i64::from(self.restarts.max(1));
        let pause = self.up_since.unwrap_or(now_ms) - self.died_ms;
        let backed_off = (pause >= BACKED_OFF_MS).then_some(pause + BACKOFF_RESET_MS);
        let often = |period: &i64| (0..=WINDOW_MS / (DEATHS_BY_POLICY as i64 - 1)).contains(period);
        let period = [Some(average), backed_off].into_iter().flatten().filter(often).min()?;
        let goes_on = self.up_since.is_none_or(|since| now_ms - since < STABLE_MS.max(period + 1));
        (self.restarts as usize >= DEATHS_BY_POLICY && goes_on).then_some(period)
    }
}

/// What a fact did to the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Began,
    Ended,
}

/// The recent deaths of one container.
#[derive(Debug, Default)]
pub struct Watch {
    deaths: VecDeque<i64>,
    up_since: Option<i64>,
    looping: bool,
    /// Of a loop that began before anybody watched; else zero.
    recalled_period_ms: i64,
    last_exit_code: Option<i64>,
}

impl Watch {
    /// The container runs since `at_ms`.
    pub fn started(&mut self, at_ms: i64) {
        self.up_since = Some(at_ms);
    }

    /// The container died.
    pub fn died(&mut self, death: Death) -> Option<Turn> {
        self.up_since = None;
        self.last_exit_code = death.exit_code;
        let failed = death.exit_code != Some(0);
        if death.deliberate || (!failed && death.policy == Policy::OnFailure) {
            self.deaths.clear();
            return self.end();
        }
        if !failed && death.policy == Policy::None {
            return None;
        }
        if self.deaths.len() == DEATHS {
            self.deaths.pop_front();
        }
        self.deaths.push_back(death.at_ms);
        self.forget(death.at_ms);
        let enough = if death.policy == Policy::None { DEATHS_BY_HAND } else { DEATHS_BY_POLICY };
        let begins = !self.looping && self.deaths.len() >= enough;
        self.looping |= begins;
        begins.then_some(Turn::Began)
    }

    /// Judges by Docker's memory, where deaths were not seen.
    pub fn recall(&mut self, past: Past, now_ms: i64) -> Option<Turn> {
        let period_ms = past.period_ms(now_ms).filter(|_| !self.looping)?;
        // The last one: when the earlier ones were, and how many of late, Docker does not say.
        self.deaths = VecDeque::from([past.died_ms]);
        self.recalled_period_ms = period_ms;
        (self.up_since, self.last_exit_code, self.looping) = (past.up_since, past.exit_code, true);
        Some(Turn::Began)
    }

    /// Time has passed.
    pub fn passed(&mut self, now_ms: i64) -> Option<Turn> {
        let over = match self.up_since {
            Some(since) => now_ms - since >= STABLE_MS.max(self.period_ms() + 1),
            None => self.deaths.back().is_none_or(|last| now_ms - last > WINDOW_MS),
        };
        if !self.looping || !over {
            return None;
        }
        self.deaths.clear();
        self.end()
    }

    /// Ends the loop, if there is one.
    pub fn end(&mut self) -> Option<Turn> {
        self.recalled_period_ms = 0;
        std::mem::take(&mut self.looping).then_some(Turn::Ended)
    }

    /// Whether it loops now.
    #[must_use]
    pub fn is_looping(&self) -> bool {
        self.looping
    }

    /// Deaths within the window before the last one that Docker told of: of a loop that was recalled, one at
    /// first.
    #[must_use]
    pub fn deaths(&self) -> u32 {
        u32::try_from(self.deaths.len()).unwrap_or(u32::MAX)
    }

    #[must_use]
    pub fn last_exit_code(&self) -> Option<i64> {
        self.last_exit_code
    }

    /// The longest time from death to death.
    fn period_ms(&self) -> i64 {
        let seen = self.deaths.iter().zip(self.deaths.iter().skip(1)).map(|(one, next)| next - one).max();
        seen.unwrap_or(0).max(self.recalled_period_ms)
    }

    fn forget(&mut self, now_ms: i64) {
        while self.deaths.front().is_some_and(|at| now_ms - at > WINDOW_MS) {
            self.deaths.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "crash_loop_tests.rs"]
mod tests;
