//! Who may come in, by whose certificate and at what time.

use crate::{Words, World, address, ticking, until};
use fleetlight_agent::identity::{Identity, key_hash};
use fleetlight_controller::transport::{AgentRef, Presence};
use fleetlight_tests::sim_agent::{SimAgent, Ways, authority, identity};
use fleetlight_tests::sim_controller::{BEGAN_MS, revoked};
use fleetlight_tests::sim_net::Cut;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);
const DAY_MS: i64 = 24 * 3_600 * 1_000;

fn agent_ref() -> AgentRef {
    AgentRef { agent_id: Uuid::from_u128(1), host_id: 1 }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_agent_is_cut_off_in_words_and_asks_seldom() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 5).await;
    world.memory.revoke(agent.agent.agent_id);
    assert!(world.controller.registry.close(agent.agent.agent_id, revoked()));
    sleep(SECOND).await;
    assert!(!world.controller.registry.is_connected(agent.agent.agent_id));
    let from = world.memory.tables().lookups.len();
    ticking(&agent, 600).await;
    let asked = world.memory.tables().lookups.len() - from;
    assert!((8..=21).contains(&asked), "{asked} times in ten minutes");
    assert_eq!(world.connects(), 1);
    let said =
        words.count("WARN fleetlight_agent::transport::supervisor: this agent was revoked: enrol it with a new token");
    assert_eq!(said, 1, "logged once by the agent");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_revoked_while_it_connects_is_said_to_be_gone() {
    let world = World::new(1);
    // The first look lets it in; the second, after its place in the registry is taken, does not.
    world.memory.tables().refuse_lookup = Some(2);
    let agent = world.agent(1);
    ticking(&agent, 5).await;
    let presence = world.controller.presence.lock().expect("not poisoned").clone();
    let said: Vec<_> = presence.into_iter().map(|(_, said)| said).collect();
    assert!(matches!(said.first(), Some(Presence::Connected { .. })), "{said:?}");
    let Some(Presence::Disconnected { reason, goodbye: false, .. }) = said.get(1) else {
        panic!("nobody says that it is gone: {said:?}")
    };
    assert_eq!(*reason, revoked().message);
    assert!(!world.controller.registry.is_connected(agent.agent.agent_id));
}

#[tokio::test(start_paused = true)]
async fn a_new_enrolment_is_taken_up_without_a_restart() {
    let world = World::new(1);
    let agent = world.agent_with(1, Ways { on_disk: true, ..Ways::default() });
    ticking(&agent, 5).await;
    world.memory.revoke(agent.agent.agent_id);
    world.controller.registry.close(agent.agent.agent_id, revoked());
    sleep(5 * SECOND).await;
    let again = AgentRef { agent_id: Uuid::from_u128(99), host_id: 1 };
    let ca = &world.memory.authority;
    let (fresh, hash) = identity(ca, ca, again.agent_id, address(), BEGAN_MS).expect("an identity");
    world.memory.allow(hash, again);
    fresh.save(agent.folder.path()).expect("saved");
    let registry = &world.controller.registry;
    until("connected as the new agent", 70 * SECOND, || registry.is_connected(again.agent_id)).await;
    ticking(&agent, 20).await;
    let tables = world.memory.tables();
    assert_eq!((tables.committed.len(), tables.repeated), (25, 0), "what the old key brought is not sent again");
}

