use super::*;
use crate::live::summary::ContainerCounts;
use fleetlight_protocol::document::{
    CollectorDocument, CollectorState, ContainerDocument, ContainerState, CrashLoop, GpuDocument,
};
use fleetlight_protocol::event::{Fact, Severity as EventSeverity};
use fleetlight_protocol::samples::{ContainerSample, CoreSample, GpuSample, HostSample, MountSample, Sample};
use uuid::Uuid;

fn document(kind: EntityKind, key: &str, observed_ms: i64, body: Option<Body>) -> Document {
    Document { kind, key: key.into(), observed_ms, body }
}

fn container(change: impl FnOnce(&mut ContainerDocument)) -> Option<Body> {
    let mut container = ContainerDocument { state: ContainerState::Running, ..ContainerDocument::default() };
    change(&mut container);
    Some(Body::Container(Box::new(container)))
}

#[test]
fn a_gone_entity_takes_its_row_with_it() {
    let mut data = HostData::default();
    data.take_document(&document(EntityKind::Container, "c0", 1, container(|_| {})));
    data.take_rows(5_000, &[ContainerSample { pids: Some(3.0), ..ContainerSample::default() }.row("c0")]);
    assert_eq!(data.value(EntityKind::Container, "c0", "pids"), Some(3.0));
    assert!(data.take_document(&document(EntityKind::Container, "c0", 2, None)));
    assert_eq!(data.value(EntityKind::Container, "c0", "pids"), None);
    assert!(data.documents.is_empty() && data.rows.is_empty());
}

#[test]
fn a_document_of_the_past_brings_back_nothing_that_is_gone_since() {
    let mut data = HostData::default();
    assert!(data.take_document(&document(EntityKind::Container, "c0", 9, None)), "the news overtook its beginning");
    assert!(!data.take_document(&document(EntityKind::Container, "c0", 5, container(|_| {}))));
    assert!(data.documents.is_empty());
    assert!(data.take_document(&document(EntityKind::Container, "c0", 10, container(|_| {}))), "it begins again");
    for number in 0..2 * ENDED_PER_HOST {
        data.take_document(&document(EntityKind::Container, &number.to_string(), 9, None));
    }
    assert_eq!(data.ended.len(), ENDED_PER_HOST);
}

#[test]
fn events_of_the_past_stand_before_later_ones_and_push_none_of_them_out() {
    let event = |number: i64| Event {
        id: Uuid::from_u128(number as u128),
        at_ms: number,
        kind: EntityKind::Gpu,
        key: "GPU-1".into(),
        subject: "GPU 0".into(),
        severity: EventSeverity::Crit,
        fact: Fact::GpuBack,
    };
    let mut data = HostData::default();
    assert!(data.take_event(1, &event(900)).is_some());
    // The host's clock was behind: it is news all the same.
    assert!(data.take_event(1, &event(5)).is_some());
    for number in 100..100 + 2 * EVENTS_PER_HOST as i64 {
        assert!(data.take_past_event(1, &event(number)).is_some());
        assert!(data.take_past_event(1, &event(number)).is_none(), "it comes twice");
    }
    let kept: Vec<i64> = data.events.iter().map(|view| view.event.at_ms).collect();
    assert_eq!((kept.len(), kept[kept.len() - 2..].to_vec()), (EVENTS_PER_HOST, vec![900, 5]));
    assert!(data.take_past_event(1, &event(1)).is_none(), "older than all of a full list");
}

#[test]
fn an_older_document_or_row_does_not_replace_a_newer() {
    let mut data = HostData::default();
    data.take_document(&document(EntityKind::Container, "c0", 2, container(|_| {})));
    assert!(!data.take_document(&document(EntityKind::Container, "c0", 1, None)));
    assert_eq!(data.documents.len(), 1);
    let core = |percent| CoreSample { cpu_percent: Some(percent) }.row("cpu0");
    data.take_rows(10_000, &[core(20.0)]);
    data.take_rows(5_000, &[core(10.0)]);
    assert_eq!(data.value(EntityKind::Core, "cpu0", "cpu_percent"), Some(20.0));
    assert_eq!(data.tick_ms, Some(10_000));
}

#[test]
fn rows_without_samples_go_after_three_intervals_of_the_slowest_collector() {
    let mut data = HostData::default();
    let collector = CollectorDocument { interval_ms: 10_000, ..CollectorDocument::default() };
    data.take_document(&document(EntityKind::Collector, "mounts", 1, Some(Body::Collector(collector))));
    data.take_rows(100_000, &[CoreSample::default().row("cpu0"), CoreSample::default().row("cpu1")]);
    data.take_rows(130_000, &[CoreSample::default().row("cpu0")]);
    data.drop_old_rows();
    assert_eq!(data.rows.len(), 2, "30 s are three intervals");
    data.take_rows(131_000, &[CoreSample::default().row("cpu0")]);
    data.drop_old_rows();
    assert_eq!(data.rows.len(), 1);
}

#[test]
fn events_are_taken_once_and_the_oldest_go_first() {
    let mut data = HostData::default();
    let event = |number: u128| Event {
        id: Uuid::from_u128(number),
        at_ms: 0,
        kind: EntityKind::Host,
        key: String::new(),
        subject: String::new(),
        severity: EventSeverity::Info,
        fact: Fact::ContainerCreated,
    };
    assert!(data.take_event(1, &event(0)).is_some());
    assert!(data.take_event(1, &event(0)).is_none(), "delivered twice");
    for number in 1..=EVENTS_PER_HOST as u128 {
        data.take_event(1, &event(number));
    }
    assert_eq!(data.events.len(), EVENTS_PER_HOST);
    assert_eq!(data.events[0].event.id, Uuid::from_u128(1));
}

