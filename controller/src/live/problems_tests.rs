use super::*;
use crate::live::presence::{Connected, Now};
use fleetlight_protocol::document::{CrashLoop, Document};
use fleetlight_protocol::event::Event;
use fleetlight_protocol::samples::{HostSample, MountSample, Sample};
use uuid::Uuid;

const NOW_MS: i64 = 1_700_000_000_000;

fn document(kind: EntityKind, key: &str, body: Body) -> Document {
    Document { kind, key: key.into(), observed_ms: 1, body: Some(body) }
}

fn with(documents: impl IntoIterator<Item = Document>) -> HostData {
    let mut data = HostData::default();
    for document in documents {
        assert!(data.take_document(&document));
    }
    data
}

fn found(data: &HostData) -> Vec<Problem> {
    problems(data, &Presence::default(), HostState::Online, NOW_MS)
}

/// Severity and message of the only problem.
fn only(data: &HostData) -> (Severity, String) {
    let found = found(data);
    assert_eq!(found.len(), 1, "{found:?}");
    (found[0].severity, found[0].message.clone())
}

fn container(change: impl FnOnce(&mut ContainerDocument)) -> HostData {
    let mut container =
        ContainerDocument { name: "web".into(), state: ContainerState::Running, ..ContainerDocument::default() };
    change(&mut container);
    with([document(EntityKind::Container, "c0", Body::Container(Box::new(container)))])
}

#[test]
fn a_crash_loop_is_named_whatever_the_state_at_the_instant() {
    let looping = CrashLoop { deaths: 7, window_seconds: 60, last_exit_code: Some(3), last_lines: Vec::new() };
    let data = container(|container| container.crash_loop = Some(looping));
    assert_eq!(only(&data), (Crit, "crash loop: died 7 times in 1 min, last exit code 3".into()));
    assert_eq!(found(&data)[0].subject, "web");
}

#[test]
fn a_failed_exit_is_a_problem_for_ten_minutes_and_a_stop_is_none() {
    let exited = |code, finished_ms, oom_killed| {
        container(|container| {
            container.state = ContainerState::Exited;
            container.exit_code = Some(code);
            container.finished_ms = Some(finished_ms);
            container.oom_killed = oom_killed;
        })
    };
    assert_eq!(only(&exited(1, NOW_MS - 1_000, false)), (Warn, "exited with code 1".into()));
    assert_eq!(found(&exited(1, NOW_MS - 1_000, false))[0].since_ms, NOW_MS - 1_000);
    assert_eq!(only(&exited(137, NOW_MS, true)), (Warn, "exited with code 137, killed for want of memory".into()));
    for (code, age) in [(0, 0), (143, 0), (137, 0), (1, EXIT_IS_RECENT_MS)] {
        assert_eq!(found(&exited(code, NOW_MS - age, false)), [], "code {code}, {age} ms ago");
    }
}

#[test]
fn unhealthy_is_a_warning_and_healthy_is_nothing() {
    let health = |word: &str| container(|container| container.health = Some(word.into()));
    assert_eq!(only(&health("unhealthy")), (Warn, "its health check fails".into()));
    assert_eq!(found(&health("healthy")), []);
    assert_eq!(found(&health("starting")), []);
}

fn mount(change: impl FnOnce(&mut MountDocument)) -> Document {
    let mut mount = MountDocument {
        mount_point: "/data".into(),
        source: "/dev/vda1".into(),
        fs_type: "ext4".into(),
        options: "rw,relatime".into(),
        remote: false,
        state: MountState::Ok,
        reason: String::new(),
    };
    change(&mut mount);
    document(EntityKind::Mount, "/data", Body::Mount(mount))
}

#[test]
fn mounts_that_do_not_answer_are_told_by_degree() {
    for (state, expected) in [
        (MountState::Hung, Some((Crit, "hung: no answer for 5 s"))),
        (MountState::Stale, Some((Crit, "stale: no answer for 5 s"))),
        (MountState::Slow, Some((Warn, "slow: no answer for 5 s"))),
        (MountState::Error, Some((Warn, "in error: no answer for 5 s"))),
        (MountState::Ok, None),
    ] {
        let data = with([mount(|mount| {
            mount.remote = true;
            mount.state = state;
            mount.reason = "no answer for 5 s".into();
        })]);
        let found: Vec<_> = found(&data).into_iter().map(|problem| (problem.severity, problem.message)).collect();
        assert_eq!(found, expected.map(|(severity, message)| (severity, message.to_owned())).as_slice());
    }
}

fn filled(used: f64, available: f64, inodes_used: f64, change: impl FnOnce(&mut MountDocument)) -> HostData {
    let mut data = with([mount(change)]);
    let sample = MountSample {
        // Five per cent are kept for root: df counts what people can use.
        total_bytes: Some((used + available) * 1.05),
        used_bytes: Some(used),
        available_bytes: Some(available),
        inodes_total: Some(1_000.0),
        inodes_used: Some(inodes_used),
        ..MountSample::default()
    };
    data.take_rows(1, &[sample.row("/data")]);
    data
}

#[test]
fn full_disks_are_told_at_their_limits_by_bytes_and_inodes() {
    assert_eq!(found(&filled(89.9, 10.1, 1.0, |_| {})), []);
    assert_eq!(only(&filled(90.0, 10.0, 1.0, |_| {})), (Warn, "90 % full".into()));
    assert_eq!(only(&filled(95.0, 5.0, 1.0, |_| {})), (Crit, "95 % full".into()));
    assert_eq!(only(&filled(10.0, 90.0, 960.0, |_| {})), (Crit, "96 % of the inodes are in use".into()));
}

