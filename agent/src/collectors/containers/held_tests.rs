use super::*;
use std::path::PathBuf;

const ID: &str = "5001cea49bbd56ef7b70d8d13f825e7e1ad18ad18fd22d89626dbc1e1ea58752";
const PID: u32 = 19_463;

/// A recorded tree of `/proc` and `/sys` in a folder that goes with it.
struct Tree(PathBuf);

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(std::env::temp_dir().join(format!("fleetlight-{}", uuid::Uuid::new_v4())));
        for (path, text) in files {
            tree.write(path, text);
        }
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path.replace("PID", &PID.to_string()).replace("ID", ID));
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("makes folders");
        std::fs::write(path, text.replace("ID", ID)).expect("writes");
    }

    fn open(&self, own_network: bool) -> Option<Held> {
        let (proc_root, sys_root) = (self.0.join("proc"), self.0.join("sys"));
        Held::open(&proc_root, &Hierarchies::find(&proc_root, &sys_root), ID, PID, own_network)
    }
}

const NET_DEV: (&str, &str) = (
    "proc/PID/net/dev",
    "Inter-|   Receive |  Transmit\n    lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n  eth0: 2000 2 0 0 0 0 0 0 700 1 0 0 0 0 0 0\n",
);

/// Recorded on a host with version 1 and a hybrid tree, Docker 20.10, cgroupfs driver.
const V1: &[(&str, &str)] = &[
    (
        "proc/PID/cgroup",
        "7:blkio:/docker/ID\n4:memory:/docker/ID\n2:cpu,cpuacct:/docker/ID\n8:pids:/docker/ID\n0::/docker/ID\n",
    ),
    NET_DEV,
    ("sys/fs/cgroup/cpu,cpuacct/docker/ID/cpuacct.usage", "887653574\n"),
    (
        "sys/fs/cgroup/cpu,cpuacct/docker/ID/cpu.stat",
        "nr_periods 22\nnr_throttled 11\nthrottled_time 5\nnr_bursts 0\nburst_time 0\n",
    ),
    ("sys/fs/cgroup/memory/docker/ID/memory.usage_in_bytes", "712704\n"),
    (
        "sys/fs/cgroup/memory/docker/ID/memory.stat",
        "cache 1\ninactive_file 2\nhierarchical_memory_limit 9223372036854771712\ntotal_cache 300000\ntotal_inactive_file 100000\n",
    ),
    ("sys/fs/cgroup/blkio/docker/ID/blkio.throttle.io_service_bytes", "8:0 Read 1\n8:0 Write 2\nTotal 3\n"),
    (
        "sys/fs/cgroup/blkio/docker/ID/blkio.throttle.io_service_bytes_recursive",
        "8:0 Read 4096\n8:0 Write 512\nTotal 4608\n",
    ),
    ("sys/fs/cgroup/pids/docker/ID/pids.current", "3\n"),
    ("sys/fs/cgroup/unified/docker/ID/cpu.stat", "usage_usec 1\nuser_usec 1\nsystem_usec 0\n"),
];

/// As Debian 12 with systemd lays it out: version 2, the systemd driver, an init in the container.
const V2: &[(&str, &str)] = &[
    ("proc/PID/cgroup", "0::/system.slice/docker-ID.scope/init.scope\n"),
    NET_DEV,
    ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n"),
    (
        "sys/fs/cgroup/system.slice/docker-ID.scope/cpu.stat",
        "usage_usec 887653\nuser_usec 800000\nsystem_usec 87653\nnr_periods 22\nnr_throttled 11\nthrottled_usec 5\nnr_bursts 0\nburst_usec 0\n",
    ),
    ("sys/fs/cgroup/system.slice/docker-ID.scope/memory.current", "712704\n"),
    (
        "sys/fs/cgroup/system.slice/docker-ID.scope/memory.stat",
        "anon 412704\nfile 300000\nkernel 1\nfile_mapped 5\ninactive_anon 0\ninactive_file 100000\nactive_file 200000\n",
    ),
    (
        "sys/fs/cgroup/system.slice/docker-ID.scope/io.stat",
        "8:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=0 dios=0\n",
    ),
    ("sys/fs/cgroup/system.slice/docker-ID.scope/pids.current", "3\n"),
    ("sys/fs/cgroup/system.slice/docker-ID.scope/init.scope/pids.current", "1\n"),
];

