//! First stage: what a host may have is shown at once, then laid on the pile.

use super::LiveSink;
use super::clock_check::ClockCheck;
use super::pile::Pile;
use super::screen::Screen;
use crate::store::flush::{Batch, Data};
use crate::store::quarantine::LeftOut;
use crate::transport::{Inbound, Payload, Stored};
use fleetlight_protocol::uplink::Class;
use tokio::sync::mpsc;

/// Runs until transport is gone.
pub async fn run(
    mut inbound: mpsc::Receiver<Inbound>,
    live: &impl LiveSink,
    screen: Screen,
    check: ClockCheck,
    pile: Pile,
) {
    while let Some(mut arrived) = inbound.recv().await {
        if let (Class::Live, Payload::Samples { tick_ms, .. }) = (arrived.class, &arrived.payload) {
            check.heard(*tick_ms, arrived.received_ms);
        }
        let left_out = screen.pass(&mut arrived);
        show(&arrived, live);
        let (batch, acks) = to_store(arrived, left_out);
        pile.lay(batch, acks);
    }
}

fn show(arrived: &Inbound, live: &impl LiveSink) {
    let host_id = arrived.agent.host_id;
    match &arrived.payload {
        Payload::Samples { .. } if arrived.class == Class::Replay => live.replayed(host_id),
        Payload::Samples { tick_ms, rows } => live.samples(host_id, *tick_ms, arrived.received_ms, rows),
        Payload::Events(events) if arrived.class == Class::Replay => live.past_events(host_id, events),
        Payload::Events(events) => live.events(host_id, events),
        Payload::Inventory(documents) => live.documents(host_id, documents),
        Payload::Evicted { .. } => {}
    }
}

fn to_store(arrived: Inbound, left_out: Vec<LeftOut>) -> (Batch, mpsc::Sender<Stored>) {
    let live = arrived.class == Class::Live && matches!(arrived.payload, Payload::Samples { .. });
    let data = match arrived.payload {
        Payload::Samples { tick_ms, rows } => Data::Samples { tick_ms, rows },
        Payload::Events(events) => Data::Events(events),
        Payload::Inventory(documents) => Data::Documents(documents),
        Payload::Evicted { last } => Data::Evicted { last },
    };
    let batch = Batch {
        host_id: arrived.agent.host_id,
        agent_id: arrived.agent.agent_id,
        epoch: arrived.epoch,
        seq: arrived.seq,
        live,
        received_ms: arrived.received_ms,
        data,
        left_out,
    };
    (batch, arrived.acks)
}
