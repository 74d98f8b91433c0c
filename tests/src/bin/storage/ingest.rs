//! What ingest costs: wire frames → decode → screen → live view → COPY → commit, by the controller's own road.

use crate::fleet::{Fleet, HOSTS, HOUR_TICKS, values};
use crate::ours::{Database, Ours};
use anyhow::{Context, Result, ensure};
use fleetlight_controller::ingest::Ingest;
use fleetlight_controller::live::Live;
use fleetlight_controller::store::flush::{Batch, Data};
use fleetlight_controller::transport::{AgentRef, Inbound, Payload, Stored};
use fleetlight_protocol::delta::{Decoder, Encoder};
use fleetlight_protocol::frame::{self, HEAD_BYTES, Head};
use fleetlight_protocol::uplink::{Class, Uplink};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Batches that have not been acked: no more than the pile takes without turning one away.
const UNACKED: usize = 200;

/// What it came to.
pub struct Cost {
    pub values: f64,
    pub wall_s: f64,
    pub controller_s: f64,
    pub postgres_s: f64,
    pub decode_s: f64,
}

/// One frame, as it comes off the wire.
struct Arrival {
    agent: AgentRef,
    tick_ms: i64,
    bytes: Vec<u8>,
}

/// Sends hours of ticks as agents do, one frame a tick and host, and waits for all acks.
pub async fn measure(ours: &Ours, database: &Database, seed: u64, hours: i64, begin_ms: i64) -> Result<Cost> {
    let mut fleet = Fleet::new(seed, &database.hosts, begin_ms, false);
    let (mut arrivals, mut count, mut encoders) = (Vec::new(), 0, BTreeMap::new());
    for tick in 0..hours * HOUR_TICKS {
        let batches = fleet.ticks(tick..tick + 1);
        count += values(&batches);
        for batch in batches {
            arrivals.push(arrival(&mut encoders, &batch)?);
        }
    }
    // The controller's clock goes with the ticks, so that no hour is packed meanwhile.
    let clock = Arc::new(AtomicI64::new(begin_ms));
    let reader = Arc::clone(&clock);
    let (sender, inbound) = mpsc::channel(UNACKED);
    let (acks, mut acked) = mpsc::channel::<Stored>(UNACKED * 2);
    let ingest = Ingest {
        store: database.store.clone(),
        live: Arc::new(Live::default()),
        clock: Arc::new(move || reader.load(Ordering::Relaxed)),
        reconnect: Arc::new(|_| {}),
        closed: Arc::new(|_| {}),
    };
    let began = (std::time::Instant::now(), ours.cpu()?);
    let running = tokio::spawn(ingest.run(inbound));
    let (mut decoders, mut unacked, epoch) = (BTreeMap::new(), 0, Uuid::from_u128(1));
    let mut decode_s = 0.0;
    for arrival in &arrivals {
        clock.store(arrival.tick_ms, Ordering::Relaxed);
        let decoding = std::time::Instant::now();
        let (seq, payload) = decode(decoders.entry(arrival.agent.host_id).or_default(), &arrival.bytes)?;
        decode_s += decoding.elapsed().as_secs_f64();
        let (agent, class, acks) = (arrival.agent, Class::Live, acks.clone());
        let inbound =
            Inbound { agent, epoch, seq, class, received_ms: arrival.tick_ms, payload, held_back: false, acks };
        sender.send(inbound).await.ok().context("ingest ended")?;
        unacked += 1;
        while unacked >= UNACKED {
            acked.recv().await.context("ingest ended")?;
            unacked -= 1;
        }
    }
    while unacked > 0 {
        acked.recv().await.context("ingest ended")?;
        unacked -= 1;
    }
    let (wall_s, (postgres, own)) = (began.0.elapsed().as_secs_f64(), ours.cpu()?);
    drop(sender);
    running.await?;
    let stored = database.hot_values().await?;
    ensure!(stored == count, "{stored} of {count} values are stored");
    let (postgres_s, controller_s) = (postgres - began.1.0, own - began.1.1);
    Ok(Cost { values: count as f64, wall_s, controller_s, postgres_s, decode_s })
}

fn arrival(encoders: &mut BTreeMap<i32, Encoder>, batch: &Batch) -> Result<Arrival> {
    let Data::Samples { tick_ms, rows } = &batch.data else { anyhow::bail!("only samples are sent") };
    let encoded = encoders.entry(batch.host_id).or_default().encode(*tick_ms, rows)?;
    let agent = AgentRef { agent_id: batch.agent_id, host_id: batch.host_id };
    Ok(Arrival { agent, tick_ms: *tick_ms, bytes: frame::encode(&Uplink::Samples(batch.seq, encoded))? })
}

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<(u64, Payload)> {
    let (head, payload) = bytes.split_first_chunk::<HEAD_BYTES>().context("a head")?;
    let Uplink::Samples(seq, bytes) = frame::decode(Head::parse(*head)?, payload)? else {
        anyhow::bail!("only samples were sent")
    };
    let (tick_ms, rows) = decoder.decode(&bytes)?;
    Ok((seq, Payload::Samples { tick_ms, rows }))
}

impl Cost {
    pub fn values_per_core_second(&self) -> f64 {
        self.values / (self.controller_s + self.postgres_s)
    }

    pub fn how(&self) -> String {
        format!(
            "{:.1} M values of {HOSTS} hosts, a frame a tick and host; decode, screen, live view, COPY, commit with fsync, ack; CPU of the controller's part {:.2} s (decoding {:.2} s of wall time) and of all processes of Postgres {:.2} s, in {:.1} s; QUIC and TLS are not in it",
            self.values / 1e6,
            self.controller_s,
            self.decode_s,
            self.postgres_s,
            self.wall_s,
        )
    }
}
