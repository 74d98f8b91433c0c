//! Keys before the current one, which a controller knows that was restored from a backup.

use crate::{Words, World, address, all_arrived, ticking, until};
use fleetlight_agent::identity::{Identity, NewKey, key_hash};
use fleetlight_agent::limits::BACKOFF_FIRST;
use fleetlight_controller::transport::AgentRef;
use fleetlight_tests::sim_agent::{SimAgent, Ways, identity};
use fleetlight_tests::sim_controller::{BEGAN_MS, Memory, SimController};
use fleetlight_tests::sim_net::Cut;
use std::time::Duration;
use uuid::Uuid;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

fn agent_ref() -> AgentRef {
    AgentRef { agent_id: Uuid::from_u128(1), host_id: 1 }
}

fn hash(identity: &Identity) -> [u8; 32] {
    key_hash(&identity.leaf).expect("a certificate")
}

/// An identity whose certificates were made so many days ago, the newest last; and the keys, newest first.
fn renewed(memory: &Memory, days_ago: [i64; 3]) -> (Identity, Vec<[u8; 32]>) {
    let (ca, agent_id) = (&memory.authority, agent_ref().agent_id);
    let issued_ms = days_ago.map(|days| BEGAN_MS - days * DAY_MS);
    let (mut own, first) = identity(ca, ca, agent_id, address(), issued_ms[0]).expect("an identity");
    let mut keys = vec![first];
    for at_ms in &issued_ms[1..] {
        let key = NewKey::generate().expect("a key");
        let issued = ca.issue(&key.request().expect("a request"), agent_id, *at_ms).expect("issued");
        own = own.renewed(&key, &issued.chain, None).expect("renewed");
        keys.insert(0, issued.key_hash);
    }
    (own, keys)
}

/// Keys in the order in which they were shown; the controller looks twice at each that it lets in.
fn shown(memory: &Memory) -> Vec<[u8; 32]> {
    let mut shown: Vec<_> = memory.tables().lookups.iter().map(|(_, key)| *key).collect();
    shown.dedup();
    shown
}

#[tokio::test(start_paused = true)]
async fn a_key_made_after_the_backup_gives_way_to_the_one_before_it_which_is_renewed_at_once() {
    let (words, _guard) = Words::listen();
    let World { net, memory, controller } = World::new(1);
    let ways = Ways { certificate_age_ms: 5 * DAY_MS, on_disk: true, ..Ways::default() };
    let agent = SimAgent::start(&net, 1, address(), &memory, ways).expect("an agent");
    let first = hash(&agent.identity.current());
    ticking(&agent, 30).await;
    let second = hash(&agent.identity.current());
    assert_ne!(first, second, "renewed");
    controller.kill(&net).await;
    memory.forget(&second);
    memory.restore(10);
    memory.tables().lookups.clear();
    let controller = SimController::start(&net, address(), &memory).expect("the controller again");
    ticking(&agent, 20).await;
    assert_eq!(shown(&memory), [second, first]);
    words.assert_once("the controller does not know this host's key, but one before it");
    all_arrived(&agent, &memory).await;
    assert_eq!(controller.connects().len(), 1);
    let saved = Identity::load(agent.folder.path()).expect("readable").expect("there");
    let third = hash(&saved);
    assert_eq!(
        (third == second, saved.formers()),
        (false, 2),
        "should a later backup be restored, the second is known"
    );
    net.cut(Cut::Socket(net.newest_socket(agent.address).expect("a socket")));
    ticking(&agent, 20).await;
    assert_eq!(shown(&memory), [second, first, third], "it is known again");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_several_renewals_ago_helps_though_its_certificate_has_ended() {
    // The second has slept, and finds out from the controller that the certificate has ended.
    let asleep = Ways { clock_offset_ms: -9 * DAY_MS, noted_ms: BEGAN_MS - 9 * DAY_MS, ..Ways::default() };
    for ways in [Ways::default(), asleep] {
        let world = World::new(1);
        let (own, keys) = renewed(&world.memory, [10, 6, 2]);
        world.memory.allow(keys[2], agent_ref());
        let agent = SimAgent::start_as(&world.net, agent_ref(), own, ways).expect("an agent");
        ticking(&agent, 10).await;
        let fresh = hash(&agent.identity.current());
        assert!(!keys.contains(&fresh), "renewed");
        assert_eq!(shown(&world.memory), [keys[0], keys[1], keys[2], fresh]);
        assert!(world.controller.registry.is_connected(agent.agent.agent_id));
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_agent_shows_no_former_key() {
    let world = World::new(1);
    let (own, keys) = renewed(&world.memory, [6, 4, 2]);
    keys.iter().for_each(|key| world.memory.allow(*key, agent_ref()));
    world.memory.revoke(agent_ref().agent_id);
    let agent = SimAgent::start_as(&world.net, agent_ref(), own, Ways::default()).expect("an agent");
    ticking(&agent, 200).await;
    assert_eq!(shown(&world.memory), [keys[0]]);
}

#[tokio::test(start_paused = true)]
async fn where_no_key_is_known_each_is_shown_once_and_then_seldom() {
    let (words, _guard) = Words::listen();
    let world = World::new(1);
    let (own, keys) = renewed(&world.memory, [6, 4, 2]);
    let agent = SimAgent::start_as(&world.net, agent_ref(), own, Ways::default()).expect("an agent");
    ticking(&agent, 20).await;
    assert_eq!(shown(&world.memory), keys);
    ticking(&agent, 600).await;
    let asked = world.memory.tables().lookups.len();
    assert!((30..=66).contains(&asked), "{asked} times in ten minutes, with three keys");
    assert_eq!(words.count("supervisor: this key is not known here: enrol it with a new token"), 1, "logged once");
    assert!(!world.controller.registry.is_connected(agent.agent.agent_id));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_goes_away_meanwhile_is_shown_the_next_key_and_none_again() {
    let World { net, memory, controller } = World::new(1);
    let (own, keys) = renewed(&memory, [6, 4, 2]);
    let agent = SimAgent::start_as(&net, agent_ref(), own, Ways::default()).expect("an agent");
    until("the newest is shown", Duration::from_secs(5), || !memory.tables().lookups.is_empty()).await;
    controller.kill(&net).await;
    ticking(&agent, 20).await;
    let _controller = SimController::start(&net, address(), &memory).expect("the controller again");
    until("all are shown", Duration::from_secs(60), || memory.tables().lookups.len() == 3).await;
    let lookups = memory.tables().lookups.clone();
    assert_eq!(lookups.iter().map(|(_, key)| *key).collect::<Vec<_>>(), keys);
    let pauses = lookups.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(pauses.min() >= Some(BACKOFF_FIRST / 2), "each after a pause");
}
