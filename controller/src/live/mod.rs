//! The present, in memory: who is there, what they last said, what is wrong, and who watches.
//!
//! Fed in passing by ingest and transport through `crate::feed`; imports no sibling but `limits`.
//! One lock guards the fleet and is never held across an await or a serialization. Ids of fleet
//! messages grow for ever, over restarts too: they begin at the wall clock in microseconds.

mod entities;
mod fleet;
pub mod host;
pub mod lookup;
pub mod presence;
pub mod problems;
pub mod summary;
pub mod view;
pub mod watch;

use crate::limits::{DETAIL_RING, FLEET_RING, HOST_MESSAGE_EVERY, WATCHERS};
use fleet::{Fleet, Slot};
use fleetlight_protocol::document::{ContainerDocument, Document};
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::Row;
use host::{HostData, TakenEvent};
use presence::{Connected, Now};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use view::{DocumentView, Host, HostDetail, RowView, Shared};
use watch::{Message, MessageBody, Subscription, WatchError};

/// A host that the database knows, with what it last said.
#[derive(Debug, Clone, Default)]
pub struct KnownHost {
    pub id: i32,
    pub name: String,
    pub last_seen_ms: Option<i64>,
    pub documents: Vec<Document>,
    pub tick_ms: Option<i64>,
    pub rows: Vec<Row>,
    /// Oldest first.
    pub events: Vec<Event>,
}

/// A container as its host last described it.
#[derive(Debug, Clone)]
pub struct HostContainer {
    pub host_id: i32,
    pub host_name: String,
    pub document: ContainerDocument,
}

/// The present of the fleet.
#[derive(Debug)]
pub struct Live {
    fleet: Mutex<Fleet>,
    messages: broadcast::Sender<Arc<Message>>,
    watchers: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        let fleet = Fleet {
            hosts: BTreeMap::new(),
            last_id: (Now::take().wall_ms.max(0) as u64) * 1_000,
            events: VecDeque::new(),
            history_behind_ms: None,
        };
        Self {
            fleet: Mutex::new(fleet),
            messages: broadcast::Sender::new(FLEET_RING),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
        }
    }
}

/// What comes in.
impl Live {
    /// Shows a host that the database knows: offline until its agent says otherwise.
    pub fn restore(&self, host: KnownHost) {
        self.update(host.id, |slot, _| {
            let record = &mut slot.record;
            record.name = Some(host.name);
            record.presence.last_seen_ms = record.presence.last_seen_ms.max(host.last_seen_ms);
            for document in &host.documents {
                record.data.take_document(document);
            }
            if let Some(tick_ms) = host.tick_ms {
                record.data.take_rows(tick_ms, &host.rows);
            }
            for event in &host.events {
                record.data.take_event(host.id, event);
            }
            let version = record.data.host_document().map(|document| document.agent_version.clone());
            record.presence.agent_version = record.presence.agent_version.take().or(version);
        });
    }

    /// Whether a host is known by name, so that it can be shown.
    #[must_use]
    pub fn is_named(&self, host_id: i32) -> bool {
        self.lock().hosts.get(&host_id).is_some_and(|slot| slot.record.name.is_some())
    }

    #[must_use]
    pub fn name_of(&self, host_id: i32) -> Option<String> {
        self.lock().hosts.get(&host_id)?.record.name.clone()
    }

    /// The containers of all hosts that are wanted; `wanted` is asked under the lock.
    #[must_use]
    pub fn containers(&self, wanted: impl Fn(i32, &ContainerDocument) -> bool) -> Vec<HostContainer> {
        let fleet = self.lock();
        let named =
            fleet.hosts.iter().filter_map(|(id, slot)| Some((*id, slot.record.name.as_ref()?, &slot.record.data)));
        let of_all = named.flat_map(|(host_id, host_name, data)| {
            data.containers().map(move |document| (host_id, host_name, document))
        });
        of_all
            .filter(|(host_id, _, document)| wanted(*host_id, document))
            .map(|(host_id, host_name, document)| HostContainer {
                host_id,
                host_name: host_name.clone(),
                document: document.clone(),
            })
            .collect()
    }

    pub fn name(&self, host_id: i32, name: &str) {
        self.update(host_id, |slot, _| slot.record.name = Some(name.to_owned()));
    }

