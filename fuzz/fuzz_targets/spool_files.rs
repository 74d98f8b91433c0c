//! What the agent's spool reads back from its disk.
#![no_main]

use fleetlight_fuzz::{seed, spool};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed(spool::seeds()), |data: &[u8]| spool::read(data));
