//! Makes so what the database says is wanted. One loop for each controller, woken by wishes, by agents that come, by
//! closings, and by time.

use super::courier::{Carried, carry};
use super::open::Plan;
use super::{Dispatch, Inbox, bulk};
use crate::limits::{COMMANDS_LOOK, DISPATCH_RETRY};
use crate::store::StoreError;
use crate::store::commands::{CommandRecord, State};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Couriers = JoinSet<(Uuid, Carried)>;

impl Dispatch {
    /// Runs until `stop`. What is under way then goes on at the hosts, and is asked for again by the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let mut couriers = Couriers::new();
        let mut arrivals = self.0.registry.arrivals();
        let mut look = interval(COMMANDS_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wake.notified() => {}
                Ok(()) = arrivals.changed() => self.open().try_all_again(),
                Some(ended) = couriers.join_next() => self.back(ended).await,
                _ = look.tick() => self.look().await,
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
            again = self.go_on(&mut couriers).await;
        }
    }

    /// Does what there is to do; when to do so again if nothing happens.
    async fn go_on(&self, couriers: &mut Couriers) -> Option<Instant> {
        // What needs no database first: it is what people wait for.
        self.carry_all(couriers, self.plan((self.0.clock)()));
        let inbox = std::mem::take(&mut *self.inbox());
        if let Err((inbox, error)) = self.digest(inbox).await {
            tracing::warn!(%error, "commands wait for the database");
            self.inbox().put_back(inbox);
            self.hand_over(couriers).await.ok();
            return Some(Instant::now() + DISPATCH_RETRY);
        }
        match self.hand_over(couriers).await {
            Ok(again) => again,
            Err(error) => {
                tracing::warn!(%error, "commands wait for the database");
                Some(Instant::now() + DISPATCH_RETRY)
            }
        }
    }

    /// Takes up what was closed, what may go on, and what is new in the database.
    async fn digest(&self, mut inbox: Inbox) -> Result<(), (Inbox, StoreError)> {
        while let Some(id) = inbox.closed.last() {
            match self.0.store.command(*id).await {
                Ok(Some(record)) => self.0.progress.close(record),
                Ok(None) => {}
                Err(error) => return Err((inbox, error)),
            }
            inbox.closed.pop();
        }
        inbox.bulks.sort_unstable();
        inbox.bulks.dedup();
        while let Some(id) = inbox.bulks.last() {
            match bulk::step(&self.0.store, *id, (self.0.clock)()).await {
                Ok(asked) => inbox.load |= asked,
                Err(error @ StoreError::Unreadable { .. }) => {
                    tracing::error!(%error, bulk = %id, "a bulk does not go on")
                }
                Err(error) => return Err((inbox, error)),
            }
            inbox.bulks.pop();
        }
        if inbox.load {
            self.load().await.map_err(|error| (inbox, error))?;
        }
        Ok(())
    }

    /// Brings memory to what the database says is open.
    async fn load(&self) -> Result<(), StoreError> {
        // What is asked meanwhile is not missing.
        let before = self.open().ids();
        let records = self.0.store.open_commands().await?;
        let open: BTreeSet<Uuid> = records.iter().map(|record| record.id).collect();
        for record in records {
            self.follow(record);
        }
        self.closed(before.difference(&open).copied());
        Ok(())
    }

    fn follow(&self, record: CommandRecord) {
        self.open().add(&record, true);
        self.0.progress.open(record, (self.0.clock)());
    }

    /// What time asks for.
    async fn look(&self) {
        self.0.progress.forget_closed();
        let now_ms = (self.0.clock)();
        self.inbox().load = true;
        let looked = async {
            self.closed(self.0.store.sweep_commands(now_ms).await?);
            self.0.store.sweep_audit(now_ms).await?;
            let bulks = self.0.store.running_bulks().await?;
            self.inbox().bulks.extend(bulks);
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, "commands were not looked through; the next look is in {} s", COMMANDS_LOOK.as_secs());
        }
    }

    /// Gives each command that can go a stream.
    async fn hand_over(&self, couriers: &mut Couriers) -> Result<Option<Instant>, StoreError> {
        let now_ms = (self.0.clock)();
        let plan = self.plan(now_ms);
        for (id, words) in &plan.waiting {
            self.0.progress.waits(*id, Some(words));
        }
        if plan.next_deadline_ms.is_some_and(|deadline_ms| deadline_ms < now_ms) {
            self.closed(self.0.store.expire_commands(now_ms).await?);
        }
        if !plan.send.is_empty() {
            self.send(&plan.send).await?;
        }
        self.carry_all(couriers, self.plan(now_ms));
        let deadline = plan.next_deadline_ms.map(|deadline_ms| match u64::try_from(deadline_ms - now_ms) {
            // A moment later, so that it has passed then.
            Ok(left_ms) => Instant::now() + Duration::from_millis(left_ms + 1),
            Err(_) => Instant::now() + DISPATCH_RETRY,
        });
        Ok([plan.next, deadline].into_iter().flatten().min())
    }

    /// The database hears of it first.
    async fn send(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        let sent = self.0.store.send_commands(ids).await?;
        for id in ids {
            if sent.contains(id) {
                self.open().sent(*id, false);
                self.0.progress.sent(*id, true);
                continue;
            }
            // It is not as we thought: cancelled, or sent by another controller.
            match self.0.store.command(*id).await?.map(|record| record.state) {
                Some(State::Sent) => self.open().sent(*id, true),
                Some(State::Queued) => {}
                Some(State::Finished) | None => self.closed([*id]),
            }
        }
        Ok(())
    }

    fn plan(&self, now_ms: i64) -> Plan {
        self.open().plan(|host_id| self.0.registry.agent_of(host_id), Instant::now(), now_ms)
    }

    fn carry_all(&self, couriers: &mut Couriers, plan: Plan) {
        for (id, agent_id) in plan.carry {
            self.depart(couriers, id, agent_id);
        }
    }

    fn depart(&self, couriers: &mut Couriers, id: Uuid, agent_id: Uuid) {
        let Some(departure) = self.open().depart(id) else { return };
        let (registry, progress) = (self.0.registry.clone(), self.0.progress.clone());
        couriers.spawn(async move { (id, carry(&registry, &progress, agent_id, departure).await) });
    }

    /// A stream has ended.
    async fn back(&self, ended: Result<(Uuid, Carried), tokio::task::JoinError>) {
        let (id, heard, why) = match ended {
            Ok((id, Carried::Finished)) => return self.open().told(id),
            Ok((id, Carried::Back { heard, why })) => (id, heard, why),
            Err(error) => {
                return tracing::error!(%error, "carrying a command failed; it is asked for again by the next start");
            }
        };
        let queued = self.open().back(id, heard, why, Instant::now());
        if queued && let Err(error) = self.queue(id).await {
            // It stays as it is there: its host is asked, and knows its deadline.
            tracing::warn!(%error, command = %id, "a command that did not go out is not noted as waiting");
            self.open().sent(id, true);
        }
    }

    /// No host has seen it: it waits as if it had not been sent; a wish to cancel it closes it.
    async fn queue(&self, id: Uuid) -> Result<(), StoreError> {
        self.0.store.queue_command(id).await?;
        self.0.progress.sent(id, false);
        let record = self.0.store.command(id).await?;
        if record.is_some_and(|record| record.cancel_requested && record.state == State::Queued) {
            self.0.store.cancel_command(id, (self.0.clock)()).await?;
            self.closed([id]);
        }
        Ok(())
    }
}

impl Inbox {
    fn put_back(&mut self, inbox: Self) {
        self.closed.extend(inbox.closed);
        self.bulks.extend(inbox.bulks);
        self.load |= inbox.load;
    }
}
