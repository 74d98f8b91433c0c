//! `/proc/net/dev`: network interfaces.
//!
//! Source: proc_pid_net(5). Loopback is left out, and so are the interfaces that Docker makes for
//! its containers and networks (`veth*`, `br-*`): they come and go with each container, and
//! their bytes are counted in the container and again on the host's uplink.

use super::rates::{Previous, rate};
use crate::collectors::procfile::{Buffer, ProcFile, lines};
use crate::limits::INTERFACES;
use fleetlight_protocol::samples::{InterfaceSample, Row, Sample};
use std::path::Path;
use std::time::Instant;

/// Counts since the interface exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    receive_bytes: u64,
    receive_packets: u64,
    transmit_bytes: u64,
    transmit_packets: u64,
    /// Both directions, as in the next one.
    errors: u64,
    drops: u64,
}

/// Interfaces and their counters, all but those left out.
pub fn parse(text: &[u8]) -> impl Iterator<Item = (&str, Counters)> {
    lines(text).filter_map(|line| {
        // Old kernels print no space after the colon; an alias such as eth0:1 has one of its own.
        let (name, columns) = line.rsplit_once(':')?;
        let name = name.trim_ascii();
        is_own(name).then_some(())?;
        Some((name, parse_columns(columns)?))
    })
}

fn is_own(name: &str) -> bool {
    !name.is_empty() && name != "lo" && !name.starts_with("veth") && !name.starts_with("br-")
}

/// Receive: bytes packets errs drop fifo frame compressed multicast; transmit: the same eight.
fn parse_columns(text: &str) -> Option<Counters> {
    let mut columns = [0_u64; 16];
    let mut fields = text.split_ascii_whitespace();
    for column in &mut columns {
        *column = fields.next()?.parse().ok()?;
    }
    Some(Counters {
        receive_bytes: columns[0],
        receive_packets: columns[1],
        transmit_bytes: columns[8],
        transmit_packets: columns[9],
        errors: columns[2].saturating_add(columns[10]),
        drops: columns[3].saturating_add(columns[11]),
    })
}

fn sample(now: Counters, before: Counters, seconds: f64) -> InterfaceSample {
    InterfaceSample {
        receive_bytes_per_second: rate(now.receive_bytes, before.receive_bytes, seconds),
        transmit_bytes_per_second: rate(now.transmit_bytes, before.transmit_bytes, seconds),
        receive_packets_per_second: rate(now.receive_packets, before.receive_packets, seconds),
        transmit_packets_per_second: rate(now.transmit_packets, before.transmit_packets, seconds),
        errors_per_second: rate(now.errors, before.errors, seconds),
        drops_per_second: rate(now.drops, before.drops, seconds),
    }
}

/// The file and its previous reading.
#[derive(Debug)]
pub struct NetDev {
    file: ProcFile,
    previous: Previous<Counters>,
}

impl NetDev {
    /// `net` leads to the reader's own network namespace: an agent in a container with the host's
    /// procfs needs the host's network too.
    pub fn new(proc_root: &Path) -> Self {
        Self { file: ProcFile::new(proc_root.join("net/dev")), previous: Previous::default() }
    }

    /// Adds a row for each interface.
    pub fn read(&mut self, buffer: &mut Buffer, now: Instant, rows: &mut Vec<Row>) {
        let Ok(text) = self.file.read(buffer) else { return };
        let seconds = self.previous.begin(now);
        for (name, counters) in parse(text).take(INTERFACES) {
            let before = self.previous.replace(name, counters);
            let rates = before.zip(seconds).map(|(before, seconds)| sample(counters, before, seconds));
            rows.push(rates.unwrap_or_default().row(name));
        }
        self.previous.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIXTURE: &[u8] = b"Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0\n  \
        eth0: 345353271   10628    1    2    0     0          0         0   668071    6465    3    4    0     0       0          0\n\
        veth12ab: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\nbr-0a1b: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
        wg0:77 1 0 0 0 0 0 0 88 2 0 0 0 0 0 0\n";

    #[test]
    fn loopback_and_those_of_containers_are_left_out() {
        let found: Vec<_> = parse(FIXTURE).collect();
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["eth0", "wg0"]);
        let eth0 = found[0].1;
        assert_eq!((eth0.receive_bytes, eth0.transmit_packets), (345_353_271, 6_465));
        assert_eq!((eth0.errors, eth0.drops), (4, 6));
        assert_eq!((found[1].1.receive_bytes, found[1].1.transmit_bytes), (77, 88));
    }

    #[test]
    fn rates_are_per_second_and_a_reset_has_none() {
        let before = Counters { receive_bytes: 1_000, transmit_bytes: 900, ..Counters::default() };
        let now = Counters { receive_bytes: 6_000, transmit_bytes: 10, errors: 5, ..Counters::default() };
        let sample = sample(now, before, 5.0);
        assert_eq!(sample.receive_bytes_per_second, Some(1_000.0));
        assert_eq!(sample.transmit_bytes_per_second, None);
        assert_eq!(sample.errors_per_second, Some(1.0));
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..400), line in "[a-z:]{0,8}: ?([0-9]{1,25} ){0,18}") {
            let _ = parse(&bytes).count();
            let _ = parse(line.as_bytes()).count();
        }
    }
}
