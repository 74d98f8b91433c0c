//! What the sources of one reader have read and the reader has not taken yet: a queue for each, bounded, merged by time.
//!
//! Until the past of all sources is told, a source whose queue is full waits for the reader. Then lines are live: it waits for
//! [`LOG_PATIENCE`], and counts what comes after that, until there is room; so no source and no reader holds more than its
//! part. Every line is given once, in the order of its source, or counted where it would have stood.

use crate::limits::{LOG_BATCH_BYTES, LOG_BATCH_LINES, LOG_LINE_COST, LOG_PAST_WAIT, LOG_PATIENCE, LOG_QUEUE_BYTES};
use fleetlight_protocol::logs::{LogLine, LogsReport};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The reader's end.
#[derive(Debug)]
pub struct Desk(Arc<Shared>);

/// A source's end; the source has ended when it is dropped.
#[derive(Debug)]
pub struct Outlet {
    shared: Arc<Shared>,
    source: usize,
}

/// The reader is gone.
#[derive(Debug)]
pub struct Gone;

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// For the reader: a source has said something.
    news: Notify,
    /// For the sources: the reader has taken something, or is gone.
    room: Notify,
}

#[derive(Debug)]
struct State {
    slots: Vec<Slot>,
    slot_bytes: usize,
    is_live: bool,
    is_gone: bool,
}

#[derive(Debug)]
struct Slot {
    items: VecDeque<Item>,
    bytes: usize,
    /// Lines that found no room since the last one that did.
    lost: u64,
    /// It has waited in vain: until there is room, lines are counted.
    is_impatient: bool,
    phase: Phase,
    has_ended: bool,
    /// The last batch had no room for any of what waits here.
    is_passed_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It tells its past, and the others wait for it.
    Past,
    /// It was silent for too long: it is told as it comes.
    Late,
    /// Its past is told.
    Present,
}

#[derive(Debug)]
enum Item {
    Line(LogLine),
    Dropped(u64),
    Problem(String),
    /// From here on lines are live.
    Present,
}

/// What the reader gets next.
#[derive(Debug, PartialEq)]
pub struct Batch {
    pub reports: Vec<LogsReport>,
    /// More waits behind it.
    pub is_full: bool,
    pub is_live: bool,
}