#[test]
fn levels_of_both_versions_are_the_same() {
    for (version, files) in [("1", V1), ("2", V2)] {
        let tree = Tree::new(files);
        let sample = tree.open(true).expect("opens").read(&mut Buffer::default()).expect("lives");
        let expected = ContainerSample {
            memory_used_bytes: Some(612_704.0),
            memory_cache_bytes: Some(300_000.0),
            pids: Some(3.0),
            ..ContainerSample::default()
        };
        assert_eq!(sample, expected, "version {version}: levels, and no rates yet");
    }
}

#[test]
fn counters_of_both_versions_are_read_again_from_the_held_files() {
    for (version, files) in [("1", V1), ("2", V2)] {
        let tree = Tree::new(files);
        let mut held = tree.open(true).expect("opens");
        let mut buffer = Buffer::default();
        held.read(&mut buffer).expect("lives");
        let (_, counters) = held.before.expect("was read");
        assert_eq!(counters.cpu_nanoseconds.map(|ns| ns / 1_000_000), Some(887), "version {version}");
        assert_eq!((counters.periods, counters.throttled), (Some(22), Some(11)), "version {version}");
        assert_eq!(counters.io, Some(Io { read: 4_096, written: 512 }), "version {version}");
        assert_eq!(counters.traffic, Some(Traffic { received: 2_000, sent: 700 }), "version {version}");
        let (cpu, usage, pids) =
            if version == "1" { (V1[2].0, "887654000\n", V1[8].0) } else { (V2[3].0, "usage_usec 887654\n", V2[7].0) };
        tree.write(pids, "14\n");
        assert_eq!(held.read(&mut buffer).expect("lives").pids, Some(3.0), "version {version}: it has not run");
        tree.write(cpu, usage);
        assert_eq!(held.read(&mut buffer).expect("lives").pids, Some(14.0), "version {version}");
    }
}

#[test]
fn what_rests_is_read_again_after_a_while() {
    let tree = Tree::new(V1);
    tree.write("sys/fs/cgroup/blkio/docker/ID/blkio.throttle.io_service_bytes_recursive", "Total 0\n");
    let mut held = tree.open(true).expect("opens");
    let (now, later) = (Instant::now(), Instant::now() + CGROUP_TRUST * 2);
    held.read(&mut Buffer::default()).expect("lives");
    let rest =
        |at, idle, steady| -> Vec<bool> { held.sources.iter().map(|source| source.rests(at, idle, steady)).collect() };
    assert_eq!(rest(now, true, false), [false, true, true, true, true, true], "all but the CPU time");
    assert_eq!(
        rest(now, false, true),
        [false, false, false, true, true, false],
        "memory.stat; I/O is not counted here"
    );
    assert_eq!(rest(now, false, false), [false, false, false, false, true, false], "I/O is not counted here");
    assert_eq!(rest(later, true, true), [false; 6]);
}

