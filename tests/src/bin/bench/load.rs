//! Containers that change their CPU, memory, network and I/O all the time.

use anyhow::{Context, Result};
use fleetlight_tests::docker::Docker;
use std::ops::Range;

/// Writes to disk, keeps a growing and shrinking variable, counts, pings its gateway: all four
/// differ from tick to tick.
pub const BUSY: &str = "
i=0; x=''
while :; do
  i=$(( (i + 7) % 31 )); n=0
  while [ $n -lt $((i * 60)) ]; do n=$((n + 1)); done
  dd if=/dev/zero of=/load bs=16k count=$((i + 1)) conv=fsync 2>/dev/null
  x=$x$(dd if=/dev/zero bs=32k count=1 2>/dev/null | busybox tr '\\0' a); [ ${#x} -gt 600000 ] && x=''
  ping -c 1 -W 1 -s $((i * 8)) $GATEWAY >/dev/null 2>&1
  sleep 1
done";

/// The same with fewer processes a second, so that 200 of them leave the machine some room.
pub const LIGHT: &str = "
i=0
while :; do
  i=$(( (i + 7) % 31 )); n=0
  while [ $n -lt $((i * 20)) ]; do n=$((n + 1)); done
  [ $((i % 2)) = 0 ] && ping -c 1 -W 1 -s $((i * 8)) $GATEWAY >/dev/null 2>&1
  dd if=/dev/zero of=/load bs=4k count=$((i % 7 + 1)) 2>/dev/null
  sleep 1
done";

/// Starts containers with these numbers.
///
/// # Errors
/// With Docker's words.
pub fn start(docker: &Docker, numbers: Range<u32>, script: &str) -> Result<()> {
    println!("starting {} containers", numbers.len());
    for number in numbers {
        // The gateway of the default route, hexadecimal and little-endian in /proc/net/route.
        let script = format!(
            "g=$(while read -r a b c rest; do [ \"$b\" = 00000000 ] && echo $c; done < /proc/net/route)
GATEWAY=$((0x${{g:6:2}})).$((0x${{g:4:2}})).$((0x${{g:2:2}})).$((0x${{g:0:2}}))
{script}"
        );
        docker.run(&format!("load-{number}"), &[], &script).with_context(|| format!("container {number}"))?;
    }
    Ok(())
}
