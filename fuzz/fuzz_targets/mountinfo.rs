//! The list of mounts: the kernel's, but its names are whatever somebody called a folder or a share.
#![no_main]

use fleetlight_fuzz::{mountinfo, seed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed([SEED.to_vec()]), |data: &[u8]| {
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(mountinfo::parse(data).len() <= lines);
});

const SEED: &[u8] = br"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
40 35 0:44 / /srv/a\040b rw shared:7 - nfs4 host:/export\134x rw,vers=4.2";
