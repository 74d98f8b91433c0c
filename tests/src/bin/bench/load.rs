//! Containers that change their CPU, memory, network and I/O all the time.

use anyhow::{Context, Result};
use fleetlight_tests::docker::Docker;
use std::ops::Range;
use std::path::Path;

/// Counts, keeps a growing and shrinking variable, writes it down, pings its gateway, which takes a
/// second: all four differ from tick to tick. One process a second, so that 140 of them leave the
/// machine some room; where the kernel counts a cgroup's I/O one more, since only what is synced
/// counts at once.
pub const BUSY: &str = "
i=0; x=''; page=$(printf '%032768d' 0)
while :; do
  i=$(( (i + 7) % 31 )); n=0
  while [ $n -lt $((i * 30)) ]; do n=$((n + 1)); done
  x=$x$page; [ ${#x} -gt 600000 ] && x=''
  echo \"$x\" > /load
  [ $IO_COUNTS = true ] && dd if=/dev/zero of=/load bs=4k count=$((i % 7 + 1)) conv=fsync 2>/dev/null
  ping -c 2 -W 1 -s $((i * 8)) $GATEWAY >/dev/null 2>&1
done";

/// Runs and does nothing.
pub const CALM: &str = "sleep 86400";

/// Starts containers with these numbers.
///
/// # Errors
/// With Docker's words.
pub fn start(docker: &Docker, numbers: Range<u32>, script: &str) -> Result<()> {
    println!("starting {} containers", numbers.len());
    // Version 1 counts only what a limit has been set for.
    let io_counts = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    for number in numbers {
        // The gateway of the default route, hexadecimal and little-endian in /proc/net/route.
        let script = format!(
            "g=$(while read -r a b c rest; do [ \"$b\" = 00000000 ] && echo $c; done < /proc/net/route)
GATEWAY=$((0x${{g:6:2}})).$((0x${{g:4:2}})).$((0x${{g:2:2}})).$((0x${{g:0:2}}))
IO_COUNTS={io_counts}
{script}"
        );
        docker.run(&format!("load-{number}"), &[], &script).with_context(|| format!("container {number}"))?;
    }
    Ok(())
}
