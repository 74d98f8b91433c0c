//! What is known of open commands beyond the database: their progress, and who watches.
//!
//! In memory; after a restart of the controller hosts are asked again and tell it anew. One lock guards all of it and is
//! never held across an await; what is written as JSON under it is small, output apart, which is bounded.
//!
//! A watcher gets the command with all its output, then what changes; one that falls behind, or comes back after more
//! than [`RECENT_OUTPUT_BYTES`], gets it whole again. Ids of messages grow for ever, over restarts too: they begin at
//! the wall clock in microseconds.

use super::output::keep;
use super::view::CommandView;
use crate::limits::{COMMAND_RING, RECENT_OUTPUT_BYTES, STEP_BYTES, STEPS_KEPT, TRACK_KEPT};
use crate::store::commands::{CommandRecord, State};
use fleetlight_protocol::command::{CommandReport, CommandResult, Output, OutputStream};
use fleetlight_protocol::limits::OUTPUT_CHUNK_BYTES;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use uuid::Uuid;

/// All open commands, and those that ended a moment ago.
#[derive(Debug, Default)]
pub struct Progress(Mutex<HashMap<Uuid, Track>>);

/// What a host has said of a command.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub began_ms: Option<i64>,
    pub steps: VecDeque<Step>,
    pub output: Output,
    pub result: Option<Box<CommandResult>>,
    /// The controller's own word: what keeps it from going on.
    pub waiting_for: Option<String>,
}

/// A step that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// By the host's clock.
    pub at_ms: i64,
    pub text: String,
}

/// One server-sent event.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub id: u64,
    /// `command` or `output`
    pub name: &'static str,
    pub json: String,
    /// Nothing comes after it.
    pub last: bool,
}

#[derive(Debug)]
struct Track {
    record: CommandRecord,
    told: Told,
    last_id: u64,
    /// The last pieces of output, for those who come back.
    recent: VecDeque<Arc<Message>>,
    recent_bytes: usize,
    /// All output after this message is among them.
    recent_from: u64,
    /// Once somebody watches.
    watchers: Option<broadcast::Sender<Arc<Message>>>,
    /// When the database closed it.
    closed: Option<Instant>,
}

impl Progress {
    /// Begins to follow a command, unless it is followed.
    pub fn open(&self, record: CommandRecord, now_ms: i64) {
        let (id, last_id) = (record.id, now_ms.max(0) as u64 * 1_000);
        self.lock().entry(id).or_insert_with(|| Track {
            record,
            told: Told::default(),
            last_id,
            recent: VecDeque::new(),
            recent_bytes: 0,
            recent_from: last_id,
            watchers: None,
            closed: None,
        });
    }

    /// It is closed, as the database has it.
    pub fn close(&self, record: CommandRecord) {
        self.change(record.id, |track| {
            track.record = record;
            track.closed = Some(Instant::now());
        });
    }

    /// It went to its host, or did not after all.
    pub fn sent(&self, id: Uuid, sent: bool) {
        self.change(id, |track| track.record.state = if sent { State::Sent } else { State::Queued });
    }

    pub fn cancel_requested(&self, id: Uuid) {
        self.change(id, |track| track.record.cancel_requested = true);
    }

    /// Says what keeps a command from going on.
    pub fn waits(&self, id: Uuid, words: Option<&str>) {
        let known = self.lock().get(&id).is_none_or(|track| track.told.waiting_for.as_deref() == words);
        if !known {
            self.change(id, |track| track.told.waiting_for = words.map(str::to_owned));
        }
    }

    /// Takes a host's report.
    pub fn report(&self, id: Uuid, report: CommandReport) {
        match report {
            CommandReport::Accepted { began_ms } => {
                if let Some(track) = self.lock().get_mut(&id) {
                    track.begins(began_ms);
                }
            }
            CommandReport::Step { at_ms, mut text } => self.change(id, |track| {
                text.truncate(text.floor_char_boundary(STEP_BYTES));
                if track.told.steps.len() >= STEPS_KEPT {
                    track.told.steps.pop_front();
                }
                track.told.steps.push_back(Step { at_ms, text });
            }),
            CommandReport::Output { stream, text } => {
                if let Some(track) = self.lock().get_mut(&id) {
                    track.output(stream, &text);
                }
            }
            CommandReport::Finished(result) => self.change(id, |track| track.told.result = Some(result)),
            CommandReport::Unavailable { message } => self.waits(id, Some(&message)),
        }
    }

    /// The command, if it is followed.
    #[must_use]
    pub fn view(&self, id: Uuid) -> Option<CommandView> {
        self.lock().get(&id).map(Track::view)
    }

    /// Whether its host has begun it.
    #[must_use]
    pub fn has_begun(&self, id: Uuid) -> bool {
        self.lock().get(&id).is_some_and(|track| track.told.began_ms.is_some())
    }

