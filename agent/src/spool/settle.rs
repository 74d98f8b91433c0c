//! What the controller says it has, and whose batches these are.

use super::index::OWN;
use super::{Place, Spool, format, recovery};
use fleetlight_protocol::intervals::IntervalSet;
use uuid::Uuid;

impl Spool {
    /// The controller has `first` to `last` of an epoch.
    pub fn acked(&self, epoch: Uuid, first: u64, last: u64) {
        if first > last {
            return;
        }
        let mut state = self.lock();
        let Some(ordinal) = state.index.epoch_of(epoch) else { return };
        state.index.acked(ordinal, first, last);
        if ordinal == OWN {
            state.memory.acked(first, last);
        }
    }

    /// This machine is enrolled as `host` by now. If it was another's until then, what earlier starts left is
    /// not its own; what this start has measured is.
    pub fn belongs_to(&self, host: &str) {
        let mut state = self.lock();
        if state.index.host == host {
            return;
        }
        host.clone_into(&mut state.index.host);
        let batches = state.index.disown();
        drop(state);
        if self.0.disk.is_some() {
            tracing::warn!(
                host,
                batches,
                "enrolled as another host: what earlier starts left in the spool is discarded"
            );
        }
    }

    /// What the controller says it has of the epochs that the hello named. One that is not listed it could not
    /// look up: of that, what is known here stands.
    pub fn settle(&self, stored: &[(Uuid, Vec<(u64, u64)>)]) {
        let mut state = self.lock();
        let state = &mut *state;
        let own = stored.iter().find(|(epoch, _)| *epoch == state.index.own);
        let given = own.map(|(_, intervals)| recovery::set(intervals));
        let given = given.and_then(|given| given.intervals().last().copied()).map_or(0, |(_, last)| last);
        if given >= state.next {
            // A snapshot of the running machine was restored: it has given these numbers before, to other batches.
            tracing::warn!(
                from = state.next,
                to = given,
                "the controller has numbers that are yet to come: they are passed over"
            );
            state.next = given + 1;
        }
        let next = state.next;
        let ordinals: Vec<(u32, Uuid)> =
            state.index.epochs.iter().map(|(ordinal, epoch)| (*ordinal, epoch.id)).collect();
        for (ordinal, id) in ordinals {
            let Some((_, intervals)) = stored.iter().find(|(epoch, _)| *epoch == id) else { continue };
            let mut held = IntervalSet::default();
            if ordinal == OWN {
                intervals.iter().for_each(|(first, last)| state.memory.acked(*first, *last));
                held = state.memory.seqs();
                if let Some(own) = state.index.epochs.get_mut(&OWN) {
                    own.end = next;
                }
            }
            state.index.settle(ordinal, recovery::set(intervals), &held);
        }
        state.settled = true;
        self.0.work.notify_all();
    }

    /// Whether the controller has everything, and has been told of what it will never have.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let state = self.lock();
        let mut lanes = [format::Lane::Samples, format::Lane::Facts].into_iter();
        let on_disk = lanes.any(|lane| state.index.find(lane, Place::FIRST, Place::END).is_some());
        !on_disk && state.memory.is_empty() && state.index.epochs.values().all(|epoch| epoch.evicted.is_empty())
    }
}
