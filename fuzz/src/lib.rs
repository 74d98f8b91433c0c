//! What the fuzz targets share: how a message is judged, and where seeds go.
//!
//! Seeds are made by the targets themselves when `FLEETLIGHT_FUZZ_SEEDS` names a folder, so that
//! they always speak the present wire format and nothing binary is committed.

// The agent's decoders by themselves, by path: its crate brings a hundred others, which need no
// fuzzing here. They stand side by side, and find what they share where they look for it.
#[path = "../../agent/src/docker/answer.rs"]
pub mod answer;
#[path = "../../agent/src/collectors/containers/cgroup.rs"]
pub mod cgroup;
#[path = "../../agent/src/collectors/containers/netdev.rs"]
pub mod container_netdev;
#[path = "../../agent/src/collectors/host/diskstats.rs"]
pub mod diskstats;
#[path = "../../agent/src/docker/id.rs"]
pub mod id;
#[path = "../../agent/src/limits.rs"]
pub mod limits;
#[path = "../../agent/src/collectors/host/loadavg.rs"]
pub mod loadavg;
#[path = "../../agent/src/mask/mod.rs"]
pub mod mask;
#[path = "../../agent/src/collectors/host/meminfo.rs"]
pub mod meminfo;
#[path = "../../agent/src/docker/misread.rs"]
pub mod misread;
#[path = "../../agent/src/workers/mounts/messages.rs"]
pub mod mount_messages;
#[path = "../../agent/src/collectors/mounts/mountinfo.rs"]
pub mod mountinfo;
#[path = "../../agent/src/collectors/host/netdev.rs"]
pub mod netdev;
#[path = "../../agent/src/workers/nvml/messages.rs"]
pub mod nvml_messages;
#[path = "../../agent/src/collectors/host/pressure.rs"]
pub mod pressure;
#[path = "../../agent/src/collectors/procfile.rs"]
pub mod procfile;
#[path = "../../agent/src/collectors/host/rates.rs"]
pub mod rates;
pub mod spool;
#[path = "../../agent/src/collectors/host/stat.rs"]
pub mod stat;
#[path = "../../agent/src/workers/message.rs"]
pub mod worker_message;

pub use answer::Inspection;
pub use id::{ContainerId, ImageId};

pub mod collectors {
    pub use crate::procfile;
}

use fleetlight_protocol::frame::{self, FrameError, HEAD_BYTES, Head};
use serde::{Serialize, de::DeserializeOwned};
use std::path::PathBuf;

/// A message from the wire is an answer or an error; an answer, written and read again, is itself.
pub fn message<M: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Some(message) = read::<M>(bytes) else { return };
    let first = match frame::encode(&message) {
        Ok(bytes) => bytes,
        // What was packed tightly by the peer may not fit when we pack it.
        Err(FrameError::TooLong(_)) => return,
        Err(error) => panic!("a message that was read cannot be written: {error}"),
    };
    let again = read::<M>(&first).expect("our own frame is read");
    assert_eq!(frame::encode(&again).expect("written before"), first, "a message changed on its way");
}

/// The message of one whole frame, if there is one.
fn read<M: DeserializeOwned>(bytes: &[u8]) -> Option<M> {
    let (head, payload) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let head = Head::parse(*head).ok()?;
    // The transport reads exactly what the head announces; a fuzzer should not have to guess it.
    let payload = payload.get(..head.length).unwrap_or(payload);
    frame::decode(head, payload).ok()
}

/// Writes the messages as whole frames into the folder of seeds.
pub fn seed_messages<M: Serialize>(messages: &[M]) {
    seed(messages.iter().map(|message| frame::encode(message).expect("a seed fits a frame")));
}

/// Writes inputs into the folder of seeds, if one is asked for.
pub fn seed(inputs: impl IntoIterator<Item = Vec<u8>>) {
    let Some(folder) = std::env::var_os("FLEETLIGHT_FUZZ_SEEDS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("the folder of seeds can be made");
    for (number, bytes) in inputs.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), bytes).expect("a seed can be written");
    }
}

/// Cuts an input into batches, each after its length in two bytes.
pub fn batches(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (batch, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        data = rest;
        Some(batch)
    })
}

/// The inverse of [`batches`].
pub fn join_batches(batches: &[Vec<u8>]) -> Vec<u8> {
    let mut joined = Vec::new();
    for batch in batches {
        joined.extend_from_slice(&u16::try_from(batch.len()).expect("a small seed").to_be_bytes());
        joined.extend_from_slice(batch);
    }
    joined
}
