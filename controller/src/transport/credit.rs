//! How much history may be on its way, over all agents: what is granted, and what has come and is not stored yet.
//!
//! What is stored makes room for more, so a database that stands still gets none, and one that is slow gets less:
//! the room halves while batches take [`HISTORY_SLOW`] from their coming to their ack, and grows again when they
//! do not. Whoever asks gets an equal part of it, in turn.
//!
//! Invariants: granted and held rows are within the room, but for what came without credit, or late; an account that is
//! dropped gives its part back.

use super::Stored;
use crate::limits::{CREDIT_LOOK, CREDIT_UNUSED, HISTORY_GRANT_ROWS, HISTORY_ROWS, HISTORY_SLOW};
use fleetlight_protocol::uplink::history_rows;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// The controller's; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Credits(Arc<Mutex<Pool>>);

#[derive(Debug)]
struct Pool {
    /// Rows that may be out at once, as fast as the database is now.
    room: u64,
    /// When the room was last halved.
    slowed: Option<Instant>,
    /// Those that have history.
    shares: BTreeMap<u64, Share>,
    /// Whose turn was last.
    turn: u64,
    next: u64,
}

impl Default for Pool {
    fn default() -> Self {
        Self { room: HISTORY_ROWS, slowed: None, shares: BTreeMap::new(), turn: 0, next: 0 }
    }
}

/// One session's part.
#[derive(Debug)]
struct Share {
    wants: bool,
    /// Rows granted and not used; below zero if more came.
    granted: i64,
    /// Rows granted and not said yet.
    unsaid: u64,
    /// Rows that went to others because they were not used; they may still come.
    lapsed: u64,
    /// Batches that came and are not stored: their rows, and when they came.
    held: BTreeMap<(Uuid, u64), (u64, Instant)>,
    held_rows: u64,
    /// When it last began to ask, got or used credit.
    active: Instant,
    news: Arc<Notify>,
}

/// A session's account.
#[derive(Debug)]
pub(super) struct Account {
    credits: Credits,
    number: u64,
    news: Arc<Notify>,
}

