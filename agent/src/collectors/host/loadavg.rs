//! `/proc/loadavg`: load averages and how many threads there are.
//!
//! Source: proc_loadavg(5), `0.20 0.18 0.12 1/80 11206`: loads, runnable/existing, last process id.

use crate::collectors::procfile::lines;
use fleetlight_protocol::samples::HostSample;

/// Fills loads and thread counts; what the line lacks stays absent.
pub fn parse(text: &[u8], host: &mut HostSample) {
    let mut fields = lines(text).next().unwrap_or_default().split_ascii_whitespace();
    let mut load = || fields.next()?.parse::<f64>().ok().filter(|load| load.is_finite());
    (host.load1, host.load5, host.load15) = (load(), load(), load());
    let threads = fields.next().and_then(|threads| threads.split_once('/'));
    let count = |text: &str| text.parse::<u32>().ok().map(f64::from);
    host.processes_running = threads.and_then(|(running, _)| count(running));
    host.processes = threads.and_then(|(_, all)| count(all));
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
    fn the_line_of_the_manual() {
        let host = parsed(b"0.20 0.18 12.5 1/80 11206\n");
        assert_eq!((host.load1, host.load5, host.load15), (Some(0.2), Some(0.18), Some(12.5)));
        assert_eq!((host.processes_running, host.processes), (Some(1.0), Some(80.0)));
    }

    #[test]
    fn what_is_missing_is_absent() {
        assert_eq!(parsed(b""), HostSample::default());
        assert_eq!(parsed(b"nan inf x").load1, None);
        assert_eq!(parsed(b"0.1 0.2 0.3").processes, None);
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            parsed(&bytes);
        }
    }
}
