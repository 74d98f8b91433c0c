//! A Docker socket that accepts and never answers.

use crate::agent::{Fault, an_hour_costs_little, on_one_thread, the_others_keep_time};
use fleetlight_agent::config::AgentConfig;
use fleetlight_tests::fake_docker::FakeDocker;

fn config(docker: &FakeDocker) -> AgentConfig {
    AgentConfig { docker_socket: docker.socket().to_owned(), ..AgentConfig::default() }
}

fn silence(docker: &FakeDocker) -> Fault<'_> {
    Fault { collector: "containers", stuck: "containers".into(), begin: Box::new(|| docker.fall_silent()) }
}

#[test]
fn a_silent_docker_delays_no_other_collector() {
    let docker = FakeDocker::start().expect("a socket");
    on_one_thread(the_others_keep_time(config(&docker), silence(&docker)));
}

#[test]
fn an_hour_of_a_silent_docker_costs_little() {
    let docker = FakeDocker::start().expect("a socket");
    on_one_thread(an_hour_costs_little(config(&docker), silence(&docker)));
}
