//! Garbage ends at most the session that it came from.

use crate::{Words, World, address, all_arrived, ticking};
use anyhow::Result;
use fleetlight_agent::transport::clock::Clock;
use fleetlight_agent::transport::tls::session_config;
use fleetlight_controller::transport::AgentRef;
use fleetlight_protocol::control::{AgentControl, ControllerControl, Hello, RefusalCode, close};
use fleetlight_protocol::frame::{self, HEAD_BYTES, Head};
use fleetlight_protocol::uplink::{Begin, Class, Uplink};
use fleetlight_protocol::{SERVER_NAME, VERSIONS};
use fleetlight_tests::sim_agent::{SimAgent, identity};
use fleetlight_tests::sim_controller::{BEGAN_MS, wall};
use quinn::{Connection, ConnectionError, Endpoint, EndpointConfig, RecvStream, SendStream, TransportConfig, VarInt};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// Host 66: enrolled, and up to no good.
pub struct Villain {
    _endpoint: Endpoint,
    pub connection: Connection,
}

impl Villain {
    async fn new(world: &World) -> Self {
        Self::granting(world, 0).await
    }

    /// It lets the controller open so many streams.
    pub async fn granting(world: &World, streams: u32) -> Self {
        let agent = AgentRef { agent_id: Uuid::from_u128(66), host_id: 66 };
        let ca = &world.memory.authority;
        let (own, hash) = identity(ca, ca, agent.agent_id, address(), BEGAN_MS).expect("an identity");
        world.memory.allow(hash, agent);
        let clock = Arc::new(Clock::load(Path::new("/nonexistent"), wall(0)));
        let mut config = session_config(&own, clock).expect("TLS");
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(VarInt::from_u32(streams));
        config.transport_config(Arc::new(transport));
        let socket = world.net.free_port([10, 0, 0, 66].into());
        let endpoint = world.net.endpoint(socket, EndpointConfig::default(), None).expect("an endpoint");
        let connection = endpoint.connect_with(config, address(), SERVER_NAME).expect("dials").await.expect("connects");
        Self { _endpoint: endpoint, connection }
    }

    pub async fn hello(&self, versions: Vec<u16>) -> (ControllerControl, SendStream, RecvStream) {
        let (mut send, mut recv) = self.connection.open_bi().await.expect("a stream");
        let hello = Hello {
            versions,
            agent_version: "evil".into(),
            epoch: Uuid::from_u128(1),
            connection: 1,
            boot_id: String::new(),
            hostname: String::new(),
            wall_ms: 0,
            inventory: vec![],
            held_epochs: vec![],
        };
        send.write_all(&frame::encode(&AgentControl::Hello(hello)).expect("encodes")).await.expect("sent");
        let answer = read(&mut recv).await.expect("an answer");
        (answer, send, recv)
    }

    /// Waits for the controller's close: its code and words.
    async fn closed(&self) -> (VarInt, String) {
        let closed = timeout(Duration::from_secs(10), self.connection.closed()).await.expect("closed in time");
        let ConnectionError::ApplicationClosed(closed) = closed else { unreachable!("{closed}") };
        (closed.error_code, String::from_utf8_lossy(&closed.reason).into_owned())
    }
}

pub async fn read<M: DeserializeOwned>(recv: &mut RecvStream) -> Result<M> {
    let mut head = [0; HEAD_BYTES];
    recv.read_exact(&mut head).await?;
    let head = Head::parse(head)?;
    let mut payload = vec![0; head.length];
    recv.read_exact(&mut payload).await?;
    Ok(frame::decode(head, &payload)?)
}

async fn good_agent(world: &World) -> SimAgent {
    let agent = world.agent(1);
    ticking(&agent, 5).await;
    agent
}

async fn unharmed(world: &World, agent: &SimAgent) {
    ticking(agent, 10).await;
    all_arrived(agent, &world.memory).await;
    let of_agent = world.controller.presence.lock().unwrap().clone();
    let lost = of_agent.iter().filter(|(_, said)| matches!(said, fleetlight_controller::transport::Presence::Disconnected { agent: of, .. } if *of == agent.agent));
    assert_eq!(lost.count(), 0, "the good agent's session went on");
}

/// Frames on a fresh uplink stream after a good hello, and what the controller must say to them.
fn uplink_faults() -> Vec<(Vec<u8>, &'static str)> {
    let begin = |class, epoch| frame::encode(&Uplink::Begin(Begin { class, epoch: Uuid::from_u128(epoch) })).unwrap();
    let frame = |message: &Uplink| frame::encode(message).unwrap();
    let mut bad_delta = begin(Class::Live, 1);
    bad_delta.extend(frame(&Uplink::Samples(1, vec![0xff; 40])));
    let mut wrong_class = begin(Class::Live, 1);
    wrong_class.extend(frame(&Uplink::Events(1, vec![])));
    vec![
        (vec![0x7f, 0xff, 0xff, 0xff], "over the bound"),
        (vec![0, 0, 0, 3, 0xc1, 0xc1, 0xc1], "does not hold the expected message"),
        (vec![0x80, 0, 0, 3, 1, 2, 3], "damaged"),
        (frame(&Uplink::Events(1, vec![])), "does not begin with a begin frame"),
        (begin(Class::Live, 7), "which the hello does not name"),
        (bad_delta, "shorter or longer than its rows"),
        (wrong_class, "events came on the stream of Live"),
    ]
}

