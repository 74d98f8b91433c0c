//! The control stream as an agent reads it: a controller is trusted, its bytes are not.
#![no_main]

use fleetlight_fuzz::{message, seed_messages};
use fleetlight_protocol::control::{ControllerControl, Refusal, RefusalCode, Welcome};
use fleetlight_protocol::samples::EntityKind;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(init: seed_messages(&seeds()), |data: &[u8]| message::<ControllerControl>(data));

fn seeds() -> Vec<ControllerControl> {
    vec![
        ControllerControl::Welcome(Welcome {
            version: 1,
            controller_version: "0.1.0".into(),
            wall_ms: 1_700_000_000_000,
            stored: vec![(Uuid::nil(), vec![(1, 7)])],
            wanted: vec![EntityKind::Host, EntityKind::Container],
            certificate_ends_ms: 1_700_000_000_000,
        }),
        ControllerControl::Refused(Refusal { code: RefusalCode::KeyRevoked, message: "enrol again".into() }),
        ControllerControl::Ack(None, vec![(1, 7), (9, 9)]),
        ControllerControl::Pong { nonce: 1, wall_ms: 2 },
        ControllerControl::Renewed { chain: vec![vec![0x30, 0x00]] },
        ControllerControl::Superseded,
    ]
}
