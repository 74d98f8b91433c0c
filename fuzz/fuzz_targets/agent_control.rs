//! The control stream as the controller reads it.
#![no_main]

use fleetlight_fuzz::{message, seed_messages};
use fleetlight_protocol::control::{AgentControl, Hello, Ping};
use fleetlight_protocol::samples::EntityKind;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(init: seed_messages(&seeds()), |data: &[u8]| message::<AgentControl>(data));

fn seeds() -> Vec<AgentControl> {
    vec![
        AgentControl::Hello(Hello {
            versions: vec![1],
            agent_version: "0.1.0".into(),
            epoch: Uuid::nil(),
            connection: 1,
            boot_id: "b".into(),
            hostname: "host".into(),
            wall_ms: 1_700_000_000_000,
            inventory: vec![(EntityKind::Host, "ab".into())],
            held_epochs: vec![Uuid::nil()],
        }),
        AgentControl::Stopping,
        AgentControl::Ping(Ping { nonce: 1, clock_offset_ms: Some(-5), round_trip_ms: None }),
        AgentControl::Renew { csr: vec![0x30, 0x00] },
        AgentControl::Goodbye { reason: "stopped".into() },
    ]
}
