//! A daemon that says what a real one does not on demand: new words, cut answers, late ones.

use crate::collecting::{Collecting, SECOND};
use fleetlight_agent::collectors::Reading;
use fleetlight_protocol::document::{Body, CollectorState, ContainerState};
use fleetlight_protocol::event::Fact;
use fleetlight_tests::fake_docker::FakeDocker;

const LIST: &str = "/containers/json";
const EVENTS: &str = "/events";

/// Makes `id` inspectable, in this state.
fn inspectable(docker: &FakeDocker, id: &str, state: &str) {
    let body = format!(
        r#"{{"Id":"{id}","Name":"/{id}","Created":"2026-11-21T10:54:05Z","Config":{{"Image":"busybox"}},
            "State":{{"Status":"{state}","Pid":0,"StartedAt":"2026-11-21T10:54:06Z"}}}}"#
    );
    docker.answer(&format!("/containers/{id}/json"), &body);
}

fn listed(id: &str, state: &str) -> String {
    format!(r#"{{"Id":"{id}","Names":["/{id}"],"State":"{state}"}}"#)
}

fn event(action: &str, id: &str) -> String {
    let now_ns = fleetlight_agent::tick::wall_ms() * 1_000_000;
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{"name":"{id}"}}}},"timeNano":{now_ns}}}"#
    )
}

#[tokio::test]
async fn a_state_that_nobody_knows_hides_no_container() {
    let docker = FakeDocker::start().expect("a socket");
    docker.answer(LIST, &format!("[{},{}]", listed("odd", "hibernating"), listed("plain", "running")));
    inspectable(&docker, "odd", "hibernating");
    inspectable(&docker, "plain", "running");
    let mut agent = Collecting::start(docker.socket()).await;
    let mut states = std::collections::BTreeMap::new();
    let both = |reading: &Reading| {
        let Reading::Documents(documents) = reading else { return None };
        for document in documents {
            if let Some(Body::Container(body)) = &document.body {
                states.insert(body.name.clone(), body.state);
            }
        }
        (states.len() == 2).then(|| states.clone())
    };
    let states = agent.until("documents of both", 10 * SECOND, both).await;
    assert_eq!((states["odd"], states["plain"]), (ContainerState::Unknown, ContainerState::Running));
    let trouble = agent.collector(CollectorState::Failing, 10 * SECOND).await;
    assert!(trouble.reason.contains("1 of 2 containers") && trouble.reason.contains("hibernating"), "{trouble:?}");
}

#[tokio::test]
async fn a_list_that_is_cut_is_told_and_events_go_on() {
    let docker = FakeDocker::start().expect("a socket");
    docker.answer(LIST, r#"[{"Id":"#);
    let mut agent = Collecting::start(docker.socket()).await;
    let trouble = agent.collector(CollectorState::Failing, 10 * SECOND).await;
    assert!(trouble.reason.contains("list"), "{}", trouble.reason);
    docker.event(&event("start", "new"));
    agent.event("new", "start", 10 * SECOND, |fact| *fact == Fact::ContainerStarted).await;
    assert_eq!(docker.asked(EVENTS, 0).await.expect("asked"), 1, "on the same connection");
}

#[tokio::test]
async fn an_event_that_is_not_understood_is_not_asked_for_again() {
    let docker = FakeDocker::start().expect("a socket");
    let mut agent = Collecting::start(docker.socket()).await;
    let asked = docker.asked(EVENTS, 0).await.expect("asked");
    docker.event(r#"{"Type":"hologram","Action":"shine"}"#);
    docker.asked(EVENTS, asked).await.expect("asked");
    docker.event(&event("start", "new"));
    agent.event("new", "start", 10 * SECOND, |fact| *fact == Fact::ContainerStarted).await;
}

#[tokio::test]
async fn an_answer_about_a_container_that_was_removed_meanwhile_brings_no_ghost() {
    let docker = FakeDocker::start().expect("a socket");
    docker.answer(LIST, &format!("[{}]", listed("ghost", "running")));
    for id in ["ghost", "after"] {
        inspectable(&docker, id, "running");
    }
    docker.hold("/containers/ghost/json");
    let mut agent = Collecting::start(docker.socket()).await;
    docker.asked("/containers/ghost/json", 0).await.expect("asked");
    docker.event(&event("destroy", "ghost"));
    // Events come in order: once this one is told, the removal is known.
    docker.event(&event("create", "after"));
    agent.event("after", "creation", 10 * SECOND, |fact| *fact == Fact::ContainerCreated).await;
    docker.release();
    docker.event(&event("start", "after"));
    // The held answer was given before the question that follows the start.
    let (mut ghosts, mut started) = (Vec::new(), false);
    let looked_at = |reading: &Reading| {
        match reading {
            Reading::Events(events) => started |= events.iter().any(|event| event.fact == Fact::ContainerStarted),
            Reading::Documents(documents) => {
                ghosts.extend(documents.iter().filter(|it| it.key == "ghost" && it.body.is_some()).cloned());
                return (started && documents.iter().any(|it| it.key == "after")).then_some(());
            }
            Reading::Rows { .. } => {}
        }
        None
    };
    agent.until("document after the start", 10 * SECOND, looked_at).await;
    assert_eq!(ghosts, [], "it is gone");
}