    pub fn connected(&self, host_id: i32, session: Connected) {
        self.update(host_id, |slot, now| slot.record.presence.connected(session, now));
    }

    pub fn measured(&self, host_id: i32, clock_offset_ms: Option<i64>, round_trip_ms: u32) {
        self.update(host_id, |slot, now| slot.record.presence.measured(clock_offset_ms, round_trip_ms, now));
    }

    /// `goodbye` is the agent's reason when it stopped on purpose.
    pub fn disconnected(&self, host_id: i32, agent_id: Uuid, goodbye: Option<String>) {
        self.update(host_id, |slot, _| slot.record.presence.disconnected(agent_id, goodbye));
    }

    /// Samples as they were taken.
    pub fn samples(&self, host_id: i32, tick_ms: i64, received_ms: i64, rows: &[Row]) {
        self.update(host_id, |slot, now| {
            slot.record.presence.live_samples(now);
            slot.record.data.forget_future(tick_ms, now.wall_ms);
            if slot.record.data.take_rows(tick_ms, rows) {
                slot.tell(|| {
                    let rows = rows.iter().cloned().map(RowView).collect();
                    MessageBody::Samples { host_id, tick_ms, taken_ms: received_ms, rows }
                });
            }
        });
    }

    /// Samples of the past arrived: they are history and change nothing but the state.
    pub fn replayed(&self, host_id: i32) {
        let now = Now::take();
        let mut fleet = self.lock();
        let Some(slot) = fleet.slot(host_id) else { return };
        slot.record.presence.replayed_samples(now);
        // They come by the hundred: what is said of them anyway waits for its time.
        if !slot.has_told_of_history(now) {
            self.publish(&mut fleet, host_id, now);
        }
    }

    /// A host's agent has so many batches of history yet to send.
    pub fn history_left(&self, host_id: i32, batches: u64) {
        self.update(host_id, |slot, now| slot.record.presence.history_left(batches, now));
    }

    /// How far what is stored is behind, where that is worth telling; watchers hear of it with each heartbeat.
    pub fn history_behind(&self, behind: Option<Duration>) {
        self.lock().history_behind_ms = behind.map(|behind| behind.as_millis() as i64);
    }

    pub fn documents(&self, host_id: i32, documents: &[Document]) {
        self.update(host_id, |slot, now| {
            slot.record.presence.sign_of_life(now);
            let mut news = documents.to_vec();
            // As the store believes it: from a clock that runs ahead nothing true could follow until that time has
            // come, and one that stands before 1970 would make all that it says look old.
            for document in news.iter_mut().filter(|document| !(0..=now.wall_ms).contains(&document.observed_ms)) {
                document.observed_ms = now.wall_ms;
            }
            news.retain(|document| slot.record.data.take_document(document));
            if !news.is_empty() {
                let documents = news.into_iter().map(DocumentView).collect();
                slot.tell(|| MessageBody::Documents { host_id, documents });
            }
        });
    }

    pub fn events(&self, host_id: i32, events: &[Event]) {
        self.tell_events(host_id, events, HostData::take_event);
    }

    /// Events of the past: they stand before what happened since.
    pub fn past_events(&self, host_id: i32, events: &[Event]) {
        self.tell_events(host_id, events, HostData::take_past_event);
    }

    fn tell_events(&self, host_id: i32, events: &[Event], take: fn(&mut HostData, i32, &Event) -> Option<TakenEvent>) {
        let now = Now::take();
        let mut fleet = self.lock();
        let Some(slot) = fleet.slot(host_id) else { return };
        slot.record.presence.sign_of_life(now);
        let news: Vec<_> = events.iter().filter_map(|event| take(&mut slot.record.data, host_id, event)).collect();
        for event in news {
            let message = fleet.resumable(MessageBody::Event(Shared(event)));
            self.send(message);
        }
        self.publish(&mut fleet, host_id, now);
    }

    fn update(&self, host_id: i32, change: impl FnOnce(&mut Slot, Now)) {
        let now = Now::take();
        let mut fleet = self.lock();
        let Some(slot) = fleet.slot(host_id) else { return };
        change(slot, now);
        self.publish(&mut fleet, host_id, now);
    }
}

/// What goes out.
impl Live {
    /// All hosts, worst first.
    #[must_use]
    pub fn hosts(&self) -> Vec<Shared<Host>> {
        self.lock().hosts()
    }

