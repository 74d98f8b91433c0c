//! An executor that is away, or hangs: it is named with what to do, and ticks go on.

use crate::collecting::{Collecting, SECOND};
use fleetlight_agent::collectors::Reading;
use fleetlight_protocol::document::{Body, CollectorState};
use fleetlight_tests::fake_docker::FakeDocker;
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// Waits until the collector's trouble says this.
async fn told(agent: &mut Collecting, words: &str, within: Duration) {
    let says = |reading: &Reading| {
        let Reading::Documents(documents) = reading else { return None };
        documents.iter().find_map(|document| match &document.body {
            Some(Body::Collector(body)) if body.state == CollectorState::Failing && body.reason.contains(words) => {
                Some(())
            }
            _ => None,
        })
    };
    agent.until(words, within, says).await;
}

#[tokio::test]
async fn one_that_is_away_is_named_and_found_again() {
    let docker = FakeDocker::start().expect("a socket");
    let mut agent = Collecting::start(docker.socket()).await;
    agent.collector(CollectorState::Ok, 10 * SECOND).await;
    agent.executor.end().await.expect("ends");
    told(&mut agent, "systemctl start fleetlight-executor", 10 * SECOND).await;
    agent.tick().await;
    agent.executor.again().await.expect("starts");
    agent.collector(CollectorState::Ok, 10 * SECOND).await;
}

#[tokio::test]
async fn one_that_takes_questions_and_never_answers_is_named() {
    let docker = FakeDocker::start().expect("a socket");
    let mut agent = Collecting::start(docker.socket()).await;
    agent.collector(CollectorState::Ok, 10 * SECOND).await;
    agent.executor.end().await.expect("ends");
    let socket = agent.executor.config().executor_socket;
    std::fs::remove_file(&socket).expect("left behind");
    let _silent = UnixListener::bind(&socket).expect("binds");
    told(&mut agent, "has not answered within 7 s: look at `journalctl -u fleetlight-executor`", 14 * SECOND).await;
    agent.tick().await;
}
