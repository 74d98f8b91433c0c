//! What waits for the database: bounded by its rows, with a memory of whom it turned away.

use crate::limits::PILE_ROWS;
use crate::store::flush::{Batch, Data};
use crate::transport::Stored;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use uuid::Uuid;

/// A batch, where to ack it, and the room that it takes until it is gone.
#[derive(Debug)]
pub struct Piled {
    pub batch: Batch,
    pub acks: mpsc::Sender<Stored>,
    pub room: OwnedSemaphorePermit,
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
    agents: Arc<Mutex<HashSet<Uuid>>>,
}

impl Pile {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Piled>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let owed = Owed { room: Arc::new(Semaphore::new(PILE_ROWS as usize)), agents: Arc::default() };
        (Self { sender, owed }, receiver)
    }

    pub fn owed(&self) -> Owed {
        self.owed.clone()
    }

    /// Lays a batch on the pile, or remembers that its agent is to send it again.
    pub fn lay(&self, batch: Batch, acks: mpsc::Sender<Stored>) {
        let Ok(room) = self.owed.room.clone().try_acquire_many_owned(weight(&batch)) else {
            self.owed.turn_away(batch.agent_id);
            return;
        };
        // The flusher ends after this end does.
        let _ = self.sender.send(Piled { batch, acks, room });
    }
}

impl Owed {
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
    (rows.max(1) as u32).min(PILE_ROWS)
}