    /// By how much what is stored is behind what is shown; none if it is not.
    #[must_use]
    pub fn history_behind_ms(&self) -> Option<i64> {
        self.lock().history_behind_ms
    }

    #[must_use]
    pub fn detail(&self, host_id: i32) -> Option<HostDetail> {
        self.lock().hosts.get_mut(&host_id)?.record.detail(Now::take())
    }

    /// Watches the fleet and perhaps one host. Events after the fleet message `resume_from` come
    /// first, as far as the last [`crate::limits::RESUMABLE_EVENTS`] reach.
    ///
    /// # Errors
    /// [`WatchError`] when there is no such host or no room for another watcher.
    pub fn watch(self: &Arc<Self>, host: Option<i32>, resume_from: Option<u64>) -> Result<Subscription, WatchError> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| WatchError::TooMany)?;
        if host.is_some_and(|id| !self.is_named(id)) {
            return Err(WatchError::NoSuchHost);
        }
        let (fleet, detail, pending) = self.snapshot(host, resume_from.unwrap_or(u64::MAX));
        Ok(Subscription { live: Arc::clone(self), host, fleet, detail, pending, last_id: 0, _permit: permit })
    }

    /// The present and, from the very same moment on, what changes.
    fn snapshot(&self, host: Option<i32>, after: u64) -> (Receiver, Option<Receiver>, VecDeque<Arc<Message>>) {
        let now = Now::take();
        let mut fleet = self.lock();
        let hosts = fleet.hosts();
        let missed = fleet.events.iter().filter(|message| message.id.is_some_and(|id| id > after));
        let missed: Vec<_> = missed.cloned().collect();
        let body = MessageBody::Fleet { hosts, now_ms: now.wall_ms, history_behind_ms: fleet.history_behind_ms };
        // The snapshot's id is that of the first missed event less one, so that those still count as new.
        let id = missed.first().and_then(|first| first.id).map_or(fleet.last_id, |id| id - 1);
        let mut pending = VecDeque::from([Message::new(Some(id), body)]);
        let mut receiver = None;
        if let Some(slot) = host.and_then(|id| fleet.hosts.get_mut(&id))
            && let Some(detail) = slot.record.detail(now)
        {
            pending.push_back(Message::new(None, MessageBody::Detail(Box::new(detail))));
            receiver = Some(slot.detail.get_or_insert_with(|| broadcast::Sender::new(DETAIL_RING)).subscribe());
        }
        pending.extend(missed);
        (self.messages.subscribe(), receiver, pending)
    }

    /// Re-evaluates all hosts: states change by time alone. Call it each second.
    pub fn tick(&self) {
        let mut fleet = self.lock();
        for slot in fleet.hosts.values_mut() {
            slot.record.data.drop_old_rows();
            slot.detail.take_if(|detail| detail.receiver_count() == 0);
        }
        self.publish_all(&mut fleet, Now::take());
    }

    /// Ticks until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(seconds.tick()).await.is_some() {
            self.tick();
        }
    }

    fn publish_all(&self, fleet: &mut Fleet, now: Now) {
        let ids: Vec<_> = fleet.hosts.keys().copied().collect();
        for id in ids {
            self.publish(fleet, id, now);
        }
    }

    /// Tells the watchers of the fleet what changed: states and problems at once, numbers at most
    /// once every [`HOST_MESSAGE_EVERY`]; what was held back goes out with a later tick.
    fn publish(&self, fleet: &mut Fleet, host_id: i32, now: Now) {
        let Some(slot) = fleet.hosts.get_mut(&host_id) else { return };
        let Some(host) = slot.record.view(now) else { return };
        if let Some((last, at)) = &slot.published {
            let waits = now.at.saturating_duration_since(*at) < HOST_MESSAGE_EVERY;
            if **last == host || (waits && !last.differs_in_state(&host)) {
                return;
            }
        }
        let host = Shared(Arc::new(host));
        slot.published = Some((host.clone(), now.at));
        let message = fleet.message(MessageBody::Host(host));
        self.send(message);
    }

    fn send(&self, message: Arc<Message>) {
        // No receiver is no error: nobody watches.
        let _ = self.messages.send(message);
    }

    fn lock(&self) -> MutexGuard<'_, Fleet> {
        // A panic inside leaves at worst one host's last update half done; the next one mends it.
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Receiver = broadcast::Receiver<Arc<Message>>;

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
