//! PCIe throughput from byte counters.
//!
//! `nvmlDeviceGetPcieThroughput` measures for 20 ms in each direction, so it is never called; a
//! card without the counters has no throughput.

use std::time::Instant;

/// The counters of one GPU as they were last read.
#[derive(Debug, Default)]
pub struct PcieCounters {
    receive: Option<(Instant, u64)>,
    transmit: Option<(Instant, u64)>,
}

impl PcieCounters {
    /// Received and transmitted bytes per second since the previous call, where both readings of a
    /// counter exist and it has not begun anew.
    pub fn rates(&mut self, now: Instant, receive: Option<u64>, transmit: Option<u64>) -> (Option<f64>, Option<f64>) {
        (rate(&mut self.receive, now, receive), rate(&mut self.transmit, now, transmit))
    }
}

fn rate(last: &mut Option<(Instant, u64)>, now: Instant, bytes: Option<u64>) -> Option<f64> {
    let before = std::mem::replace(last, bytes.map(|bytes| (now, bytes)));
    let ((then, old), new) = (before?, bytes?);
    let seconds = now.duration_since(then).as_secs_f64();
    (seconds > 0.0).then_some(())?;
    Some(new.checked_sub(old)? as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rates_need_two_readings_and_no_restart() {
        let (mut counters, start) = (PcieCounters::default(), Instant::now());
        let second = |count| start + Duration::from_secs(count);
        assert_eq!(counters.rates(second(0), Some(1_000), Some(50)), (None, None));
        assert_eq!(counters.rates(second(2), Some(5_000), Some(50)), (Some(2_000.0), Some(0.0)));
        assert_eq!(counters.rates(second(3), Some(10), None), (None, None), "the counter began anew");
        assert_eq!(counters.rates(second(4), Some(110), Some(9)), (Some(100.0), None), "a gap has no rate");
    }
}