#[test]
fn memory_that_moves_is_divided_anew() {
    let tree = Tree::new(V1);
    let mut held = tree.open(true).expect("opens");
    let mut buffer = Buffer::default();
    held.read(&mut buffer).expect("lives");
    let mut read_at = |usage: u64| {
        tree.write("sys/fs/cgroup/cpu,cpuacct/docker/ID/cpuacct.usage", &format!("{usage}\n"));
        tree.write("sys/fs/cgroup/memory/docker/ID/memory.usage_in_bytes", &format!("{usage}\n"));
        tree.write("sys/fs/cgroup/memory/docker/ID/memory.stat", "total_cache 7\ntotal_inactive_file 500\n");
        held.read(&mut buffer).expect("lives")
    };
    let near = read_at(712_704 + MEMORY_STEADY_BYTES - 1);
    assert_eq!(near.memory_used_bytes, Some((712_704 + MEMORY_STEADY_BYTES - 1 - 100_000) as f64));
    let far = read_at(712_704 + MEMORY_STEADY_BYTES);
    assert_eq!(
        (far.memory_used_bytes, far.memory_cache_bytes),
        (Some((712_204 + MEMORY_STEADY_BYTES) as f64), Some(7.0))
    );
}

#[test]
fn rates_are_per_second_and_shares_of_one_core() {
    let then = Counters {
        cpu_nanoseconds: Some(1_000_000_000),
        periods: Some(100),
        throttled: Some(10),
        io: Some(Io { read: 0, written: 100 }),
        traffic: Some(Traffic { received: 10, sent: 20 }),
        ..Counters::default()
    };
    let now = Counters {
        cpu_nanoseconds: Some(5_000_000_000),
        periods: Some(120),
        throttled: Some(15),
        io: Some(Io { read: 400, written: 100 }),
        traffic: Some(Traffic { received: 30, sent: 10 }),
        ..Counters::default()
    };
    let sample = now.sample(Some((2.0, then)));
    assert_eq!(sample.cpu_percent, Some(200.0), "two cores");
    assert_eq!(sample.cpu_throttled_percent, Some(25.0));
    assert_eq!((sample.read_bytes_per_second, sample.write_bytes_per_second), (Some(200.0), Some(0.0)));
    assert_eq!(sample.receive_bytes_per_second, Some(10.0));
    assert_eq!(sample.transmit_bytes_per_second, None, "a counter that fell gives no rate");
    assert_eq!(sample.memory_used_bytes, None);
    assert_eq!(now.sample(Some((0.0, then))).cpu_percent, None);
}

#[test]
fn without_a_limit_there_is_no_share_of_periods() {
    let none = Counters { periods: Some(0), throttled: Some(0), ..Counters::default() };
    assert_eq!(none.sample(Some((1.0, none))).cpu_throttled_percent, None);
    let idle = Counters { periods: Some(9), throttled: Some(1), ..Counters::default() };
    assert_eq!(idle.sample(Some((1.0, idle))).cpu_throttled_percent, Some(0.0));
}

#[test]
fn a_missing_controller_gives_no_number() {
    let without: Vec<_> =
        V1.iter().filter(|(path, _)| !path.contains("memory") && !path.contains("blkio")).copied().collect();
    let tree = Tree::new(&without);
    let mut held = tree.open(false).expect("opens");
    let sample = held.read(&mut Buffer::default()).expect("lives");
    assert_eq!((sample.memory_used_bytes, sample.memory_cache_bytes), (None, None));
    let (_, counters) = held.before.expect("was read");
    assert_eq!((counters.io, counters.traffic), (None, None), "nor does another's network");
}

#[test]
fn a_process_with_a_reused_number_is_not_read() {
    let tree = Tree::new(V1);
    tree.write("proc/PID/cgroup", "4:memory:/user.slice\n0::/user.slice\n");
    assert!(tree.open(true).is_none());
    assert!(Tree::new(&[]).open(true).is_none(), "nor one that is gone");
}

#[test]
fn an_agent_in_a_namespace_of_its_own_finds_the_usual_folder() {
    let tree = Tree::new(V1);
    tree.write("proc/PID/cgroup", "4:memory:/../ID\n8:pids:/../ID\n0::/../ID\n");
    let sample = tree.open(true).expect("opens").read(&mut Buffer::default()).expect("lives");
    assert_eq!((sample.memory_used_bytes, sample.pids), (Some(612_704.0), Some(3.0)));
}
