//! Second stage: the pile into the database, and acks once it is on disk.

use super::pile::{Owed, Piled, Room, weight};
use super::retry::{GaveUp, Retry};
use super::{Closed, Reconnect};
use crate::limits::{FLUSH_BATCHES, FLUSH_ROWS, GATHER_FOR, RECONNECT_PAUSE};
use crate::store::flush::{Batch, Data, Outcome};
use crate::store::{Store, StoreError};
use crate::transport::{Stored, WallClock};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub struct Flusher {
    pub store: Store,
    pub clock: WallClock,
    pub reconnect: Reconnect,
    pub closed: Closed,
    pub pile: Owed,
    /// Nothing more is laid on the pile: what does not get stored soon is left to the agents.
    pub draining: CancellationToken,
}

/// What goes into one transaction; the three lists run in parallel.
#[derive(Debug, Default)]
struct Group {
    batches: Vec<Batch>,
    acks: Vec<mpsc::Sender<Stored>>,
    room: Vec<Room>,
    rows: u32,
}

impl Flusher {
    pub async fn run(self, mut piled: mpsc::UnboundedReceiver<Piled>) {
        let mut asked_at: Option<Instant> = None;
        while let Some(group) = gather(&mut piled).await {
            if self.store(group).await.is_err() {
                tracing::warn!("the database is away; what was not stored stays with the agents");
                return;
            }
            if asked_at.is_none_or(|at| at.elapsed() >= RECONNECT_PAUSE) {
                let owed = self.pile.collect();
                if !owed.is_empty() {
                    tracing::info!(agents = owed.len(), "asking agents to connect again and send what was not stored");
                    asked_at = Some(Instant::now());
                }
                owed.into_iter().for_each(|agent_id| (self.reconnect)(agent_id));
            }
        }
    }

    /// Stores a group; what the database refuses is narrowed down to single batches.
    async fn store(&self, group: Group) -> Result<(), GaveUp> {
        let mut groups = vec![group];
        while let Some(mut group) = groups.pop() {
            let Err(refusal) = self.flush(&group).await? else { continue };
            if group.batches.len() > 1 {
                groups.push(group.split());
                groups.push(group);
            } else {
                self.give_up(&group, &refusal).await?;
            }
        }
        Ok(())
    }

    /// Flushes and acks; the database's refusal comes back.
    async fn flush(&self, group: &Group) -> Result<Result<(), StoreError>, GaveUp> {
        let mut retry = Retry::new(&self.draining);
        let mut refused = false;
        let outcomes = loop {
            match self.store.flush(&group.batches, (self.clock)()).await {
                Ok(outcomes) => break outcomes,
                // Once more: a partition may have been missing, and the store has forgotten it by now.
                Err(error) if error.is_refusal() && !refused => refused = true,
                Err(error) if error.is_refusal() => return Ok(Err(error)),
                Err(error) => retry.wait(&error).await?,
            }
        };
        retry.succeeded();
        #[cfg(debug_assertions)]
        crate::kill_point::pass("flush.ack");
        let ended = group.batches.iter().flat_map(Batch::results).map(|(_, result)| result.command);
        let ended: Vec<_> = ended.collect();
        if !ended.is_empty() {
            (self.closed)(&ended);
        }
        for ((batch, acks), outcome) in group.batches.iter().zip(&group.acks).zip(outcomes) {
            match outcome {
                Outcome::Stored | Outcome::Duplicate => ack(batch, acks),
                // It will fit between what the agent sends meanwhile.
                Outcome::Withheld => self.pile.owe(batch.agent_id),
            }
        }
        Ok(Ok(()))
    }

    async fn give_up(&self, group: &Group, refusal: &StoreError) -> Result<(), GaveUp> {
        for (batch, acks) in group.batches.iter().zip(&group.acks) {
            let (host, agent, seq) = (batch.host_id, batch.agent_id, batch.seq);
            tracing::error!(host, %agent, seq, %refusal, "the database refuses this batch: it is counted and given up");
            let mut retry = Retry::new(&self.draining);
            loop {
                match self.store.refuse(batch, &refusal.to_string(), (self.clock)()).await {
                    Ok(()) => {
                        ack(batch, acks);
                        break;
                    }
                    // Not even its number can be kept: there is no such host. Its session ends by itself.
                    Err(error) if error.is_refusal() => {
                        tracing::error!(host, %agent, seq, %error, "and it cannot be counted either");
                        break;
                    }
                    Err(error) => retry.wait(&error).await?,
                }
            }
        }
        Ok(())
    }
}

impl Group {
    fn push(&mut self, piled: Piled) {
        self.rows += weight(&piled.batch);
        self.batches.push(piled.batch);
        self.acks.push(piled.acks);
        self.room.push(piled.room);
    }

    fn is_full(&self) -> bool {
        self.rows >= FLUSH_ROWS || self.batches.len() >= FLUSH_BATCHES
    }

    /// Takes the second half away.
    fn split(&mut self) -> Self {
        let middle = self.batches.len() / 2;
        Self {
            batches: self.batches.split_off(middle),
            acks: self.acks.split_off(middle),
            room: self.room.split_off(middle),
            rows: 0,
        }
    }
}

/// The next group; none when the pile is closed and empty.
async fn gather(piled: &mut mpsc::UnboundedReceiver<Piled>) -> Option<Group> {
    let mut group = Group::default();
    group.push(piled.recv().await?);
    let deadline = Instant::now() + GATHER_FOR;
    while !group.is_full() {
        match timeout_at(deadline, piled.recv()).await {
            Ok(Some(next)) => group.push(next),
            Ok(None) | Err(_) => break,
        }
    }
    Some(group)
}

fn ack(batch: &Batch, acks: &mpsc::Sender<Stored>) {
    let last = if let Data::Evicted { last } = batch.data { last } else { batch.seq };
    // Closed: the session ended. Full: the agent does not read. It will send again.
    let _ = acks.try_send(Stored { epoch: batch.epoch, first: batch.seq, last });
}
