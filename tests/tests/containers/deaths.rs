//! Deaths that a real daemon does not give on demand: very many at once, and its words in either order.

use crate::collecting::{Collecting, SECOND};
use fleetlight_agent::collectors::Reading;
use fleetlight_agent::limits::DOCKER_QUESTIONS;
use fleetlight_agent::tick::wall_ms;
use fleetlight_protocol::event::Fact;
use fleetlight_tests::fake_docker::FakeDocker;
use std::collections::BTreeMap;

fn event(action: &str, id: &str, exit_code: &str) -> String {
    let now_ns = wall_ms() * 1_000_000;
    format!(
        r#"{{"Type":"container","Action":"{action}","timeNano":{now_ns},
            "Actor":{{"ID":"{id}","Attributes":{{"name":"{id}","exitCode":"{exit_code}"}}}}}}"#
    )
    .replace('\n', "")
}

#[tokio::test]
async fn a_burst_of_deaths_makes_docker_not_breathless_and_none_is_lost() {
    const DEATHS: usize = 300;
    let docker = FakeDocker::start().expect("a socket");
    docker.hold("/logs");
    let mut agent = Collecting::start(docker.socket());
    docker.asked("/events", 0).await.expect("asked");
    (0..DEATHS).for_each(|number| docker.event(&event("die", &format!("c{number}"), "1")));
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let all = |reading: &Reading| {
        if let Reading::Events(events) = reading {
            let deaths = events.iter().filter(|event| matches!(event.fact, Fact::ContainerDied { .. }));
            deaths.for_each(|event| *told.entry(event.key.clone()).or_default() += 1);
        }
        (told.len() == DEATHS).then_some(())
    };
    agent.until("news of all deaths", 10 * SECOND, all).await;
    assert!(told.values().all(|times| *times == 1), "each once: {told:?}");
    let most = docker.most_at_once("logs");
    assert!((1..=DOCKER_QUESTIONS).contains(&most), "{most} questions for last lines at a time");
}
