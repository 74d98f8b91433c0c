//! The open commands in memory, and which of them can go to their hosts now. Pure: it is told the time and who is there.

use crate::limits::{ASK_AGAIN_FIRST, ASK_AGAIN_MOST, EMERGENCY_ROOM, HANDED_PER_HOST, OPEN_COMMANDS, OPEN_PER_HOST};
use crate::store::commands::{CommandRecord, State};
use fleetlight_protocol::command::{Action, Command};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

/// Oldest first: ids grow with time.
#[derive(Debug, Default)]
pub struct OpenCommands(BTreeMap<Uuid, Open>);

#[derive(Debug)]
struct Open {
    host_id: i32,
    /// None if this controller does not know its action.
    command: Option<Command>,
    bulk_id: Option<Uuid>,
    deadline_ms: i64,
    /// The database has it that a stream may carry it.
    sent: bool,
    /// A stream may have carried it; without that, what was to be sent is queued again.
    heard: bool,
    /// The host has told its result; the fact is on its way.
    told: bool,
    cancel: bool,
    /// While a stream carries it: through this it hears of its cancelling.
    stream: Option<watch::Sender<bool>>,
    /// After trouble: not before this, and why.
    again: Option<(Instant, String)>,
    pause: Duration,
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Commands for which a stream can be opened, with the agent that grants it.
    pub carry: Vec<(Uuid, Uuid)>,
    /// The same, but the database must hear of it first.
    pub send: Vec<Uuid>,
    /// What keeps each of the others from going on.
    pub waiting: Vec<(Uuid, String)>,
    /// When to look again if nothing happens.
    pub next: Option<Instant>,
    /// The earliest deadline of what no stream has carried.
    pub next_deadline_ms: Option<i64>,
}

/// A command that goes out.
#[derive(Debug)]
pub struct Departure {
    pub command: Command,
    pub cancel: watch::Receiver<bool>,
}

/// Why no more may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Host,
    All,
}

impl OpenCommands {
    /// Adds one, unless it is there. `heard`: a stream may have carried it before.
    pub fn add(&mut self, record: &CommandRecord, heard: bool) {
        let sent = record.state == State::Sent;
        self.0.entry(record.id).or_insert_with(|| Open {
            host_id: record.host_id,
            command: record.command(),
            bulk_id: record.bulk_id,
            deadline_ms: record.deadline_ms,
            sent,
            heard: heard && sent,
            told: false,
            cancel: record.cancel_requested,
            stream: None,
            again: None,
            pause: ASK_AGAIN_FIRST,
        });
    }

    /// Takes a closed one away; whether it was there, and its bulk.
    pub fn remove(&mut self, id: Uuid) -> Option<Option<Uuid>> {
        self.0.remove(&id).map(|open| open.bulk_id)
    }

    #[must_use]
    pub fn ids(&self) -> BTreeSet<Uuid> {
        self.0.keys().copied().collect()
    }

    /// Whether there is room for one more. Those of bulks have bounds of their own and take none of it; an emergency
    /// stop waits for no others but its like.
    pub fn room(&self, host_id: i32, action: &Action) -> Result<(), Full> {
        let emergency = matches!(action, Action::EmergencyStop { .. });
        let single = || self.0.values().filter(|open| open.bulk_id.is_none());
        let of_host = single().filter(|open| open.host_id == host_id && (!emergency || open.is_emergency()));
        if of_host.count() >= if emergency { EMERGENCY_ROOM } else { OPEN_PER_HOST } {
            return Err(Full::Host);
        }
        let most = if emergency { OPEN_COMMANDS + EMERGENCY_ROOM } else { OPEN_COMMANDS };
        if single().count() >= most { Err(Full::All) } else { Ok(()) }
    }

    /// Whether a stream to this host can carry one more at once.
    #[must_use]
    pub fn has_stream(&self, host_id: i32) -> bool {
        self.0.values().filter(|open| open.host_id == host_id && open.stream.is_some()).count() < HANDED_PER_HOST
    }

    /// Notes that it is to be cancelled, and tells the stream that carries it.
    pub fn cancel(&mut self, id: Uuid) {
        if let Some(open) = self.0.get_mut(&id) {
            open.cancel = true;
            if let Some(stream) = &open.stream {
                stream.send_replace(true);
            }
        }
    }

