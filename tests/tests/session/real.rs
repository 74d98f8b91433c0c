//! The same session over the machine's own UDP, in real time: sockets, buffers, names.

use crate::until;
use fleetlight_agent::transport::udp_sockets;
use fleetlight_controller::transport::AgentRef;
use fleetlight_controller::transport::listener::{ListenError, bind};
use fleetlight_tests::sim_agent::{SimAgent, Ways, authority, identity};
use fleetlight_tests::sim_controller::{BEGAN_MS, Memory, SimController, wall};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn a_session_over_loopback_by_name() {
    let memory = Arc::new(Memory::new(authority().expect("a CA")));
    let endpoint = bind(([127, 0, 0, 1], 0).into(), &memory.authority, &wall(0), true).expect("a port");
    let controller = SimController::start_on(endpoint, &memory).expect("a controller");
    let agent = AgentRef { agent_id: Uuid::from_u128(1), host_id: 1 };
    let ca = &memory.authority;
    let (mut own, hash) = identity(ca, ca, agent.agent_id, controller.address, BEGAN_MS).expect("an identity");
    memory.allow(hash, agent);
    // The name may mean ::1 first, where nobody listens.
    own.session_endpoint = format!("localhost:{}", controller.address.port());
    let agent = SimAgent::start_on(udp_sockets(), agent, own, Ways::default()).expect("an agent");
    agent.tick(1);
    until("the batch is acknowledged", Duration::from_secs(10), || agent.is_empty()).await;
    let spool = agent.spool.clone();
    agent.tick(2);
    agent.stop().await.expect("stops");
    assert!(spool.is_drained());
    controller.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let memory = Memory::new(authority().expect("a CA"));
    let first = bind(([127, 0, 0, 1], 0).into(), &memory.authority, &wall(0), true).expect("a port");
    let taken = first.local_addr().expect("an address");
    let error = bind(taken, &memory.authority, &wall(0), true).expect_err("taken");
    assert!(matches!(error, ListenError::Bind { .. }));
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}