impl Desk {
    /// For so many sources.
    #[must_use]
    pub fn new(sources: usize) -> (Self, Vec<Outlet>) {
        let slot = || Slot {
            items: VecDeque::new(),
            bytes: 0,
            lost: 0,
            is_impatient: false,
            phase: Phase::Past,
            has_ended: false,
            is_passed_over: false,
        };
        let state = State {
            slots: (0..sources).map(|_| slot()).collect(),
            slot_bytes: LOG_QUEUE_BYTES / sources.max(1),
            is_live: false,
            is_gone: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: Notify::new(), room: Notify::new() });
        let outlets = (0..sources).map(|source| Outlet { shared: Arc::clone(&shared), source }).collect();
        (Self(shared), outlets)
    }

    /// What came, as soon as something did; none when all sources have ended. Dropping it while it waits loses nothing.
    pub async fn next(&self) -> Option<Batch> {
        let mut patience = Instant::now() + LOG_PAST_WAIT;
        loop {
            let news = self.0.news.notified();
            let waits_for_past = {
                let mut state = self.0.lock();
                if let Some(batch) = state.batch() {
                    self.0.room.notify_waiters();
                    return Some(batch);
                }
                if state.slots.iter().all(|slot| slot.has_ended) {
                    return None;
                }
                !state.is_live && state.slots.iter().any(|slot| !slot.is_silent())
            };
            if !waits_for_past {
                news.await;
                patience = Instant::now() + LOG_PAST_WAIT;
            } else if timeout_at(patience, news).await.is_err() {
                self.0.lock().go_on_without_the_silent();
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.0.lock().is_gone = true;
        self.0.room.notify_waiters();
    }
}

impl Outlet {
    /// Hands lines over, in their order.
    ///
    /// # Errors
    /// [`Gone`]: nobody reads any more.
    pub async fn lines(&self, lines: impl IntoIterator<Item = LogLine>) -> Result<(), Gone> {
        let mut lines = lines.into_iter();
        let mut next = lines.next();
        while next.is_some() {
            // Before the look, so that room made meanwhile is not missed.
            let mut room = std::pin::pin!(self.shared.room.notified());
            room.as_mut().enable();
            let deadline = {
                let mut state = self.shared.lock();
                while let Some(line) = next.take() {
                    match state.put(self.source, line) {
                        Ok(()) => next = lines.next(),
                        Err(line) => {
                            next = Some(line);
                            break;
                        }
                    }
                }
                if state.is_gone {
                    return Err(Gone);
                }
                state.is_live.then(|| Instant::now() + LOG_PATIENCE)
            };
            self.shared.news.notify_one();
            match deadline {
                _ if next.is_none() => {}
                None => room.await,
                Some(deadline) => {
                    if timeout_at(deadline, room).await.is_err() {
                        self.shared.lock().slots[self.source].is_impatient = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Its past is told.
    pub fn present(&self) {
        self.say(Item::Present);
    }

    /// It cannot be read, or no more.
    pub fn problem(&self, words: impl Into<String>) {
        self.say(Item::Problem(words.into()));
    }

    /// Nobody reads any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.shared.lock().is_gone
    }

    fn say(&self, item: Item) {
        let mut state = self.shared.lock();
        let slot = &mut state.slots[self.source];
        slot.tell_lost();
        // There are few of these: they need no room.
        slot.items.push_back(item);
        drop(state);
        self.shared.news.notify_one();
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let slot = &mut state.slots[self.source];
        slot.tell_lost();
        slot.has_ended = true;
        drop(state);
        self.shared.news.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps or counts a line; gives it back if its source must wait.
    fn put(&mut self, source: usize, line: LogLine) -> Result<(), LogLine> {
        let (is_live, bytes) = (self.is_live, self.slot_bytes);
        let slot = &mut self.slots[source];
        let cost = line.text.len() + LOG_LINE_COST;
        if slot.bytes + cost <= bytes || slot.items.is_empty() {
            slot.tell_lost();
            slot.is_impatient = false;
            slot.bytes += cost;
            slot.items.push_back(Item::Line(line));
            return Ok(());
        }
        if is_live && slot.is_impatient {
            slot.lost += 1;
            return Ok(());
        }
        Err(line)
    }

    fn go_on_without_the_silent(&mut self) {
        self.slots.iter_mut().filter(|slot| slot.is_silent()).for_each(|slot| slot.phase = Phase::Late);
    }

    /// What can be told now, within a frame's bounds: by time, but once lines are live none waits for more than a batch of
    /// older ones, which would never end where a source says more than its reader takes.
    fn batch(&mut self) -> Option<Batch> {
        let mut batch = Gathered::default();
        if self.is_live {
            let part = LOG_BATCH_BYTES / self.slots.len().max(1);
            for source in (0..self.slots.len()).filter(|source| self.slots[*source].is_passed_over).collect::<Vec<_>>()
            {
                let most = batch.bytes + part;
                while batch.bytes < most && !batch.is_full() && self.give(source, &mut batch) {}
            }
        }
        while !batch.is_full()
            && let Some(source) = self.choose()
        {
            self.give(source, &mut batch);
        }
        let is_full = batch.is_full();
        for (source, slot) in self.slots.iter_mut().enumerate() {
            slot.is_passed_over = is_full && slot.time().is_some() && !batch.sources.contains(&source);
        }
        batch.flush();
        let mut reports = batch.reports;
        if !self.is_live && self.slots.iter().all(Slot::has_told_its_past) {
            self.is_live = true;
            reports.push(LogsReport::Live);
        }
        (!reports.is_empty()).then_some(Batch { reports, is_full, is_live: self.is_live })
    }

    /// Whether the source had something to give.
    fn give(&mut self, source: usize, batch: &mut Gathered) -> bool {
        let Some(item) = self.slots[source].take() else { return false };
        batch.sources.insert(source);
        match item {
            Item::Line(line) => batch.add(line),
            item => {
                batch.flush();
                batch.reports.extend(self.told(source, item));
            }
        }
        true
    }

    /// The source whose turn it is: that of the oldest line. Of what has no time nobody knows better than to tell it at once.
    fn choose(&self) -> Option<usize> {
        if !self.is_live && self.slots.iter().any(Slot::is_silent) {
            return None;
        }
        let may = |slot: &Slot| self.is_live || slot.phase != Phase::Present;
        let times = self.slots.iter().enumerate().filter(|(_, slot)| may(slot));
        times.filter_map(|(at, slot)| Some((slot.time()?, at))).min().map(|(_, at)| at)
    }

    fn told(&mut self, source: usize, item: Item) -> Option<LogsReport> {
        let number = source as u16;
        match item {
            Item::Dropped(lines) => Some(LogsReport::Dropped { source: number, lines }),
            Item::Problem(message) => Some(LogsReport::Problem { source: number, message }),
            Item::Line(line) => Some(LogsReport::Lines(vec![line])),
            Item::Present => {
                self.slots[source].phase = Phase::Present;
                None
            }
        }
    }
}

/// A batch that is being made.
#[derive(Debug, Default)]
struct Gathered {
    reports: Vec<LogsReport>,
    lines: Vec<LogLine>,
    bytes: usize,
    /// Those that gave something.
    sources: BTreeSet<usize>,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.lines.len() >= LOG_BATCH_LINES || self.bytes >= LOG_BATCH_BYTES
    }

    fn add(&mut self, line: LogLine) {
        self.bytes += line.text.len() + LOG_LINE_COST;
        self.lines.push(line);
    }

    /// Ends a report of lines.
    fn flush(&mut self) {
        if !self.lines.is_empty() {
            self.reports.push(LogsReport::Lines(std::mem::take(&mut self.lines)));
        }
    }
}

impl Slot {
    /// The others wait for what it says of its past.
    fn is_silent(&self) -> bool {
        self.phase == Phase::Past && self.items.is_empty() && !self.has_ended
    }

    fn has_told_its_past(&self) -> bool {
        self.phase != Phase::Past || (self.items.is_empty() && self.has_ended)
    }

    /// Of the next item, if there is one.
    fn time(&self) -> Option<i64> {
        match self.items.front() {
            Some(Item::Line(line)) => Some(line.at_ms.unwrap_or(i64::MIN)),
            Some(_) => Some(i64::MIN),
            None => (self.lost > 0).then_some(i64::MIN),
        }
    }

    fn take(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        match &item {
            Some(Item::Line(line)) => self.bytes -= line.text.len() + LOG_LINE_COST,
            None if self.lost > 0 => return Some(Item::Dropped(std::mem::take(&mut self.lost))),
            _ => {}
        }
        item
    }

    /// Before what comes next.
    fn tell_lost(&mut self) {
        if self.lost > 0 {
            self.items.push_back(Item::Dropped(std::mem::take(&mut self.lost)));
        }
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
