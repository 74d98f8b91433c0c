//! Both directions of enrolment; the first byte chooses. This listener talks to strangers.
#![no_main]

use fleetlight_fuzz::{message, seed};
use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Enrolled, Refusal, RefusalCode};
use fleetlight_protocol::frame;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const REQUEST: u8 = 0;
const RESPONSE: u8 = 1;

fuzz_target!(init: seed(seeds()), |data: &[u8]| match data.split_first() {
    Some((&REQUEST, bytes)) => message::<EnrolRequest>(bytes),
    Some((_, bytes)) => message::<EnrolResponse>(bytes),
    None => {}
});

fn seeds() -> Vec<Vec<u8>> {
    let request = EnrolRequest {
        token_id: "0".repeat(32),
        secret: "f".repeat(32),
        csr: vec![0x30, 0x00],
        hostname: "host".into(),
        machine: "ab".into(),
    };
    let enrolled = EnrolResponse::Enrolled(Enrolled {
        agent_id: Uuid::nil(),
        host_name: "host".into(),
        chain: vec![vec![0x30, 0x00]],
        session_endpoint: "controller.example:7443".into(),
        wall_ms: 1_700_000_000_000,
    });
    let refused = EnrolResponse::Refused(Refusal { code: RefusalCode::TokenUsed, message: "make a new one".into() });
    let frames =
        [(REQUEST, frame::encode(&request)), (RESPONSE, frame::encode(&enrolled)), (RESPONSE, frame::encode(&refused))];
    frames
        .into_iter()
        .map(|(direction, frame)| [vec![direction], frame.expect("a seed fits a frame")].concat())
        .collect()
}