#[test]
fn a_host_cannot_fill_the_memory_with_entities() {
    let mut data = HostData::default();
    let rows: Vec<_> = (0..ENTITIES_PER_HOST + 10).map(|index| CoreSample::default().row(format!("{index}"))).collect();
    data.take_rows(1, &rows);
    assert_eq!(data.rows.len(), ENTITIES_PER_HOST);
    data.take_rows(2, &rows[..1]);
    assert_eq!(data.rows.get(EntityKind::Core, "0").map(|row| row.tick_ms), Some(2), "known ones go on");
}

#[test]
fn the_summary_says_what_the_overview_shows() {
    let mut data = HostData::default();
    let host = HostDocument {
        os: Some("Debian GNU/Linux".into()),
        os_version: Some("12".into()),
        architecture: "x86_64".into(),
        cpu_count: 2,
        ..HostDocument::default()
    };
    let gpu = |index| Some(Body::Gpu(Box::new(GpuDocument { index, ..GpuDocument::default() })));
    let mount = |remote| {
        Some(Body::Mount(MountDocument {
            mount_point: String::new(),
            source: String::new(),
            fs_type: "ext4".into(),
            options: "rw".into(),
            remote,
            state: fleetlight_protocol::samples::MountState::Ok,
            reason: String::new(),
        }))
    };
    for document in [
        document(EntityKind::Host, "", 1, Some(Body::Host(host))),
        document(EntityKind::Gpu, "GPU-a", 1, gpu(1)),
        document(EntityKind::Gpu, "GPU-b", 1, gpu(0)),
        document(EntityKind::Mount, "/", 1, mount(false)),
        document(EntityKind::Mount, "/nfs", 1, mount(true)),
        document(EntityKind::Container, "c0", 1, container(|_| {})),
        document(EntityKind::Container, "c1", 1, container(|looping| looping.crash_loop = Some(CrashLoop::default()))),
        document(EntityKind::Container, "c2", 1, container(|sick| sick.health = Some("unhealthy".into()))),
        document(EntityKind::Container, "c3", 1, container(|ended| ended.state = ContainerState::Exited)),
    ] {
        assert!(data.take_document(&document));
    }
    let filled =
        |used| MountSample { used_bytes: Some(used), available_bytes: Some(100.0 - used), ..MountSample::default() };
    data.take_rows(
        1,
        &[
            HostSample { cpu_percent: Some(7.5), ..HostSample::default() }.row(""),
            GpuSample { power_watts: Some(70.0), ..GpuSample::default() }.row("GPU-b"),
            filled(40.0).row("/"),
            filled(99.0).row("/nfs"),
        ],
    );
    let summary = Summary::of(&data);
    assert_eq!(summary.cpu_percent, Some(7.5));
    assert_eq!(summary.memory_used_bytes, None, "absent is not zero");
    assert_eq!(summary.os.as_deref(), Some("Debian GNU/Linux 12"));
    let gpus: Vec<_> = summary.gpus.iter().map(|gpu| (gpu.key.as_str(), gpu.power_watts)).collect();
    assert_eq!(gpus, [("GPU-b", Some(70.0)), ("GPU-a", None)], "by index");
    let fullest = summary.fullest_mount.unwrap();
    assert_eq!((fullest.key.as_str(), fullest.used_percent), ("/", 40.0), "the server's disk is not this host's");
    let counts = ContainerCounts { running: 2, total: 4, crash_loops: 1, unhealthy: 1 };
    assert_eq!(summary.containers, Some(counts));
    let absent = CollectorDocument { state: CollectorState::Absent, ..CollectorDocument::default() };
    data.take_document(&document(EntityKind::Collector, "containers", 1, Some(Body::Collector(absent))));
    assert_eq!(Summary::of(&data).containers, None, "no Docker is not no container");
}

#[test]
fn no_time_that_an_agent_sends_overflows() {
    let extremes = [i64::MIN, -1, 0, i64::MAX];
    for (first, second) in extremes.iter().flat_map(|first| extremes.map(|second| (*first, second))) {
        let mut record = HostRecord::new(1);
        record.name = Some("alpha".into());
        record.presence.clock_offset_ms = Some(first);
        let data = &mut record.data;
        for (seq, at_ms) in [first, second].into_iter().enumerate() {
            data.forget_future(at_ms, i64::MAX);
            data.take_rows(at_ms, &[CoreSample::default().row("cpu0")]);
            data.drop_old_rows();
            let exited = container(|container| {
                container.state = ContainerState::Exited;
                container.exit_code = Some(1);
                container.finished_ms = Some(at_ms);
            });
            data.take_document(&document(EntityKind::Container, "c0", at_ms, exited));
            let fact = Fact::Xid { code: 79, meaning: String::new() };
            let event = Event {
                id: Uuid::from_u128(seq as u128),
                at_ms,
                severity: EventSeverity::Crit,
                kind: EntityKind::Gpu,
                key: "g0".into(),
                subject: String::new(),
                fact,
            };
            data.take_event(1, &event);
        }
        for wall_ms in [first, second, 1_700_000_000_000] {
            let host = record.view(Now { at: tokio::time::Instant::now(), wall_ms }).expect("it has a name");
            assert_eq!(host.clock_offset_ms, Some(first));
        }
    }
}