#[tokio::test(start_paused = true)]
async fn a_strangers_certificate_gets_no_further_than_the_handshake() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    let stranger = authority().expect("another CA");
    let (own, _) =
        identity(&stranger, &world.memory.authority, Uuid::from_u128(1), address(), BEGAN_MS).expect("an identity");
    let agent = SimAgent::start_as(&world.net, agent_ref(), own, Ways::default()).expect("an agent");
    ticking(&agent, 60).await;
    assert!(world.memory.tables().lookups.is_empty(), "nobody was asked");
    assert_eq!(world.connects(), 0);
    words.assert_once("does not accept this host's certificate");
    assert!(words.count("handshake failed") >= 1, "the controller says so, with the address");
    assert!(words.count("peer=10.0.0.1:") >= 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_gives_nothing_to_a_controller_of_another_ca() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    let other = authority().expect("another CA");
    let (own, hash) =
        identity(&world.memory.authority, &other, Uuid::from_u128(1), address(), BEGAN_MS).expect("an identity");
    world.memory.allow(hash, agent_ref());
    let agent = SimAgent::start_as(&world.net, agent_ref(), own, Ways::default()).expect("an agent");
    ticking(&agent, 60).await;
    assert!(world.memory.tables().lookups.is_empty());
    words.assert_once("is not the controller that this host was enrolled with");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_never_enrolled_is_refused_in_words() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    let ca = &world.memory.authority;
    let (own, _) = identity(ca, ca, Uuid::from_u128(1), address(), BEGAN_MS).expect("an identity");
    let agent = SimAgent::start_as(&world.net, agent_ref(), own, Ways::default()).expect("an agent");
    ticking(&agent, 20).await;
    assert_eq!(world.connects(), 0);
    assert_eq!(world.memory.tables().lookups.len(), 1);
    words.assert_once("transport::session: agent refused");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_renews_with_a_new_key_that_the_next_connection_uses() {
    let world = World::new(1);
    let agent = world.agent_with(1, Ways { certificate_age_ms: 5 * DAY_MS, ..Ways::default() });
    let old = agent.identity.current().leaf.clone();
    ticking(&agent, 5).await;
    let new = agent.identity.current().leaf.clone();
    assert_ne!(key_hash(&old), key_hash(&new));
    let saved = Identity::load(agent.folder.path()).expect("readable").expect("there");
    assert_eq!(saved.leaf, new);
    assert_eq!(world.connects(), 1, "the session goes on meanwhile");
    let socket = world.net.newest_socket(agent.address).expect("a socket");
    world.net.cut(Cut::Socket(socket));
    ticking(&agent, 20).await;
    assert_eq!(world.connects(), 2);
    let last = world.memory.tables().lookups.last().map(|(_, hash)| *hash);
    assert_eq!(last, key_hash(&new).ok());
}

#[tokio::test(start_paused = true)]
async fn a_young_certificate_is_not_renewed() {
    let world = World::new(1);
    let agent = world.agent_with(1, Ways { certificate_age_ms: 3 * DAY_MS, ..Ways::default() });
    let old = agent.identity.current().leaf.clone();
    sleep(3_600 * SECOND).await;
    assert_eq!(agent.identity.current().leaf, old);
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_renews_for_thirty_days() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    // The second has slept through the end and finds out from the controller.
    let asleep = Ways {
        certificate_age_ms: 20 * DAY_MS,
        clock_offset_ms: -16 * DAY_MS,
        noted_ms: BEGAN_MS - 20 * DAY_MS,
        ..Ways::default()
    };
    for (host, ways) in [(1, Ways { certificate_age_ms: 36 * DAY_MS, ..Ways::default() }), (2, asleep)] {
        let agent = world.agent_with(host, ways);
        ticking(&agent, 10).await;
        assert!(world.controller.registry.is_connected(agent.agent.agent_id), "host {host}");
    }
    assert_eq!(words.count("the certificate had ended and was renewed"), 2);
    let agent = world.agent_with(3, Ways { certificate_age_ms: 38 * DAY_MS, ..Ways::default() });
    ticking(&agent, 60).await;
    assert!(!world.controller.registry.is_connected(agent.agent.agent_id));
    words.assert_once("ended too long ago to be renewed: make a new join token");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_does_not_cut_a_host_off() {
    let world = World::new(1);
    for (host, years) in [(1, 10), (2, -10)] {
        let agent = world.agent_with(host, Ways { clock_offset_ms: years * 365 * DAY_MS, ..Ways::default() });
        ticking(&agent, 10).await;
        assert!(world.controller.registry.is_connected(agent.agent.agent_id), "{years} years");
        sleep(Duration::from_secs(7)).await;
        assert!(agent.is_empty(), "the ack of the last tick waits for company, and comes alone in the end");
    }
    assert_eq!(world.connects(), 2);
}

#[tokio::test(start_paused = true)]
async fn clones_of_a_host_do_not_fight() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 20).await;
    let copy = Identity::load(agent.folder.path()).expect("readable").expect("there");
    let clone = SimAgent::start_as(&world.net, agent.agent, copy, Ways::default()).expect("a clone");
    let began = Instant::now();
    while began.elapsed() < 300 * SECOND {
        ticking(&agent, 1).await;
        clone.tick(1);
    }
    let connects = world.connects();
    assert!((3..=22).contains(&connects), "{connects} in five minutes");
    assert!(words.count("was this disk image cloned?") >= 1);
}
