//! What waits for the database: bounded by its rows, shared among hosts, with a memory of whom it turned away.

use crate::limits::PILE_ROWS;
use crate::store::flush::{Batch, Data};
use crate::transport::Stored;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use uuid::Uuid;

/// A batch, where to ack it, and the room that it takes until it is gone.
#[derive(Debug)]
pub struct Piled {
    pub batch: Batch,
    pub acks: mpsc::Sender<Stored>,
    pub room: Room,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    permit: OwnedSemaphorePermit,
    host_id: i32,
    number: u64,
    shares: Arc<Mutex<Shares>>,
}

#[derive(Debug, Default)]
struct Shares {
    /// What each host holds of the pile.
    hosts: HashMap<i32, usize>,
    /// When each batch was laid on it, by its number.
    laid: BTreeMap<u64, Instant>,
    next: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.laid.remove(&self.number);
        if let Some(share) = shares.hosts.get_mut(&self.host_id) {
            *share = share.saturating_sub(self.permit.num_permits());
            if *share == 0 {
                shares.hosts.remove(&self.host_id);
            }
        }
    }
}

/// The end on which batches are laid.
#[derive(Debug)]
pub struct Pile {
    /// Unbounded, since `room` bounds it.
    sender: mpsc::UnboundedSender<Piled>,
    owed: Owed,
}

/// Agents whose batches were left out, and whether there is room for them by now.
#[derive(Debug, Clone)]
pub struct Owed {
    room: Arc<Semaphore>,
    shares: Arc<Mutex<Shares>>,
    agents: Arc<Mutex<HashSet<Uuid>>>,
}

impl Pile {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Piled>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(PILE_ROWS as usize));
        let owed = Owed { room, shares: Arc::default(), agents: Arc::default() };
        (Self { sender, owed }, receiver)
    }

    pub fn owed(&self) -> Owed {
        self.owed.clone()
    }

    /// Lays a batch on the pile, or remembers that its agent is to send it again.
    pub fn lay(&self, batch: Batch, acks: mpsc::Sender<Stored>) {
        let Some(room) = self.owed.take_room(batch.host_id, weight(&batch)) else {
            self.owed.turn_away(batch.agent_id);
            return;
        };
        // The flusher ends after this end does.
        let _ = self.sender.send(Piled { batch, acks, room });
    }
}

impl Owed {
    /// Room for a host that holds no more than would be left.
    fn take_room(&self, host_id: i32, weight: u32) -> Option<Room> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares.hosts.get(&host_id).copied().unwrap_or(0) + weight as usize;
        if share > self.room.available_permits() {
            return None;
        }
        let permit = self.room.clone().try_acquire_many_owned(weight).ok()?;
        shares.hosts.insert(host_id, share);
        shares.next += 1;
        let number = shares.next;
        shares.laid.insert(number, Instant::now());
        drop(shares);
        Some(Room { permit, host_id, number, shares: Arc::clone(&self.shares) })
    }

    /// How long the oldest batch waits that is not stored.
    pub fn behind(&self) -> Option<Duration> {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.laid.first_key_value().map(|(_, laid)| laid.elapsed())
    }

    /// Remembers that an agent is to send again what was not stored.
    pub fn owe(&self, agent_id: Uuid) {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).insert(agent_id);
    }

    fn turn_away(&self, agent_id: Uuid) {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.is_empty() {
            tracing::warn!("the database is behind: batches are shown but not stored; agents will send them again");
        }
        agents.insert(agent_id);
    }

    /// Those who may send again, if half of the pile is free.
    pub fn collect(&self) -> HashSet<Uuid> {
        if self.room.available_permits() < PILE_ROWS as usize / 2 {
            return HashSet::new();
        }
        std::mem::take(&mut *self.agents.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a batch takes up, in rows of samples.
pub fn weight(batch: &Batch) -> u32 {
    /// A document or event is some kilobytes at most, where a row is a hundred bytes.
    const FACT: usize = 16;
    let rows = match &batch.data {
        Data::Samples { rows, .. } => rows.len(),
        Data::Events(events) => events.len() * FACT,
        Data::Documents(documents) => documents.len() * FACT,
        Data::Evicted { .. } => 1,
    };
    // Batches are bounded by the protocol far below a pile.
    (rows.max(1) as u32).min(PILE_ROWS / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_batch_that_is_not_stored_tells_how_far_behind_it_is() {
        let (pile, _piled) = Pile::new();
        assert_eq!(pile.owed.behind(), None);
        let first = pile.owed.take_room(1, 1);
        tokio::time::advance(Duration::from_secs(7)).await;
        let second = pile.owed.take_room(2, 1);
        assert_eq!(pile.owed.behind(), Some(Duration::from_secs(7)));
        drop(first);
        assert_eq!(pile.owed.behind(), Some(Duration::ZERO));
        drop(second);
        assert_eq!(pile.owed.behind(), None);
    }

    #[test]
    fn whoever_floods_the_pile_leaves_room_for_others() {
        let (pile, piled) = Pile::new();
        let mut flood = Vec::new();
        while let Some(room) = pile.owed.take_room(1, 1_000) {
            flood.push(room);
        }
        assert_eq!(flood.len(), PILE_ROWS as usize / 2_000);
        let others: Vec<_> = (2..12).map(|host_id| pile.owed.take_room(host_id, 2_000)).collect();
        assert!(others.iter().all(Option::is_some), "nine others have room");
        assert!(pile.owed.take_room(1, 1_000).is_none());
        drop((flood, others, piled));
        assert!(pile.owed.take_room(1, PILE_ROWS / 2).is_some(), "room comes back");
    }
}
