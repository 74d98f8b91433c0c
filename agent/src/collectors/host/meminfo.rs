//! `/proc/meminfo`: memory and swap.
//!
//! Source: proc_meminfo(5); the file counts in KiB, whatever its `kB` says.

use crate::collectors::procfile::lines;
use fleetlight_protocol::samples::HostSample;

/// Fills memory and swap. `MemAvailable` is absent before Linux 3.14: then nobody knows how much
/// is in use, and `used` is absent too.
pub fn parse(text: &[u8], host: &mut HostSample) {
    let (mut swap_free, mut cached) = (None, [None; 3]);
    for line in lines(text) {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let place = match name {
            "MemTotal" => &mut host.memory_total_bytes,
            "MemAvailable" => &mut host.memory_available_bytes,
            "Buffers" => &mut cached[0],
            "Cached" => &mut cached[1],
            "SReclaimable" => &mut cached[2],
            "SwapTotal" => &mut host.swap_total_bytes,
            "SwapFree" => &mut swap_free,
            _ => continue,
        };
        *place = kibibytes(rest);
    }
    host.memory_used_bytes = less(host.memory_total_bytes, host.memory_available_bytes);
    host.swap_used_bytes = less(host.swap_total_bytes, swap_free);
    // Without Cached the sum would mean something else; the other two came later or are small.
    host.memory_cached_bytes = cached[1].map(|_| cached.into_iter().flatten().sum());
}

fn kibibytes(text: &str) -> Option<f64> {
    let number = text.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
    Some(number.checked_mul(1024)? as f64)
}

fn less(all: Option<f64>, free: Option<f64>) -> Option<f64> {
    Some((all? - free?).max(0.0))
}

/// MemTotal alone, for the host's document.
pub fn total_bytes(text: &[u8]) -> Option<u64> {
    let mut host = HostSample::default();
    parse(text, &mut host);
    host.memory_total_bytes.map(|bytes| bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &[u8]) -> HostSample {
        let mut host = HostSample::default();
        parse(text, &mut host);
        host
    }

    #[test]
    fn used_is_total_less_available() {
        let host = parsed(
            b"MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    9000 kB\nBuffers: 100 kB\n\
              Cached:          5000 kB\nSwapCached:         7 kB\nSReclaimable:     400 kB\nSwapTotal: 2048 kB\nSwapFree: 2000 kB\n",
        );
        assert_eq!(host.memory_total_bytes, Some(16_000.0 * 1024.0));
        assert_eq!(host.memory_used_bytes, Some(7_000.0 * 1024.0));
        assert_eq!(host.memory_cached_bytes, Some(5_500.0 * 1024.0));
        assert_eq!(host.swap_used_bytes, Some(48.0 * 1024.0));
    }

    #[test]
    fn a_host_without_swap_has_zero_and_one_without_the_lines_has_none() {
        assert_eq!(parsed(b"SwapTotal: 0 kB\nSwapFree: 0 kB\n").swap_used_bytes, Some(0.0));
        assert_eq!(parsed(b"MemTotal: 1 kB\n").swap_used_bytes, None);
    }

    #[test]
    fn kernels_without_mem_available_do_not_say_what_is_used() {
        let host = parsed(b"MemTotal: 16000 kB\nMemFree: 1000 kB\nCached: 10 kB\n");
        assert_eq!((host.memory_used_bytes, host.memory_available_bytes), (None, None));
        assert_eq!(host.memory_cached_bytes, Some(10.0 * 1024.0));
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..300), number in "[0-9]{0,30}") {
            parsed(&bytes);
            parsed(format!("MemTotal: {number} kB\nMemAvailable:{number}\n").as_bytes());
        }
    }
}