    /// Watches a command that is followed; output after the message `resume_from` comes as far as it is kept.
    #[must_use]
    pub fn watch(self: &Arc<Self>, id: Uuid, resume_from: Option<u64>) -> Option<Watch> {
        let mut tracks = self.lock();
        let track = tracks.get_mut(&id)?;
        let (receiver, pending) = track.watch(resume_from);
        Some(Watch { of: Some((Arc::clone(self), id)), receiver: Some(receiver), pending, ended: false })
    }

    /// Lets go of those that were closed a while ago.
    pub fn forget_closed(&self) {
        self.lock().retain(|_, track| track.closed.is_none_or(|at| at.elapsed() < TRACK_KEPT));
    }

    fn change(&self, id: Uuid, change: impl FnOnce(&mut Track)) {
        if let Some(track) = self.lock().get_mut(&id) {
            change(track);
            track.tell();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Track>> {
        // A panic inside leaves at worst one report half taken.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Track {
    fn view(&self) -> CommandView {
        CommandView::of(self.record.clone(), &self.told)
    }

    fn has_ended(&self) -> bool {
        self.record.end.is_some() || self.told.result.is_some()
    }

    /// Where it was asked again, the host tells all of it again.
    fn begins(&mut self, began_ms: i64) {
        let waiting_for = self.told.waiting_for.take();
        self.told = Told { began_ms: Some(began_ms), waiting_for, ..Told::default() };
        let again = !self.recent.is_empty();
        self.recent.clear();
        self.recent_bytes = 0;
        self.recent_from = self.last_id;
        self.tell_with(again);
    }

    /// Tells watchers how the command stands now; its output only at the end.
    fn tell(&mut self) {
        self.tell_with(false);
    }

    fn tell_with(&mut self, output: bool) {
        self.last_id += 1;
        let last = self.has_ended();
        let Some(watchers) = self.watchers.as_ref().filter(|watchers| watchers.receiver_count() > 0) else { return };
        let view = if last || output { self.view() } else { self.view().without_output() };
        let _ = watchers.send(Arc::new(Message::command(self.last_id, &view, last)));
    }

    fn output(&mut self, stream: OutputStream, text: &str) {
        keep(&mut self.told.output, text);
        let text = &text[..text.floor_char_boundary(OUTPUT_CHUNK_BYTES)];
        self.last_id += 1;
        let json = json!({ "stream": stream, "text": text }).to_string();
        let message = Arc::new(Message { id: self.last_id, name: "output", json, last: false });
        self.recent_bytes += message.json.len();
        self.recent.push_back(Arc::clone(&message));
        while self.recent_bytes > RECENT_OUTPUT_BYTES {
            let Some(old) = self.recent.pop_front() else { break };
            self.recent_bytes -= old.json.len();
            self.recent_from = old.id;
        }
        if let Some(watchers) = &self.watchers {
            let _ = watchers.send(message);
        }
    }

    /// The present and, from the very same moment on, what changes.
    fn watch(&mut self, resume_from: Option<u64>) -> (broadcast::Receiver<Arc<Message>>, VecDeque<Arc<Message>>) {
        let last = self.has_ended();
        let missed_from = resume_from.filter(|from| !last && (self.recent_from..=self.last_id).contains(from));
        let mut pending = VecDeque::new();
        match missed_from {
            Some(from) => {
                let view = self.view().without_output();
                pending.push_back(Arc::new(Message::command(from, &view, false)));
                pending.extend(self.recent.iter().filter(|message| message.id > from).cloned());
            }
            None => pending.push_back(Arc::new(Message::command(self.last_id, &self.view(), last))),
        }
        let watchers = self.watchers.get_or_insert_with(|| broadcast::Sender::new(COMMAND_RING));
        (watchers.subscribe(), pending)
    }
}

impl Message {
    fn command(id: u64, view: &CommandView, last: bool) -> Self {
        // Plain data: writing it as JSON cannot fail.
        Self { id, name: "command", json: serde_json::to_string(view).unwrap_or_default(), last }
    }
}

/// One watcher of one command.
#[derive(Debug)]
pub struct Watch {
    of: Option<(Arc<Progress>, Uuid)>,
    receiver: Option<broadcast::Receiver<Arc<Message>>>,
    pending: VecDeque<Arc<Message>>,
    ended: bool,
}

impl Watch {
    /// Of a command that is closed.
    #[must_use]
    pub fn closed(view: &CommandView, id: u64) -> Self {
        let pending = VecDeque::from([Arc::new(Message::command(id, view, true))]);
        Self { of: None, receiver: None, pending, ended: false }
    }

    /// The next message; none after the last one. Nothing is lost if it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Arc<Message>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(message) = self.pending.pop_front() {
                self.ended = message.last;
                return Some(message);
            }
            match self.receiver.as_mut()?.recv().await {
                Ok(message) => self.pending.push_back(message),
                Err(RecvError::Lagged(_) | RecvError::Closed) => self.begin_anew()?,
            }
        }
    }

    /// None: it is not followed any more; whoever asks again finds it in the database.
    fn begin_anew(&mut self) -> Option<()> {
        let (progress, id) = self.of.as_ref()?;
        let (receiver, pending) = progress.lock().get_mut(id)?.watch(None);
        (self.receiver, self.pending) = (Some(receiver), pending);
        Some(())
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
