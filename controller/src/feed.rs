//! Joins the live view to what feeds it: ingest's samples, documents and events, transport's presence.
//!
//! The one file that knows all three, so that `live` need not know its siblings.

use crate::ingest::LiveSink;
use crate::limits::EVENTS_PER_HOST;
use crate::live::presence::Connected;
use crate::live::{KnownHost, Live};
use crate::store::events::StoredEvent;
use crate::store::{Store, StoreError};
use crate::transport::Presence;
use fleetlight_protocol::document::Document;
use fleetlight_protocol::event::{Event, Fact};
use fleetlight_protocol::samples::Row;
use serde_json::json;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;

impl LiveSink for Live {
    fn samples(&self, host_id: i32, tick_ms: i64, received_ms: i64, rows: &[Row]) {
        self.samples(host_id, tick_ms, received_ms, rows);
    }

    fn replayed(&self, host_id: i32) {
        self.replayed(host_id);
    }

    fn history_behind(&self, behind: Option<Duration>) {
        self.history_behind(behind);
    }

    fn documents(&self, host_id: i32, documents: &[Document]) {
        self.documents(host_id, documents);
    }

    fn events(&self, host_id: i32, events: &[Event]) {
        self.events(host_id, events);
    }

    fn past_events(&self, host_id: i32, events: &[Event]) {
        self.past_events(host_id, events);
    }
}

/// Shows the hosts that the database knows, with what they last said. Call it before anything feeds `live`.
///
/// # Errors
/// The database does not answer.
pub async fn restore(live: &Live, store: &Store) -> Result<(), StoreError> {
    let agents = store.agents().await?;
    for host in store.hosts().await? {
        let of_host = agents.iter().filter(|agent| agent.host_id == host.id);
        let latest = store.latest(host.id).await?;
        let tick_ms = latest.as_ref().map(|latest| latest.tick_ms);
        let mut events = store.events(Some(host.id), None, EVENTS_PER_HOST).await?;
        events.reverse();
        live.restore(KnownHost {
            id: host.id,
            name: host.name,
            last_seen_ms: of_host.filter_map(|agent| agent.last_seen_ms).max().max(tick_ms),
            documents: store.documents(host.id, None).await?,
            tick_ms,
            rows: latest.map_or_else(Vec::new, |latest| latest.rows),
            events: events.into_iter().filter_map(said).collect(),
        });
    }
    Ok(())
}

/// A stored event as the host said it; none if this build does not know its fact.
fn said(stored: StoredEvent) -> Option<Event> {
    let tagged = serde_json::from_value(json!({ stored.fact.as_str(): stored.detail }));
    let fact: Fact = tagged.or_else(|_| serde_json::from_value(json!(stored.fact))).ok()?;
    Some(Event {
        id: stored.id,
        at_ms: stored.at_ms,
        kind: stored.kind,
        key: stored.key,
        subject: stored.subject,
        severity: stored.severity,
        fact,
    })
}

/// Tells `live` who comes and goes until the channel closes. A host that it has not heard of is
/// named by `name_of`; one without a name is not shown until its next session.
pub async fn follow<N, F>(live: &Live, mut presence: mpsc::Receiver<Presence>, name_of: N)
where
    N: Fn(i32) -> F,
    F: Future<Output = Option<String>>,
{
    while let Some(change) = presence.recv().await {
        if let Presence::Connected { agent, .. } = &change
            && !live.is_named(agent.host_id)
            && let Some(name) = name_of(agent.host_id).await
        {
            live.name(agent.host_id, &name);
        }
        apply(live, change);
    }
}

fn apply(live: &Live, change: Presence) {
    match change {
        Presence::Connected { agent, address, agent_version, boot_id: _, at_ms } => {
            let address = address.ip().to_canonical().to_string();
            live.connected(agent.host_id, Connected { agent_id: agent.agent_id, address, agent_version, at_ms });
        }
        Presence::Measured { agent, clock_offset_ms, round_trip_ms } => {
            live.measured(agent.host_id, clock_offset_ms, round_trip_ms);
        }
        Presence::History { agent, batches } => live.history_left(agent.host_id, batches),
        Presence::Disconnected { agent, at_ms: _, goodbye, reason } => {
            live.disconnected(agent.host_id, agent.agent_id, goodbye.then_some(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::presence::HostState;
    use crate::transport::AgentRef;
    use std::net::SocketAddr;
    use uuid::Uuid;

    #[test]
    fn stored_events_are_read_as_they_were_said() {
        for fact in [Fact::Xid { code: 79, meaning: "fallen off the bus".into() }, Fact::GpuBack] {
            let event = Event {
                id: Uuid::nil(),
                at_ms: 1,
                kind: fleetlight_protocol::samples::EntityKind::Gpu,
                key: "GPU-1".into(),
                subject: "GPU 0".into(),
                severity: fleetlight_protocol::event::Severity::Crit,
                fact,
            };
            assert_eq!(said(StoredEvent::of(3, &event)), Some(event));
        }
    }

    #[tokio::test]
    async fn a_new_host_is_named_shown_and_let_go() {
        let live = Live::default();
        let agent = AgentRef { agent_id: Uuid::nil(), host_id: 3 };
        let (sender, receiver) = mpsc::channel(4);
        let address: SocketAddr = "[::ffff:192.0.2.1]:5000".parse().unwrap();
        let connected =
            Presence::Connected { agent, address, agent_version: "1".into(), boot_id: String::new(), at_ms: 1 };
        sender.try_send(connected).unwrap();
        sender.try_send(Presence::Measured { agent, clock_offset_ms: Some(-3), round_trip_ms: 4 }).unwrap();
        drop(sender);
        follow(&live, receiver, async |id| (id == 3).then(|| "alpha".to_owned())).await;
        let host = live.detail(3).unwrap().host;
        assert_eq!((host.name.as_str(), host.state), ("alpha", HostState::Online));
        assert_eq!((host.address.as_deref(), host.round_trip_ms), (Some("192.0.2.1"), Some(4)));
        apply(&live, Presence::Disconnected { agent, at_ms: 2, goodbye: true, reason: "stopped".into() });
        assert_eq!(live.hosts()[0].state, HostState::Offline);
    }
}