#[tokio::test(start_paused = true)]
async fn bad_uplink_frames_end_only_their_session_in_words() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    let agent = good_agent(&world).await;
    for (bytes, reason) in uplink_faults() {
        let villain = Villain::new(&world).await;
        let (answer, _send, _recv) = villain.hello(vec![1]).await;
        assert!(matches!(answer, ControllerControl::Welcome(_)));
        let mut stream = villain.connection.open_uni().await.expect("a stream");
        stream.write_all(&bytes).await.expect("sent");
        let (code, said) = villain.closed().await;
        assert_eq!(code, VarInt::from_u32(close::BROKEN));
        assert!(said.contains(reason), "{said:?} lacks {reason:?}");
        words.assert_once(reason);
    }
    assert!(words.count("peer=10.0.0.66:") >= uplink_faults().len());
    unharmed(&world, &agent).await;
}

#[tokio::test(start_paused = true)]
async fn bad_first_frames_are_refused_in_words() {
    let world = World::new(1);
    let agent = good_agent(&world).await;
    let ping = frame::encode(&AgentControl::Goodbye { reason: String::new() }).unwrap();
    for (bytes, reason) in [
        (vec![0x7f, 0xff, 0xff, 0xff], "over the bound"),
        (vec![0, 0, 0, 1, 0xc1], "expected message"),
        (ping, "no hello"),
    ] {
        let villain = Villain::new(&world).await;
        let (mut send, mut recv) = villain.connection.open_bi().await.expect("a stream");
        send.write_all(&bytes).await.expect("sent");
        let Ok(ControllerControl::Refused(refusal)) = read(&mut recv).await else { unreachable!("not refused") };
        assert_eq!(refusal.code, RefusalCode::Malformed);
        assert!(refusal.message.contains(reason), "{}", refusal.message);
    }
    unharmed(&world, &agent).await;
}

#[tokio::test(start_paused = true)]
async fn versions_without_overlap_are_refused_with_both_sides_versions() {
    let world = World::new(1);
    let villain = Villain::new(&world).await;
    let (answer, _send, _recv) = villain.hello(vec![9, 8]).await;
    let ControllerControl::Refused(refusal) = answer else { unreachable!("{answer:?}") };
    assert_eq!(refusal.code, RefusalCode::Version);
    let ours: Vec<String> = VERSIONS.iter().map(u16::to_string).collect();
    let both = format!("speaks session version 9, 8, the controller {}", ours.join(", "));
    assert!(refusal.message.contains(&both), "{}", refusal.message);
}

#[tokio::test(start_paused = true)]
async fn a_newer_agent_is_met_at_the_common_version() {
    let world = World::new(1);
    let villain = Villain::new(&world).await;
    let newer = [&[VERSIONS[0] + 1], VERSIONS].concat();
    let (answer, _send, _recv) = villain.hello(newer).await;
    assert!(matches!(answer, ControllerControl::Welcome(welcome) if welcome.version == VERSIONS[0]));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_closed() {
    let world = World::new(1);
    let silent = Villain::new(&world).await;
    let (_, said) = silent.closed().await;
    assert!(said.contains("no hello within 3 s"), "{said}");
    let half = Villain::new(&world).await;
    let (mut send, _recv) = half.connection.open_bi().await.expect("a stream");
    send.write_all(&[0, 0, 1]).await.expect("sent");
    let (_, said) = half.closed().await;
    assert!(said.contains("no hello within 3 s"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn garbage_datagrams_harm_nobody() {
    let world = World::new(1);
    let agent = good_agent(&world).await;
    let mut state = 1_u64;
    for round in 0..2_000_u16 {
        let from: SocketAddr = ([10, 9, (round >> 8) as u8, round as u8], 1_000 + round).into();
        let bytes: Vec<u8> = (0..(round % 1_400))
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .collect();
        world.net.throw(from, address(), &bytes);
        // From the agent's own address, too: QUIC must not believe what is not authenticated.
        let own = world.net.newest_socket(agent.address).expect("a socket");
        world.net.throw(own, address(), &bytes);
        if round % 50 == 0 {
            sleep(Duration::from_millis(100)).await;
        }
    }
    unharmed(&world, &agent).await;
    assert_eq!(world.connects(), 1);
}
