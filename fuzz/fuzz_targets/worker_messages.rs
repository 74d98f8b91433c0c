//! What the agent and its worker processes say to each other; the first byte chooses the message. A
//! worker has loaded a vendor's library: its bytes are not trusted.
#![no_main]

use fleetlight_fuzz::mount_messages::{self, Done, Probe, Room, Target};
use fleetlight_fuzz::nvml_messages::{self, Driver, Outage};
use fleetlight_fuzz::{seed, worker_message};
use fleetlight_protocol::document::GpuDriverState;
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(init: seed(seeds()), |data: &[u8]| match data.split_first() {
    Some((0, bytes)) => check::<nvml_messages::Question>(bytes),
    Some((1, bytes)) => check::<nvml_messages::Answer>(bytes),
    Some((2, bytes)) => check::<mount_messages::Question>(bytes),
    Some((_, bytes)) => check::<mount_messages::Answer>(bytes),
    None => {}
});

/// Whoever reads a message knows its number, and can write it again.
fn check<M: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok((number, message)) = worker_message::read::<M>(bytes) else { return };
    assert_eq!(worker_message::number(bytes).expect("it was read"), number);
    let first = worker_message::write(number, &message).expect("it was read");
    let (again, message) = worker_message::read::<M>(&first).expect("our own");
    assert_eq!(worker_message::write(again, &message).expect("written before"), first, "a message changed on its way");
}

fn seeds() -> Vec<Vec<u8>> {
    let outage = Outage { state: GpuDriverState::Unresponsive, reason: "hangs".into() };
    let done = Done { took_us: 7, result: Ok(Room { blocks: 5, ..Room::default() }) };
    let failed = Done { took_us: 7, result: Err(116) };
    let probe = |last| Probe { last: Some(last), out_ms: Some(4), crowded: false };
    let target = Target { id: 36, path: b"/mnt".to_vec(), remote: true };
    vec![
        of(0, &nvml_messages::Question::Open { proc_root: "/proc".into() }),
        of(0, &nvml_messages::Question::Read),
        of(1, &nvml_messages::Answer::Opened(Driver::default())),
        of(1, &nvml_messages::Answer::Outage(outage)),
        of(2, &mount_messages::Question { mounts: vec![target] }),
        of(3, &mount_messages::Answer { mounts: vec![probe(done), probe(failed)] }),
    ]
}

fn of<M: Serialize>(kind: u8, message: &M) -> Vec<u8> {
    [vec![kind], worker_message::write(9, message).expect("plain data")].concat()
}
