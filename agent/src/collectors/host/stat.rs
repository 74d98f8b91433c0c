//! `/proc/stat`: where CPU time goes, of the host and of each logical CPU.
//!
//! Source: proc_stat(5). Times are in ticks of 1/100 s; only their proportions matter here.

use super::rates::Previous;
use crate::collectors::procfile::{Buffer, ProcFile, lines};
use crate::limits::CORES;
use fleetlight_protocol::samples::{CoreSample, HostSample, Row, Sample};
use std::io;
use std::path::Path;
use std::time::Instant;

/// Time spent in each state since boot. `guest` is a part of `user` and is not counted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// `user` and `nice`.
    user: u64,
    system: u64,
    idle: u64,
    /// Absent before Linux 2.6, as are the next two.
    iowait: Option<u64>,
    /// `irq` and `softirq`.
    irq: Option<u64>,
    /// Absent before Linux 2.6.11.
    steal: Option<u64>,
}

/// Shares of the time between two readings, 0–100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    pub busy: f64,
    pub user: f64,
    pub system: f64,
    pub iowait: Option<f64>,
    pub irq: Option<f64>,
    pub steal: Option<f64>,
}

/// The lines `cpu` (all) and `cpu0`, `cpu1` … of those online, which come first in the file.
pub fn parse(text: &[u8]) -> impl Iterator<Item = (&str, CpuTimes)> {
    lines(text).map_while(|line| {
        let (name, times) = line.split_once(' ')?;
        name.starts_with("cpu").then_some(())?;
        Some((name, parse_times(times)?))
    })
}

fn parse_times(text: &str) -> Option<CpuTimes> {
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    let mut next = || fields.next().flatten();
    let (user, nice, system, idle) = (next()?, next()?, next()?, next()?);
    let (iowait, irq, softirq, steal) = (next(), next(), next(), next());
    let irq = irq.zip(softirq).map(|(hard, soft)| hard.saturating_add(soft));
    Some(CpuTimes { user: user.saturating_add(nice), system, idle, iowait, irq, steal })
}

/// Shares of the time between `before` and `now`.
///
/// iowait and steal are known to go backwards by a few ticks (proc_stat(5), some hypervisors);
/// then they alone have no share. When the others do, the counters began anew and nothing has.
pub fn shares(now: CpuTimes, before: CpuTimes) -> Option<Shares> {
    let grown = |now: Option<u64>, before: Option<u64>| now?.checked_sub(before?);
    let user = now.user.checked_sub(before.user)?;
    let system = now.system.checked_sub(before.system)?;
    let waiting = |times: CpuTimes| times.idle.saturating_add(times.iowait.unwrap_or(0));
    let waited = waiting(now).checked_sub(waiting(before))?;
    let iowait = grown(now.iowait, before.iowait);
    let irq = grown(now.irq, before.irq);
    let steal = grown(now.steal, before.steal);
    let busy = [user, system, irq.unwrap_or(0), steal.unwrap_or(0)].into_iter().fold(0, u64::saturating_add);
    let all = busy.saturating_add(waited);
    if all == 0 {
        return None;
    }
    let share = |ticks: u64| ticks as f64 / all as f64 * 100.0;
    Some(Shares {
        busy: share(busy),
        user: share(user),
        system: share(system),
        iowait: iowait.map(|ticks| share(ticks.min(waited))),
        irq: irq.map(share),
        steal: steal.map(share),
    })
}

/// The file and its previous reading.
#[derive(Debug)]
pub struct Stat {
    file: ProcFile,
    previous: Previous<CpuTimes>,
}

