//! Deaths that a real daemon does not give on demand: very many at once, and its words in either order.

use crate::collecting::{Collecting, SECOND};
use fleetlight_agent::collectors::Reading;
use fleetlight_agent::limits::{DOCKER_QUESTIONS, OOM_WORD_WAIT};
use fleetlight_agent::tick::wall_ms;
use fleetlight_protocol::event::{Fact, Severity};
use fleetlight_tests::fake_docker::FakeDocker;
use std::collections::BTreeMap;
use std::sync::mpsc;

fn event(action: &str, id: &str, exit_code: &str) -> String {
    let now_ns = wall_ms() * 1_000_000;
    format!(
        r#"{{"Type":"container","Action":"{action}","timeNano":{now_ns},
            "Actor":{{"ID":"{id}","Attributes":{{"name":"{id}","exitCode":"{exit_code}"}}}}}}"#
    )
    .replace('\n', "")
}

/// The agent's clock stands still until this is dropped. After ten real seconds it goes on, so that whoever waits
/// in vain is told.
struct Frozen(#[expect(dead_code, reason = "dropped to let time go on")] mpsc::Sender<()>);

impl Frozen {
    fn new() -> Self {
        tokio::time::pause();
        let (hold, held) = mpsc::channel::<()>();
        // The paused clock does not jump while somebody blocks.
        tokio::task::spawn_blocking(move || held.recv_timeout(10 * SECOND));
        Self(hold)
    }
}

/// Waits until another container's event is told: what came before it is known by then. No death may be told.
async fn others_go_on(docker: &FakeDocker, agent: &mut Collecting, id: &str) {
    docker.event(&event("create", id, ""));
    let created = |reading: &Reading| {
        let Reading::Events(events) = reading else { return None };
        assert!(!events.iter().any(|event| matches!(event.fact, Fact::ContainerDied { .. })), "{events:?}");
        events.iter().any(|event| event.key == id).then_some(())
    };
    agent.until("another container's event", SECOND, created).await;
}

async fn death(agent: &mut Collecting) -> (bool, Severity) {
    let died = agent.event("c1", "death", SECOND, |fact| matches!(fact, Fact::ContainerDied { .. })).await;
    let Fact::ContainerDied { exit_code: Some(137), oom_killed, .. } = died.fact else { panic!("{:?}", died.fact) };
    (oom_killed, died.severity)
}

async fn following(docker: &FakeDocker) -> (Collecting, Frozen) {
    let agent = Collecting::start(docker.socket()).await;
    docker.asked("/events", 0).await.expect("asked");
    (agent, Frozen::new())
}

#[tokio::test]
async fn out_of_memory_said_before_the_death_is_told_without_waiting() {
    let docker = FakeDocker::start().expect("a socket");
    let (mut agent, _frozen) = following(&docker).await;
    docker.event(&event("oom", "c1", ""));
    docker.event(&event("die", "c1", "137"));
    assert_eq!(death(&mut agent).await, (true, Severity::Crit));
}

#[tokio::test]
async fn out_of_memory_said_after_the_death_is_awaited_even_if_docker_starts_it_again() {
    let docker = FakeDocker::start().expect("a socket");
    let (mut agent, _frozen) = following(&docker).await;
    let mut asked = 0;
    for restarts in [false, true] {
        docker.event(&event("die", "c1", "137"));
        asked = docker.asked("/containers/c1/logs", asked).await.expect("asked");
        others_go_on(&docker, &mut agent, "c2").await;
        if restarts {
            docker.event(&event("start", "c1", ""));
            others_go_on(&docker, &mut agent, "c3").await;
        }
        docker.event(&event("oom", "c1", ""));
        assert_eq!(death(&mut agent).await, (true, Severity::Crit));
    }
    // The word was of the run before: the next kill is one from outside.
    docker.event(&event("die", "c1", "137"));
    others_go_on(&docker, &mut agent, "c4").await;
    tokio::time::advance(OOM_WORD_WAIT).await;
    assert_eq!(death(&mut agent).await, (false, Severity::Warn));
}

#[tokio::test]
async fn a_kill_from_outside_is_told_once_the_wait_is_over_and_not_as_out_of_memory() {
    let docker = FakeDocker::start().expect("a socket");
    let (mut agent, _frozen) = following(&docker).await;
    docker.event(&event("die", "c1", "137"));
    docker.asked("/containers/c1/logs", 0).await.expect("asked");
    others_go_on(&docker, &mut agent, "c2").await;
    tokio::time::advance(OOM_WORD_WAIT).await;
    assert_eq!(death(&mut agent).await, (false, Severity::Warn));
}

#[tokio::test]
async fn a_burst_of_deaths_makes_docker_not_breathless_and_none_is_lost() {
    const DEATHS: usize = 300;
    let docker = FakeDocker::start().expect("a socket");
    docker.hold("/logs");
    let mut agent = Collecting::start(docker.socket()).await;
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