#[test]
fn mounts_that_are_remote_or_read_only_may_be_full() {
    assert_eq!(found(&filled(99.0, 1.0, 1.0, |mount| mount.remote = true)), []);
    assert_eq!(found(&filled(99.0, 1.0, 1.0, |mount| mount.options = "ro,nodev".into())), []);
    assert_eq!(found(&filled(99.0, 1.0, 1.0, |mount| mount.fs_type = "squashfs".into())), []);
}

#[test]
fn gpus_and_their_driver() {
    let gpu = |state| {
        let gpu = GpuDocument { index: 3, name: Some("H200".into()), state, ..GpuDocument::default() };
        with([document(EntityKind::Gpu, "GPU-1", Body::Gpu(Box::new(gpu)))])
    };
    assert_eq!(only(&gpu(GpuState::Lost)), (Crit, "lost".into()));
    assert_eq!(found(&gpu(GpuState::Lost))[0].subject, "GPU 3 (H200)");
    assert_eq!(found(&gpu(GpuState::Ok)), []);
    let driver = |state| {
        let driver = GpuDriverDocument { state, ..GpuDriverDocument::default() };
        with([document(EntityKind::GpuDriver, "", Body::GpuDriver(driver))])
    };
    assert_eq!(only(&driver(GpuDriverState::Unresponsive)).0, Crit);
    assert_eq!(only(&driver(GpuDriverState::VersionMismatch)).0, Crit);
    assert_eq!(found(&driver(GpuDriverState::LibraryMissing)), [], "a host without GPU is in order");
}

#[test]
fn collectors_that_fail_are_told_and_absent_sources_are_not() {
    let collector = |state| {
        let collector = CollectorDocument { state, reason: "no answer".into(), interval_ms: 5_000 };
        with([document(EntityKind::Collector, "containers", Body::Collector(collector))])
    };
    assert_eq!(only(&collector(CollectorState::Stuck)), (Warn, "stuck: no answer".into()));
    assert_eq!(only(&collector(CollectorState::Failing)), (Warn, "failing: no answer".into()));
    assert_eq!(found(&collector(CollectorState::Absent)), []);
    assert_eq!(found(&collector(CollectorState::Ok)), []);
}

#[test]
fn an_xid_is_a_problem_for_an_hour_once_for_each_code() {
    let mut data = HostData::default();
    let mut xid = |code, at_ms, severity| {
        let event = Event {
            id: Uuid::from_u128(u128::from(code) << 64 | at_ms as u128),
            at_ms,
            kind: EntityKind::Gpu,
            key: "GPU-1".into(),
            subject: "GPU 0".into(),
            severity,
            fact: Fact::Xid { code, meaning: "fallen off the bus".into() },
        };
        assert!(data.take_event(1, &event).is_some());
    };
    xid(79, NOW_MS - 2_000, EventSeverity::Crit);
    xid(79, NOW_MS - 1_000, EventSeverity::Crit);
    xid(31, NOW_MS - 500, EventSeverity::Warn);
    xid(48, NOW_MS - XID_IS_RECENT_MS, EventSeverity::Crit);
    let found: Vec<_> = found(&data).into_iter().map(|problem| (problem.severity, problem.since_ms)).collect();
    assert_eq!(found, [(Crit, NOW_MS - 1_000), (Warn, NOW_MS - 500)]);
}

#[test]
fn memory_and_clock() {
    let mut data = HostData::default();
    let sample = HostSample { memory_used_bytes: Some(95.0), memory_total_bytes: Some(100.0), ..HostSample::default() };
    data.take_rows(1, &[sample.row("")]);
    assert_eq!(only(&data), (Warn, "95 % of the memory is in use".into()));
    let offset = |offset| {
        let mut presence = Presence::default();
        presence.clock_offset_ms = Some(offset);
        presence
    };
    let clock = |ms| problems(&HostData::default(), &offset(ms), HostState::Online, NOW_MS);
    assert_eq!(clock(2_000), []);
    assert_eq!(clock(-2_500)[0].message, "its clock is 2.5 s behind the controller's; set up NTP");
    assert_eq!(clock(-2_500)[0].severity, Warn);
}

#[tokio::test]
async fn a_host_that_is_gone_has_one_problem_and_a_goodbye_is_told_from_a_loss() {
    let data = container(|container| container.health = Some("unhealthy".into()));
    let now = Now { wall_ms: NOW_MS - 60_000, ..Now::take() };
    let mut presence = Presence::default();
    let session = Connected { agent_id: Uuid::nil(), address: String::new(), agent_version: String::new(), at_ms: 0 };
    presence.connected(session, now);
    let lost = problems(&data, &presence, HostState::Offline, NOW_MS);
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].severity, lost[0].since_ms), (Crit, NOW_MS - 60_000));
    assert_eq!(lost[0].message, "offline: no sign of life since 2023-11-14 22:12:20 UTC");
    let stale = problems(&data, &presence, HostState::Stale, NOW_MS);
    assert_eq!((stale.len(), stale[0].severity), (2, Crit), "worst first");
    presence.disconnected(Uuid::nil(), Some("SIGTERM".into()));
    let stopped = problems(&data, &presence, HostState::Offline, NOW_MS);
    assert_eq!(stopped[0].severity, Warn);
    assert_eq!(stopped[0].message, "offline: the agent stopped on purpose (SIGTERM)");
}
