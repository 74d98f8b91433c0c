//! What is sent arrives once, whatever the network does.

use crate::{World, address, all_arrived, ticking, until};
use fleetlight_agent::spool::{Bounds, Spool, disk};
use fleetlight_controller::transport::{Payload, Presence};
use fleetlight_protocol::document::{Body, CollectorDocument, Document};
use fleetlight_protocol::samples::EntityKind;
use fleetlight_tests::sim_agent::{Folder, SimAgent, Ways};
use fleetlight_tests::sim_controller::SimController;
use fleetlight_tests::sim_net::{Cut, Packet, Weather};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn everything_arrives_once_in_a_storm() {
    for seed in 0..4 {
        let world = World::new(seed);
        world.net.set_weather(Weather::STORM);
        let agent = world.agent(1);
        for minute in 0..4 {
            ticking(&agent, 60).await;
            agent.event(minute);
        }
        all_arrived(&agent, &world.memory).await;
        let tables = world.memory.tables();
        let events = tables.committed.iter().filter(|(_, _, payload)| matches!(payload, Payload::Events(_)));
        assert_eq!(events.count(), 4, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_bridged_by_the_spool_and_over_within_five_seconds() {
    for (seed, away) in [(1, 8), (2, 20), (3, 45), (4, 120)] {
        let world = World::new(seed);
        let agent = world.agent(1);
        ticking(&agent, 20).await;
        world.net.part(agent.address, address().ip());
        ticking(&agent, away).await;
        world.net.mend();
        let before = world.memory.tables().committed.len();
        let memory = &world.memory;
        let took = until("the session is back", 10 * SECOND, || memory.tables().committed.len() > before).await;
        assert!(took <= 5 * SECOND, "{took:?} after {away} s of partition");
        ticking(&agent, 5).await;
        all_arrived(&agent, &world.memory).await;
        assert_eq!(world.controller.registry.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_acks_a_fresh_connection_supersedes_the_half_open_one() {
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 20).await;
    assert_eq!(world.connects(), 1);
    let socket = world.net.newest_socket(agent.address).expect("the agent's socket");
    world.net.cut(Cut::Socket(socket));
    let cut = Instant::now();
    ticking(&agent, 15).await;
    let connects = world.controller.connects();
    let after = connects.get(1).expect("a fresh connection").duration_since(cut);
    // Ten seconds after the last ack, which was at most three ticks old.
    assert!((7 * SECOND..12 * SECOND).contains(&after), "dialled after {after:?}");
    all_arrived(&agent, &world.memory).await;
    let presence = world.controller.presence.lock().unwrap().clone();
    let lost = presence.iter().filter(|(_, said)| matches!(said, Presence::Disconnected { .. })).count();
    assert_eq!(lost, 0, "a superseded session says nothing: its host is online");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_database_is_not_stormed_with_connections() {
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 20).await;
    world.memory.stuck.store(true, Ordering::Relaxed);
    ticking(&agent, 200).await;
    let connects = world.connects();
    assert!((4..=6).contains(&connects), "{connects}: fresh ones after 10, 10, 20, 40, 80 s");
    world.memory.stuck.store(false, Ordering::Relaxed);
    ticking(&agent, 5).await;
    all_arrived(&agent, &world.memory).await;
    assert!(world.memory.tables().repeated > 0, "batches came again, and were recognised");
}

#[tokio::test(start_paused = true)]
async fn a_slow_commit_is_no_stalled_connection() {
    for commit_ms in [3_500, 4_200, 4_900] {
        let world = World::new(1);
        world.memory.commit_ms.store(commit_ms, Ordering::Relaxed);
        let agent = world.agent(1);
        for tick in 0..24 {
            agent.tick(tick);
            sleep(5 * SECOND).await;
        }
        assert_eq!(world.connects(), 1, "acks come within ten seconds of their batches, {commit_ms} ms a commit");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_answers_late_costs_no_host_its_session() {
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 20).await;
    world.memory.stuck.store(true, Ordering::Relaxed);
    // As long as the directory waits for the database.
    world.memory.answer_ms.store(2_000, Ordering::Relaxed);
    ticking(&agent, 60).await;
    let presence = world.controller.presence.lock().unwrap().clone();
    let lost: Vec<_> = presence.iter().filter(|(_, said)| matches!(said, Presence::Disconnected { .. })).collect();
    assert!(lost.is_empty(), "the live view needs no database: {lost:?}");
    assert!(world.controller.registry.is_connected(agent.agent.agent_id));
    assert!((2..=4).contains(&world.connects()), "fresh ones after 10, 10, 20, 40 s: {}", world.connects());
}

#[tokio::test(start_paused = true)]
async fn a_welcome_that_cannot_say_what_is_stored_brings_no_history_again() {
    let world = World::new(1);
    let agent = world.agent_with(1, Ways { on_disk: true, ..Ways::default() });
    ticking(&agent, 300).await;
    all_arrived(&agent, &world.memory).await;
    world.memory.mute.store(true, Ordering::Relaxed);
    world.net.cut(Cut::Socket(world.net.newest_socket(agent.address).expect("the agent's socket")));
    ticking(&agent, 30).await;
    all_arrived(&agent, &world.memory).await;
    assert_eq!(world.connects(), 2);
    let repeated = world.memory.tables().repeated;
    assert!(repeated < 30, "{repeated} batches came again, of which none was unacknowledged for long");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_returns_has_its_agents_within_five_seconds() {
    for (seed, away) in [(1, 0), (2, 4), (3, 30), (4, 300)] {
        let World { net, memory, controller } = World::new(seed);
        let agent = SimAgent::start(&net, 1, address(), &memory, Ways::default()).expect("an agent");
        ticking(&agent, 20).await;
        if seed % 2 == 0 {
            controller.stop().await;
        } else {
            controller.kill(&net).await;
        }
        ticking(&agent, away).await;
        let controller = SimController::start(&net, address(), &memory).expect("the controller again");
        let back = Instant::now();
        ticking(&agent, 6).await;
        let connects = controller.connects();
        let took = connects.first().expect("connected").duration_since(back);
        assert!(took <= 5 * SECOND, "{took:?} after {away} s");
        all_arrived(&agent, &memory).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_bound_forced_out_is_told() {
    let world = World::new(1);
    world.net.part([10, 0, 0, 1].into(), address().ip());
    let agent = world.agent_with(1, Ways { spool_bytes: 8_000, ..Ways::default() });
    ticking(&agent, 60).await;
    agent.event(1);
    world.net.mend();
    until("everything acknowledged", 60 * SECOND, || agent.is_empty()).await;
    let tables = world.memory.tables();
    let mut told = vec![];
    for (_, seq, payload) in &tables.committed {
        match payload {
            Payload::Evicted { last } => told.extend(*seq..=*last),
            _ => told.push(*seq),
        }
    }
    told.sort_unstable();
    assert_eq!(told, (1..*agent.spool.head().borrow()).collect::<Vec<_>>());
    assert!(agent.spool.evicted_batches() > 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_forced_out_during_a_session_is_told_in_it() {
    let world = World::new(1);
    let agent = world.agent_with(1, Ways { spool_bytes: 8_000, ..Ways::default() });
    ticking(&agent, 5).await;
    world.memory.stuck.store(true, Ordering::Relaxed);
    for tick in 0..100 {
        agent.tick(tick);
    }
    sleep(SECOND).await;
    world.memory.stuck.store(false, Ordering::Relaxed);
    until("everything acknowledged", 9 * SECOND, || agent.spool.is_drained()).await;
    assert!(agent.spool.evicted_batches() > 0);
    assert_eq!(world.connects(), 1, "no reconnect was needed");
}

#[tokio::test(start_paused = true)]
async fn a_controller_restored_from_an_older_backup_gets_what_it_lacks_again() {
    let World { net, memory, controller } = World::new(1);
    let ways = Ways { on_disk: true, ..Ways::default() };
    let agent = SimAgent::start(&net, 1, address(), &memory, ways).expect("an agent");
    for minute in 0..3 {
        agent.event(minute);
        ticking(&agent, 60).await;
    }
    all_arrived(&agent, &memory).await;
    controller.kill(&net).await;
    memory.restore(40);
    let _controller = SimController::start(&net, address(), &memory).expect("the controller again");
    ticking(&agent, 20).await;
    assert!(memory.tables().committed.len() > 180, "it was sent again");
    all_arrived(&agent, &memory).await;
}

/// A pipe in the place of a file that the spool reads: whoever opens it waits until somebody writes.
fn hang(spool: &Path) -> PathBuf {
    let pipe = spool.join("host");
    std::fs::remove_file(&pipe).expect("the note whose the folder is");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a pipe");
    pipe
}

#[tokio::test(start_paused = true)]
async fn what_a_hanging_disk_held_at_the_start_is_sent_once_it_was_read() {
    let (world, folder) = (World::new(1), Folder::new().expect("a folder"));
    let (bounds, disk) = (Bounds::of_disk(64 * 1024 * 1024), || Arc::new(disk::Folder::new(folder.path().to_owned())));
    let before = Spool::open_inline(disk(), bounds, "host");
    (0..3).for_each(|_| before.push(fleetlight_agent::spool::Payload::Events(Vec::new().into())));
    let epoch = before.epoch();
    drop(before);
    let pipe = hang(folder.path());
    let (spool, _thread) = Spool::open(disk(), bounds, "host").await.expect("threads");
    let agent = SimAgent::start_with(&world.net, 1, address(), &world.memory, spool).expect("an agent");
    ticking(&agent, 20).await;
    assert!(!world.memory.tables().committed.is_empty(), "sent from memory");
    assert_eq!(world.connects(), 1);
    drop(std::fs::File::options().write(true).open(pipe).expect("the spool reads it"));
    // The disk is real, and so is the time that it takes.
    let began = std::time::Instant::now();
    let held = || world.memory.tables().committed.iter().filter(|(of, ..)| *of == epoch).count();
    while held() < 3 || !agent.is_empty() {
        assert!(began.elapsed() < 10 * SECOND, "{} of 3 batches, after {} connections", held(), world.connects());
        sleep(SECOND / 10).await;
    }
    assert_eq!((held(), world.connects()), (3, 2), "asked for anew");
    all_arrived(&agent, &world.memory).await;
}

#[tokio::test(start_paused = true)]
async fn wanted_inventory_follows_the_welcome() {
    let world = World::new(1);
    world.memory.tables().wanted = vec![EntityKind::Collector];
    world.net.part([10, 0, 0, 1].into(), address().ip());
    let agent = world.agent(1);
    let body = Some(Body::Collector(CollectorDocument::default()));
    let document = Document { kind: EntityKind::Collector, key: "host".into(), observed_ms: 1, body };
    assert_eq!(agent.inventory.absorb(vec![document.clone()]).len(), 1);
    world.net.mend();
    sleep(10 * SECOND).await;
    let tables = world.memory.tables();
    let sent = tables
        .committed
        .iter()
        .any(|(_, _, payload)| matches!(payload, Payload::Inventory(documents) if *documents == [document.clone()]));
    assert!(sent);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_agent_says_goodbye_after_its_last_batch() {
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 5).await;
    agent.tick(1);
    let (spool, began) = (agent.spool.clone(), Instant::now());
    agent.stop().await.expect("stops");
    assert!(began.elapsed() <= Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(spool.is_drained(), "the last batch was acknowledged");
    sleep(SECOND).await;
    let presence = world.controller.presence.lock().unwrap().clone();
    assert!(matches!(presence.last(), Some((_, Presence::Disconnected { goodbye: true, .. }))), "{presence:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_stops_in_time_when_nobody_answers() {
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 5).await;
    world.net.part(agent.address, address().ip());
    ticking(&agent, 3).await;
    let began = Instant::now();
    agent.stop().await.expect("stops");
    assert!(began.elapsed() <= Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn clock_offset_and_round_trip_are_measured() {
    let world = World::new(1);
    let _agent = world.agent_with(1, Ways { clock_offset_ms: 90_000, ..Ways::default() });
    sleep(5 * SECOND).await;
    let presence = world.controller.presence.lock().unwrap().clone();
    let measured = presence.iter().find_map(|(_, said)| match said {
        Presence::Measured { clock_offset_ms, round_trip_ms, .. } => Some((*clock_offset_ms, *round_trip_ms)),
        _ => None,
    });
    let (offset_ms, round_trip_ms) = measured.expect("measured within 5 s");
    assert!((89_980..=90_020).contains(&offset_ms.expect("an offset")), "{offset_ms:?}");
    assert!((10..=20).contains(&round_trip_ms), "{round_trip_ms}");
}

async fn rough_trace(seed: u64) -> Vec<Packet> {
    let world = World::new(seed);
    world.net.set_weather(Weather::STORM);
    let agent = world.agent(1);
    ticking(&agent, 30).await;
    world.net.part(agent.address, address().ip());
    ticking(&agent, 15).await;
    world.net.mend();
    ticking(&agent, 30).await;
    world.net.trace()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_packets() {
    let (first, second) = (rough_trace(5).await, rough_trace(5).await);
    assert!(first.len() > 100, "{} packets", first.len());
    let differs = first.iter().zip(&second).position(|(one, other)| one != other);
    assert_eq!(differs.map(|at| (first[at], second[at])), None);
    assert_eq!(first.len(), second.len());
    assert_ne!(first, rough_trace(6).await, "another seed, other packets");
}

#[tokio::test(start_paused = true)]
async fn a_tick_costs_few_packets() {
    let world = World::new(1);
    let agent = world.agent(1);
    ticking(&agent, 10).await;
    let (bytes, packets) = (world.net.bytes(), world.net.trace().len());
    for tick in 0..120 {
        agent.tick(tick);
        sleep(5 * SECOND).await;
    }
    let packets = (world.net.trace().len() - packets) as f64 / 120.0;
    let bytes = (world.net.bytes() - bytes) / 120;
    // Batch, our ack of the one before with QUIC's ack, QUIC's ack of that.
    assert!(packets <= 3.1 && bytes <= 170, "{packets} packets and {bytes} bytes a tick");
}
