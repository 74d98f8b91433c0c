//! What is known of every container, and what each fact changes. Pure: no I/O, no clock.
//!
//! Facts come from the daemon's events, from inspecting, and from the list. Answers of Docker may
//! be older than an event that overtook them: every event has a number, every question remembers
//! the number at which it was asked, and an answer about a container that an event has changed
//! since is dropped and asked again.

use super::known::{DeathNews, Known};
use super::{document, events};
use crate::collectors::names::{ContainerNames, UserPattern};
use crate::docker::{Change, ContainerId, DaemonEvent, ImageId, Inspection, Listed, Network};
use crate::limits::CONTAINERS;
use fleetlight_protocol::document::{ContainerState, Document};
use fleetlight_protocol::event::{Event, Fact};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What follows from a fact.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub events: Vec<Event>,
    pub documents: Vec<Document>,
    /// Inspect these.
    pub look: Vec<ContainerId>,
    /// These are gone: an answer about them that is still on its way is to be dropped.
    pub gone: Vec<ContainerId>,
    /// Get the last lines, shortly, then call [`Registry::told`].
    pub death: Option<DeathNews>,
}

/// What the collector of numbers reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: ContainerId,
    pub pid: u32,
    /// With the pid it tells one run from the next.
    pub started_ms: Option<i64>,
    pub own_network: bool,
}

/// All containers of the daemon.
#[derive(Debug, Default)]
pub struct Registry {
    known: BTreeMap<ContainerId, Known>,
    images: HashMap<ImageId, Option<u64>>,
    names: Arc<ContainerNames>,
    users: UserPattern,
    events: u64,
}

impl Registry {
    #[must_use]
    pub fn new(names: Arc<ContainerNames>, users: UserPattern) -> Self {
        Self { names, users, ..Self::default() }
    }

