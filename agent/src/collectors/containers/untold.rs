//! Deaths that are known and not yet told. Pure: times come from outside.
//!
//! Every death waits for its container's last log lines, for no longer than [`LAST_LINES_WAIT`]: then it is told
//! without them, whether Docker was too slow or, in a burst of deaths, was never asked.
//! One by SIGKILL that nobody asked for also waits for the word that memory was lacking, for no longer than
//! [`OOM_WORD_WAIT`]: Docker may say "die" before it says "oom".

use super::known::DeathNews;
use crate::docker::ContainerId;
use crate::limits::{LAST_LINES_WAIT, OOM_WORD_WAIT, UNTOLD_DEATHS};
use std::collections::VecDeque;
use tokio::time::Instant;

/// Oldest first.
#[derive(Debug, Default)]
pub struct Untold {
    deaths: VecDeque<Waiting>,
    /// Number of the last death.
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    news: DeathNews,
    lines: Lines,
    lines_by: Instant,
    /// Until when the word that memory was lacking may come.
    word_by: Option<Instant>,
}

#[derive(Debug)]
enum Lines {
    /// Nobody has asked for them.
    Due,
    /// Whoever asked gives up in time.
    Asked,
    Here(Vec<String>),
}

/// A question for last lines, to be given up at `by`.
#[derive(Debug, PartialEq)]
pub struct Ask {
    pub number: u64,
    pub id: ContainerId,
    pub by: Instant,
}

impl Untold {
    /// A death that happened. If there are too many, the oldest waits no longer.
    pub fn push(&mut self, news: DeathNews, now: Instant) {
        if self.deaths.len() >= UNTOLD_DEATHS
            && let Some(oldest) = self.deaths.front_mut()
        {
            (oldest.lines, oldest.word_by) = (Lines::Here(Vec::new()), None);
        }
        self.last += 1;
        let word_by = (news.may_lack_memory() && !news.deliberate).then(|| now + OOM_WORD_WAIT);
        let lines_by = now + LAST_LINES_WAIT;
        self.deaths.push_back(Waiting { number: self.last, news, lines: Lines::Due, lines_by, word_by });
    }

    /// What to ask for next, at most `free` questions; it counts as asked.
    pub fn ask(&mut self, free: usize) -> Vec<Ask> {
        let due = self.deaths.iter_mut().filter(|death| matches!(death.lines, Lines::Due));
        let ask = |death: &mut Waiting| {
            death.lines = Lines::Asked;
            Ask { number: death.number, id: death.news.id.clone(), by: death.lines_by }
        };
        due.take(free).map(ask).collect()
    }

    /// The answer to a question; none if the log driver keeps nothing, or it took too long.
    pub fn answered(&mut self, number: u64, lines: Vec<String>) {
        if let Some(death) = self.deaths.iter_mut().find(|death| death.number == number) {
            death.lines = Lines::Here(lines);
        }
    }

    /// The word that a container lacked memory; true if it explains a death that is not told yet.
    pub fn lacked_memory(&mut self, id: &ContainerId) -> bool {
        let explained = |death: &&mut Waiting| death.news.id == *id && death.news.may_lack_memory();
        let Some(death) = self.deaths.iter_mut().find(explained) else { return false };
        (death.news.oom, death.word_by) = (true, None);
        true
    }

    /// Takes out the deaths that wait for nothing any more.
    pub fn ready(&mut self, now: Instant) -> Vec<(DeathNews, Vec<String>)> {
        let mut ready = Vec::new();
        for death in std::mem::take(&mut self.deaths) {
            let word_may_come = death.word_by.is_some_and(|by| now < by);
            match death.lines {
                Lines::Here(lines) if !word_may_come => ready.push((death.news, lines)),
                Lines::Due if death.lines_by <= now => ready.push((death.news, Vec::new())),
                _ => self.deaths.push_back(death),
            }
        }
        ready
    }

    /// When the next one is ready if neither answer nor word comes.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let at = |death: &Waiting| match death.lines {
            Lines::Due => Some(death.lines_by),
            Lines::Asked => None,
            Lines::Here(_) => death.word_by,
        };
        self.deaths.iter().filter_map(at).min()
    }

    /// Takes out all: nobody answers any more.
    pub fn give_up(&mut self) -> Vec<DeathNews> {
        std::mem::take(&mut self.deaths).into_iter().map(|death| death.news).collect()
    }
}

#[cfg(test)]
#[path = "untold_tests.rs"]
mod tests;