    /// The database has it that a stream may carry it; `heard`: and perhaps one has.
    pub fn sent(&mut self, id: Uuid, heard: bool) {
        if let Some(open) = self.0.get_mut(&id) {
            open.sent = true;
            open.heard |= heard;
        }
    }

    /// A stream is about to carry it.
    pub fn depart(&mut self, id: Uuid) -> Option<Departure> {
        let open = self.0.get_mut(&id).filter(|open| open.sent && open.stream.is_none())?;
        let command = open.command.clone()?;
        let (sender, cancel) = watch::channel(open.cancel);
        open.stream = Some(sender);
        open.again = None;
        Some(Departure { command, cancel })
    }

    /// The host has told its result.
    pub fn told(&mut self, id: Uuid) {
        if let Some(open) = self.0.get_mut(&id) {
            (open.stream, open.told, open.heard) = (None, true, true);
        }
    }

    /// The stream has ended without a result, for this reason. Whether it is to be queued again in the database: no
    /// stream has carried it, this one included.
    pub fn back(&mut self, id: Uuid, heard: bool, why: String, now: Instant) -> bool {
        let Some(open) = self.0.get_mut(&id) else { return false };
        open.stream = None;
        open.heard |= heard;
        open.again = Some((now + open.pause, why));
        open.pause = (open.pause * 2).min(ASK_AGAIN_MOST);
        let queued = open.sent && !open.heard;
        open.sent &= !queued;
        queued
    }

    /// Somebody has come: whoever could not be asked a moment ago perhaps can.
    pub fn try_all_again(&mut self) {
        for open in self.0.values_mut() {
            open.again = None;
            open.pause = ASK_AGAIN_FIRST;
        }
    }

    #[must_use]
    pub fn plan(&self, agent_of: impl Fn(i32) -> Option<Uuid>, now: Instant, now_ms: i64) -> Plan {
        let mut plan = Plan::default();
        let mut agents: HashMap<i32, Option<Uuid>> = HashMap::new();
        let mut carried: HashMap<i32, usize> = HashMap::new();
        for open in self.0.values().filter(|open| open.stream.is_some()) {
            *carried.entry(open.host_id).or_default() += 1;
        }
        let mut waiting: Vec<_> = self.0.iter().filter(|(_, open)| open.stream.is_none() && !open.told).collect();
        waiting.sort_by_key(|(_, open)| !open.is_emergency());
        for (id, open) in waiting {
            if !open.sent {
                plan.next_deadline_ms =
                    Some(plan.next_deadline_ms.map_or(open.deadline_ms, |ms| ms.min(open.deadline_ms)));
            }
            let carried = carried.entry(open.host_id).or_default();
            let agent = *agents.entry(open.host_id).or_insert_with(|| agent_of(open.host_id));
            match open.obstacle(agent, *carried >= HANDED_PER_HOST && !open.is_emergency(), now, now_ms) {
                Ok(agent_id) => {
                    *carried += 1;
                    if open.sent { plan.carry.push((*id, agent_id)) } else { plan.send.push(*id) }
                }
                Err(words) => {
                    if let Some((at, _)) = open.again.as_ref().filter(|(at, _)| *at > now) {
                        plan.next = Some(plan.next.map_or(*at, |next| next.min(*at)));
                    }
                    plan.waiting.push((*id, words));
                }
            }
        }
        plan
    }
}

impl Open {
    fn is_emergency(&self) -> bool {
        self.command.as_ref().is_some_and(|command| matches!(command.action, Action::EmergencyStop { .. }))
    }

    /// The agent that can be asked now, or why not.
    fn obstacle(&self, agent: Option<Uuid>, busy: bool, now: Instant, now_ms: i64) -> Result<Uuid, String> {
        if self.command.is_none() {
            return Err("this controller does not know the action: a newer one has asked for it".into());
        }
        if let Some((at, why)) = &self.again
            && *at > now
        {
            return Err(why.clone());
        }
        let agent = agent.ok_or_else(|| {
            let offline = "the host is offline";
            if self.heard { format!("{offline}; it may have begun, and will say so") } else { offline.to_owned() }
        })?;
        if !self.sent && self.deadline_ms < now_ms {
            return Err("its deadline has passed".into());
        }
        if busy {
            return Err(format!("{HANDED_PER_HOST} commands of this host are under way"));
        }
        Ok(agent)
    }
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
