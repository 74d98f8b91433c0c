//! History: as fast as the controller stores it, told as it goes, and never in the present's way.

use crate::{World, address, all_arrived, until};
use fleetlight_controller::transport::Presence;
use fleetlight_tests::sim_agent::{SimAgent, Ways};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// An agent that took so many ticks while it was cut off.
async fn cut_off(world: &World, ticks: i64, ways: Ways) -> SimAgent {
    world.net.part([10, 0, 0, 1].into(), address().ip());
    let agent = world.agent_with(1, ways);
    (0..ticks).for_each(|tick| agent.tick(tick));
    sleep(SECOND).await;
    agent
}

fn said(world: &World) -> Vec<u64> {
    let presence = world.controller.presence.lock().unwrap();
    let said = presence.iter().filter_map(|(_, said)| match said {
        Presence::History { batches, .. } => Some(*batches),
        _ => None,
    });
    said.collect()
}

#[tokio::test(start_paused = true)]
async fn history_goes_as_fast_as_it_is_stored_and_is_counted_down() {
    for on_disk in [false, true] {
        let world = World::new(1);
        world.memory.commit_ms.store(2, Ordering::Relaxed);
        let agent = cut_off(&world, 5_000, Ways { on_disk, ..Ways::default() }).await;
        world.net.mend();
        let took = until("history is stored", 60 * SECOND, || world.memory.tables().committed.len() >= 5_000).await;
        assert!(took <= 30 * SECOND, "{took:?}: 50 a second took 100 s");
        all_arrived(&agent, &world.memory).await;
        let said = said(&world);
        assert_eq!((said.first(), said.last()), (Some(&5_000), Some(&0)), "{said:?}");
        assert!(said.len() >= 3 && said.is_sorted_by(|one, next| one > next), "{said:?}");
        assert_eq!(world.memory.tables().repeated, 0);
        assert_eq!(world.connects(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_fact_does_not_wait_behind_a_nights_facts() {
    let world = World::new(1);
    world.memory.commit_ms.store(2, Ordering::Relaxed);
    world.net.part([10, 0, 0, 1].into(), address().ip());
    let agent = world.agent(1);
    (1..=3_000).for_each(|fact| agent.event(fact));
    sleep(SECOND).await;
    world.net.mend();
    until("connected", 10 * SECOND, || world.connects() == 1).await;
    sleep(SECOND / 5).await;
    agent.event(9_999);
    let new = *agent.spool.head().borrow() - 1;
    all_arrived(&agent, &world.memory).await;
    let place = world.memory.tables().committed.iter().position(|(_, seq, _)| *seq == new);
    assert!(place < Some(1_000), "it came as number {place:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_history_says_nothing_of_it() {
    let world = World::new(1);
    let agent = world.agent(1);
    until("connected", 5 * SECOND, || world.connects() == 1).await;
    sleep(SECOND).await;
    crate::ticking(&agent, 30).await;
    assert!(said(&world).is_empty());
}