    /// The number of the last event: what a question remembers.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.events
    }

    /// An event of the daemon.
    pub fn event(&mut self, event: &DaemonEvent) -> Outcome {
        self.events += 1;
        let (id, at_ms) = (&event.id, event.at_ms());
        if event.change == Change::Removed {
            return self.removed(id, &event.name, at_ms);
        }
        if self.is_full_for(id) {
            return Outcome::default();
        }
        let known = self.known.entry(id.clone()).or_default();
        known.changed = self.events;
        let mut outcome = Outcome::default();
        let fact = match &event.change {
            Change::Created => Some(Fact::ContainerCreated),
            Change::Started => {
                known.start(at_ms);
                Some(Fact::ContainerStarted)
            }
            Change::Died { exit_code } => {
                outcome.death = known.die(id, &event.name, at_ms, *exit_code);
                None
            }
            Change::OutOfMemory => {
                known.oom = true;
                None
            }
            Change::Killed { signal } => {
                known.killed_ms = events::ends(*signal).then_some(at_ms).or(known.killed_ms);
                return outcome;
            }
            Change::Paused => known.becomes(ContainerState::Paused, Fact::ContainerPaused),
            Change::Unpaused => known.becomes(ContainerState::Running, Fact::ContainerUnpaused),
            Change::Health(health) => {
                known.facts.iter_mut().for_each(|facts| facts.health = Some(health.clone()));
                Some(Fact::ContainerHealth { health: document::text(health) })
            }
            Change::Altered | Change::Restarted | Change::Removed => None,
        };
        outcome.events.extend(fact.map(|fact| events::event(id.as_str(), &event.name, at_ms, fact, false)));
        let settled = matches!(event.change, Change::Paused | Change::Unpaused | Change::Health(_));
        if settled && known.facts.is_some() {
            outcome.documents.extend(self.document(id, at_ms));
        } else {
            outcome.look.push(id.clone());
        }
        outcome
    }

    fn is_full_for(&self, id: &ContainerId) -> bool {
        self.known.len() >= CONTAINERS && !self.known.contains_key(id)
    }

    fn removed(&mut self, id: &ContainerId, name: &str, at_ms: i64) -> Outcome {
        let gone = vec![id.clone()];
        let Some(mut known) = self.known.remove(id) else { return Outcome { gone, ..Outcome::default() } };
        self.names.remove(id.as_str());
        let ended = known.crash_loop.end().map(|_| Fact::CrashLoopEnded);
        let facts = ended.into_iter().chain([Fact::ContainerRemoved]);
        Outcome {
            events: facts.map(|fact| events::event(id.as_str(), name, at_ms, fact, false)).collect(),
            documents: vec![document::gone(id.as_str(), at_ms)],
            gone,
            ..Outcome::default()
        }
    }

    /// A death is ready to be told, with the last lines, masked, if they came in time.
    pub fn told(&mut self, death: &DeathNews, last_lines: Vec<String>) -> Outcome {
        let mut outcome = Outcome::default();
        let (exit_code, oom_killed) = (death.exit_code, death.lacked_memory());
        let died = Fact::ContainerDied { exit_code, oom_killed, last_lines: last_lines.clone() };
        let event = |fact, deliberate| events::event(death.id.as_str(), &death.name, death.at_ms, fact, deliberate);
        outcome.events.push(event(died, death.deliberate));
        if let Some(known) = self.known.get_mut(&death.id) {
            if !last_lines.is_empty() {
                known.last_lines = last_lines;
            }
            outcome.events.extend(death.turn.map(|turn| event(known.turned(turn), false)));
        }
        outcome.documents.extend(self.document(&death.id, death.at_ms));
        outcome
    }

    /// Docker's answer to inspecting, asked at `asked`. `after_gap`: events may have been missed.
    pub fn inspected(&mut self, found: Inspection, asked: u64, now_ms: i64, after_gap: bool) -> Outcome {
        let id = found.id.clone();
        if self.is_full_for(&id) {
            return Outcome::default();
        }
        let known = self.known.entry(id.clone()).or_default();
        if known.changed > asked {
            return Outcome { look: vec![id], ..Outcome::default() };
        }
        self.names.insert(id.as_str(), &document::text(&found.name));
        let first = known.facts.is_none();
        let missed = (after_gap && !first).then(|| known.missed_death(&found)).flatten();
        if first && found.state == ContainerState::Running {
            known.crash_loop.started(found.started_ms.unwrap_or(now_ms));
        }
        if first {
            known.last_death_ms = found.finished_ms;
        }
        let turn = if first || after_gap { known.recall(&found, now_ms) } else { None };
        let fact = turn.map(|turn| known.turned(turn));
        let event = fact.map(|fact| events::event(id.as_str(), &found.name, now_ms, fact, false));
        known.facts = Some(found);
        let mut outcome = Outcome { events: event.into_iter().collect(), death: missed, ..Outcome::default() };
        outcome.documents.extend(self.document(&id, now_ms));
        outcome
    }

    /// Docker's list, asked at `asked`. All are looked at `after_gap`, else those that differ.
    pub fn listed(&mut self, listed: &[Listed], asked: u64, now_ms: i64, after_gap: bool) -> Outcome {
        let differs = |line: &&Listed| {
            let facts = self.known.get(&line.id).and_then(|known| known.facts.as_ref());
            after_gap || facts.is_none_or(|facts| facts.state != line.state || facts.name != line.name)
        };
        let look = listed.iter().filter(differs).map(|line| line.id.clone()).collect();
        let present: std::collections::HashSet<&ContainerId> = listed.iter().map(|line| &line.id).collect();
        let vanished = |(id, known): (&ContainerId, &Known)| {
            let name = known.facts.as_ref().map(|facts| facts.name.clone()).unwrap_or_default();
            (known.changed <= asked && !present.contains(id)).then(|| (id.clone(), name))
        };
        let vanished: Vec<_> = self.known.iter().filter_map(vanished).collect();
        let mut outcome = Outcome { look, ..Outcome::default() };
        for (id, name) in vanished {
            let gone = self.removed(&id, &name, now_ms);
            outcome.events.extend(gone.events);
            outcome.documents.extend(gone.documents);
            outcome.gone.extend(gone.gone);
        }
        self.images.retain(|image, _| {
            self.known
                .values()
                .filter_map(|known| known.facts.as_ref())
                .any(|facts| facts.image_id.as_ref() == Some(image))
        });
        outcome
    }

    /// An image whose size nobody asked for yet; it counts as asked from now on.
    pub fn unknown_image(&mut self) -> Option<ImageId> {
        let images = self.known.values().filter_map(|known| known.facts.as_ref()?.image_id.as_ref());
        let image = images.into_iter().find(|image| !self.images.contains_key(*image))?.clone();
        self.images.insert(image.clone(), None);
        Some(image)
    }

    /// The size of an image.
    pub fn image(&mut self, image: &ImageId, bytes: Option<u64>, now_ms: i64) -> Outcome {
        self.images.insert(image.clone(), bytes);
        let of_it = |known: &Known| known.facts.as_ref().is_some_and(|facts| facts.image_id.as_ref() == Some(image));
        let ids: Vec<_> = self.known.iter().filter(|(_, known)| of_it(known)).map(|(id, _)| id.clone()).collect();
        Outcome { documents: ids.iter().filter_map(|id| self.document(id, now_ms)).collect(), ..Outcome::default() }
    }

    /// Time has passed: loops may have ended.
    pub fn passed(&mut self, now_ms: i64) -> Outcome {
        let mut outcome = Outcome::default();
        let mut ended = Vec::new();
        for (id, known) in &mut self.known {
            if let Some(turn) = known.crash_loop.passed(now_ms) {
                let name = known.facts.as_ref().map(|facts| facts.name.clone()).unwrap_or_default();
                outcome.events.push(events::event(id.as_str(), &name, now_ms, known.turned(turn), false));
                ended.push(id.clone());
            }
        }
        outcome.documents = ended.iter().filter_map(|id| self.document(id, now_ms)).collect();
        outcome
    }

    /// Whether [`Registry::passed`] has anything to do.
    #[must_use]
    pub fn has_loops(&self) -> bool {
        self.known.values().any(|known| known.crash_loop.is_looping())
    }

    /// Every container that runs.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let target = |(id, known): (&ContainerId, &Known)| {
            let facts = known.facts.as_ref()?;
            let runs = matches!(facts.state, ContainerState::Running | ContainerState::Paused);
            let own_network = facts.network == Network::Own;
            let target = |pid| Target { id: id.clone(), pid, started_ms: facts.started_ms, own_network };
            facts.pid.filter(|_| runs).map(target)
        };
        self.known.iter().filter_map(target).collect()
    }

    fn document(&self, id: &ContainerId, at_ms: i64) -> Option<Document> {
        let known = self.known.get(id)?;
        let facts = known.facts.as_ref()?;
        let image_bytes = facts.image_id.as_ref().and_then(|image| self.images.get(image)).copied().flatten();
        let user = self.users.user(&facts.name);
        Some(document::of(facts, document::Beside { image_bytes, user, crash_loop: known.looping() }, at_ms))
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