impl Credits {
    pub(super) fn account(&self) -> Account {
        let mut pool = self.lock();
        pool.next += 1;
        Account { credits: self.clone(), number: pool.next, news: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// The agent has so many batches of history yet to send.
    pub fn asks(&self, batches: u64) {
        let mut pool = self.credits.lock();
        let now = Instant::now();
        if batches > 0 {
            let share = pool.shares.entry(self.number).or_insert_with(|| Share::new(&self.news, now));
            if !share.wants {
                share.wants = true;
                // To ask on is not to use what is there.
                share.active = now;
            }
        } else if let Some(share) = pool.shares.get_mut(&self.number) {
            share.wants = false;
            share.granted = 0;
            share.unsaid = 0;
            share.lapsed = 0;
        }
        pool.deal(now);
    }

    /// A batch of history has come, and goes on to ingest.
    pub fn came(&self, epoch: Uuid, seq: u64, rows: usize) {
        let mut pool = self.credits.lock();
        let Some(share) = pool.shares.get_mut(&self.number) else { return };
        let (rows, now) = (history_rows(rows), Instant::now());
        // Whose credit lapsed says nothing until its history shrinks, and that it does now.
        share.wants |= share.lapsed > 0;
        let late = rows.min(share.lapsed);
        share.lapsed -= late;
        share.granted = share.granted.saturating_sub_unsigned(rows - late);
        share.active = now;
        let before = share.held.insert((epoch, seq), (rows, now)).map_or(0, |(rows, _)| rows);
        share.held_rows = share.held_rows + rows - before;
    }

    /// Batches of this session are stored.
    pub fn stored(&self, stored: &[Stored]) {
        let mut pool = self.credits.lock();
        let now = Instant::now();
        let Some(share) = pool.shares.get_mut(&self.number) else { return };
        let (mut rows, mut slowest) = (0, None);
        for stored in stored.iter().filter(|stored| stored.first <= stored.last) {
            let within = (stored.epoch, stored.first)..=(stored.epoch, stored.last);
            for (_, (of_batch, came)) in share.held.extract_if(within, |_, _| true) {
                rows += of_batch;
                slowest = slowest.min(Some(came)).or(Some(came));
            }
        }
        share.held_rows -= rows;
        if let Some(came) = slowest {
            pool.adapt(rows, came, now);
        }
        pool.deal(now);
    }

    /// Waits for credit, and takes it to be said.
    pub async fn granted(&self) -> u64 {
        loop {
            let wants = {
                let mut pool = self.credits.lock();
                pool.deal(Instant::now());
                let share = pool.shares.get_mut(&self.number);
                match share {
                    Some(share) if share.unsaid > 0 => return std::mem::take(&mut share.unsaid),
                    share => share.is_some_and(|share| share.wants),
                }
            };
            if wants {
                // What others leave unused is noticed by nobody else.
                let _ = timeout(CREDIT_LOOK, self.news.notified()).await;
            } else {
                self.news.notified().await;
            }
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut pool = self.credits.lock();
        if pool.shares.remove(&self.number).is_some() {
            pool.deal(Instant::now());
        }
    }
}

impl Share {
    fn new(news: &Arc<Notify>, now: Instant) -> Self {
        Self {
            wants: true,
            granted: 0,
            unsaid: 0,
            lapsed: 0,
            held: BTreeMap::new(),
            held_rows: 0,
            active: now,
            news: Arc::clone(news),
        }
    }

    /// Rows that it has out.
    fn out(&self) -> u64 {
        self.held_rows + u64::try_from(self.granted).unwrap_or(0)
    }
}

impl Pool {
    /// Fits the room to how long batches took that are stored now, the slowest of which came at `came`.
    fn adapt(&mut self, rows: u64, came: Instant, now: Instant) {
        if now.saturating_duration_since(came) < HISTORY_SLOW {
            self.room = (self.room + rows / 4).min(HISTORY_ROWS);
        } else if self.slowed.is_none_or(|slowed| slowed <= came) {
            // What was on its way by then says nothing new.
            self.slowed = Some(now);
            self.room = (self.room / 2).max(HISTORY_GRANT_ROWS);
        }
    }

    /// Grants what there is room for, beginning with whoever comes after the last one.
    fn deal(&mut self, now: Instant) {
        self.shares.retain(|_, share| share.wants || share.lapsed > 0 || !share.held.is_empty());
        for share in self.shares.values_mut() {
            if share.granted > 0 && now.saturating_duration_since(share.active) >= CREDIT_UNUSED {
                // Until it sends or asks again, others are served.
                share.lapsed = share.lapsed.saturating_add_signed(share.granted);
                (share.granted, share.wants) = (0, false);
            }
        }
        let asking = self.shares.values().filter(|share| share.wants).count() as u64;
        if asking == 0 {
            return;
        }
        let part = (self.room / asking).max(HISTORY_GRANT_ROWS);
        let mut free = self.room.saturating_sub(self.shares.values().map(Share::out).sum());
        let after = self.turn;
        let numbers: Vec<u64> =
            self.shares.range(after + 1..).chain(self.shares.range(..=after)).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(share) = self.shares.get_mut(&number).filter(|share| share.wants) else { continue };
            let rows = part.saturating_sub(share.out());
            if rows < HISTORY_GRANT_ROWS.min(part) {
                continue;
            }
            if free < HISTORY_GRANT_ROWS {
                return;
            }
            let rows = rows.min(free);
            free -= rows;
            share.granted = share.granted.saturating_add_unsigned(rows);
            share.unsaid += rows;
            share.active = now;
            share.news.notify_one();
            self.turn = number;
        }
    }
}

#[cfg(test)]
#[path = "credit_tests.rs"]
mod tests;