impl Stat {
    pub fn new(proc_root: &Path) -> Self {
        Self { file: ProcFile::new(proc_root.join("stat")), previous: Previous::default() }
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Fills the host's CPU shares and adds a row for each logical CPU.
    pub fn read(
        &mut self,
        buffer: &mut Buffer,
        now: Instant,
        host: &mut HostSample,
        rows: &mut Vec<Row>,
    ) -> io::Result<()> {
        let text = self.file.read(buffer)?;
        self.previous.begin(now);
        for (name, times) in parse(text).take(CORES + 1) {
            let shares = self.previous.replace(name, times).and_then(|before| shares(times, before));
            if name == "cpu" {
                host.cpu_percent = shares.map(|shares| shares.busy);
                host.cpu_user_percent = shares.map(|shares| shares.user);
                host.cpu_system_percent = shares.map(|shares| shares.system);
                host.cpu_iowait_percent = shares.and_then(|shares| shares.iowait);
                host.cpu_irq_percent = shares.and_then(|shares| shares.irq);
                host.cpu_steal_percent = shares.and_then(|shares| shares.steal);
            } else {
                rows.push(CoreSample { cpu_percent: shares.map(|shares| shares.busy) }.row(name));
            }
        }
        self.previous.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIXTURE: &[u8] = b"cpu  100 20 30 800 40 5 5 0 10 0\n\
        cpu0 50 10 15 400 20 2 3 0 5 0\n\
        cpu3 50 10 15 400 20 3 2 0 5 0\n\
        intr 123 4 5\nctxt 99\nbtime 1700000000\n";

    fn total(text: &[u8]) -> CpuTimes {
        parse(text).next().expect("the first line").1
    }

    #[test]
    fn cores_keep_their_numbers_when_one_is_offline() {
        let names: Vec<_> = parse(FIXTURE).map(|(name, _)| name).collect();
        assert_eq!(names, ["cpu", "cpu0", "cpu3"]);
        let times = total(FIXTURE);
        assert_eq!((times.user, times.system, times.idle), (120, 30, 800));
        assert_eq!((times.iowait, times.irq, times.steal), (Some(40), Some(10), Some(0)));
    }

    #[test]
    fn shares_are_of_the_time_between_two_readings() {
        let before = total(FIXTURE);
        let now = total(b"cpu  140 30 50 900 60 10 10 0 10 0\n");
        let shares = shares(now, before).expect("time passed");
        // 50 user, 20 system, 100 idle, 20 iowait, 10 irq: 200 ticks.
        assert_eq!(shares.user, 25.0);
        assert_eq!(shares.system, 10.0);
        assert_eq!(shares.iowait, Some(10.0));
        assert_eq!(shares.irq, Some(5.0));
        assert_eq!(shares.steal, Some(0.0));
        assert_eq!(shares.busy, 40.0);
    }

    #[test]
    fn counters_that_go_backwards_say_nothing() {
        let before = total(FIXTURE);
        assert_eq!(shares(total(b"cpu  10 0 3 80 4 0 0 0 0 0\n"), before), None, "began anew");
        assert_eq!(shares(before, before), None, "no time passed");
        let less_iowait = total(b"cpu  110 20 30 900 39 5 5 0 10 0\n");
        let judged = shares(less_iowait, before).expect("the rest grew");
        assert_eq!(judged.iowait, None);
        assert!((judged.busy - 10.0 / 109.0 * 100.0).abs() < 1e-9, "{}", judged.busy);
    }

    #[test]
    fn old_kernels_lack_the_later_columns() {
        let times = total(b"cpu  1 2 3 4\n");
        assert_eq!((times.iowait, times.irq, times.steal), (None, None, None));
        let shares = shares(total(b"cpu  11 2 3 14\n"), times).expect("time passed");
        assert_eq!((shares.busy, shares.iowait), (50.0, None));
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..400), other in "(cpu[0-9]? [0-9 ]{0,60}\n){0,4}") {
            let _ = parse(&bytes).count();
            let times: Vec<_> = parse(other.as_bytes()).collect();
            for (_, now) in &times {
                for (_, before) in &times {
                    if let Some(shares) = shares(*now, *before) {
                        prop_assert!((0.0..=100.0).contains(&shares.busy));
                    }
                }
            }
        }
    }
}
