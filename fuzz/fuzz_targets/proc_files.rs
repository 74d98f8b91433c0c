//! The kernel's files that the host's and the containers' collectors read. Interfaces and disks are
//! named by people, cgroups by whoever runs containers.
#![no_main]

use fleetlight_fuzz::{cgroup, container_netdev, diskstats, loadavg, meminfo, netdev, pressure, seed, stat};
use fleetlight_protocol::samples::HostSample;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed(SEEDS.map(|text| text.as_bytes().to_vec())), |data: &[u8]| {
    let lines = data.split(|byte| *byte == b'\n').count();
    let times: Vec<_> = stat::parse(data).collect();
    assert!(times.len() <= lines);
    for pair in times.windows(2) {
        if let Some(shares) = stat::shares(pair[1].1, pair[0].1) {
            assert!((0.0..=100.0).contains(&shares.busy), "{shares:?}");
        }
    }
    let mut host = HostSample::default();
    meminfo::parse(data, &mut host);
    loadavg::parse(data, &mut host);
    meminfo::total_bytes(data);
    pressure::parse(data);
    assert!(netdev::parse(data).count() <= lines && diskstats::parse(data).count() <= lines);
    let _ = container_netdev::parse(data);
    let _ = cgroup::number(data);
    let _ = cgroup::field(data, "usage_usec");
    let _ = cgroup::blkio(data);
    let _ = cgroup::io_stat(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = cgroup::belongs(text, "5001cea49bbd");
    }
});

const SEEDS: [&str; 9] = [
    "cpu  10 2 3 400 5 6 7 8 0 0\ncpu0 10 2 3 400 5 6 7 8 0 0\nintr 5\nbtime 1795258420\n",
    "MemTotal:       24000000 kB\nMemFree: 5 kB\nMemAvailable: 9 kB\nSwapTotal: 4 kB\nSwapFree: 1 kB\n",
    "0.50 0.25 0.10 2/345 6789\n",
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=123\n",
    "Inter-|   Receive\n face |bytes\n  eth0: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
    "   8       0 sda 100 0 2000 30 50 0 4000 60 0 70 90 0 0 0 0\n 259 1 nvme0n1p1 1 2 3 4 5 6 7 8 9 10 11\n",
    "usage_usec 12345\nuser_usec 5\nnr_periods 7\nnr_throttled 2\n",
    "8:0 Read 4096\n8:0 Write 8192\n8:0 Total 12288\nTotal 12288\n",
    "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2\n0::/docker/5001cea49bbd\n",
];
