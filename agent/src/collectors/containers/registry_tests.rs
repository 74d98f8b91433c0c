use super::*;
use crate::collectors::containers::known::KILL_EXPLAINS_MS;
use crate::collectors::containers::untold::Untold;
use crate::docker::RestartPolicy;
use fleetlight_protocol::document::{Body, ContainerDocument};
use fleetlight_protocol::event::Severity;
use tokio::time::Instant;

const ID: &str = "5001cea49bbd56ef7b70d8d13f825e7e1ad18ad18fd22d89626dbc1e1ea58752";

fn id() -> ContainerId {
    ContainerId::parse(ID).expect("is an id")
}

fn at(at_ms: i64, change: Change) -> DaemonEvent {
    DaemonEvent { id: id(), name: "comfy-user001".into(), at_ns: at_ms * 1_000_000, change }
}

fn died(at_ms: i64, exit_code: i64) -> DaemonEvent {
    at(at_ms, Change::Died { exit_code: Some(exit_code) })
}

fn running(started_ms: i64) -> Inspection {
    Inspection {
        id: id(),
        name: "comfy-user001".into(),
        image: "comfy".into(),
        image_id: None,
        state: ContainerState::Running,
        pid: Some(77),
        health: None,
        probe: None,
        health_verdict: None,
        stop_seconds: None,
        exit_code: None,
        oom_killed: false,
        created_ms: Some(1),
        started_ms: Some(started_ms),
        finished_ms: None,
        restarts: 0,
        restart_policy: RestartPolicy::Always,
        ports: Vec::new(),
        labels: HashMap::new(),
        memory_limit_bytes: None,
        cpu_limit: None,
        network: Network::Own,
    }
}

fn registry() -> Registry {
    Registry::new(Arc::default(), UserPattern::new(Some("^comfy-(user[0-9]+)$")))
}

/// A registry that knows one running container.
fn knowing() -> Registry {
    let mut registry = registry();
    registry.inspected(running(1_000), 0, 1_000, false);
    registry
}

fn body(outcome: &Outcome) -> &ContainerDocument {
    match &outcome.documents.last().expect("has a document").body {
        Some(Body::Container(body)) => body,
        other => panic!("{other:?}"),
    }
}

fn facts(outcome: &Outcome) -> Vec<&'static str> {
    outcome.events.iter().map(|event| event.fact.name()).collect()
}

#[test]
fn a_started_container_is_told_looked_at_and_measured() {
    let mut registry = registry();
    let created = registry.event(&at(900, Change::Created));
    assert_eq!((facts(&created), created.look.len()), (vec!["container_created"], 1));
    let started = registry.event(&at(1_000, Change::Started));
    assert_eq!((facts(&started), started.look.len()), (vec!["container_started"], 1));
    assert!(registry.targets().is_empty(), "its process is not known yet");
    let outcome = registry.inspected(running(1_000), registry.asked(), 1_001, false);
    assert_eq!(body(&outcome).user.as_deref(), Some("user001"));
    assert_eq!(registry.targets().len(), 1);
    assert_eq!(registry.names.name(ID).as_deref(), Some("comfy-user001"));
}

#[test]
fn a_death_is_told_with_exit_code_and_lines_and_no_longer_measured() {
    let mut registry = knowing();
    let outcome = registry.event(&died(5_000, 3));
    assert!(outcome.events.is_empty() && registry.targets().is_empty());
    let told = registry.told(&outcome.death.expect("is news"), vec!["last".into()]);
    assert_eq!(told.events[0].severity, Severity::Warn);
    assert_eq!(told.events[0].at_ms, 5_000);
    let expected = Fact::ContainerDied { exit_code: Some(3), oom_killed: false, last_lines: vec!["last".into()] };
    assert_eq!(told.events[0].fact, expected);
    let body = body(&told);
    assert_eq!((body.state, body.exit_code, body.finished_ms), (ContainerState::Exited, Some(3), Some(5_000)));
}

#[test]
fn out_of_memory_is_known_when_it_comes_before_or_just_after_the_death() {
    for oom_first in [true, false] {
        let (mut registry, mut untold) = (knowing(), Untold::default());
        let now = Instant::now();
        if oom_first {
            registry.event(&at(4_999, Change::OutOfMemory));
        }
        untold.push(registry.event(&died(5_000, 137)).death.expect("is news"), now);
        assert_eq!(untold.lacked_memory(&id()), !oom_first);
        untold.ask(1).iter().for_each(|ask| untold.answered(ask.number, Vec::new()));
        let (death, lines) = untold.ready(now).pop().expect("is told at once");
        let told = registry.told(&death, lines);
        assert!(matches!(told.events[0].fact, Fact::ContainerDied { oom_killed: true, .. }));
        assert_eq!(told.events[0].severity, Severity::Crit);
    }
}

#[test]
fn out_of_memory_is_not_forgotten_when_docker_restarts_before_the_death_is_told() {
    let mut registry = knowing();
    registry.event(&at(4_999, Change::OutOfMemory));
    let death = registry.event(&died(5_000, 137)).death.expect("is news");
    registry.event(&at(5_100, Change::Started));
    let told = registry.told(&death, Vec::new());
    assert!(matches!(told.events[0].fact, Fact::ContainerDied { oom_killed: true, .. }));
}

#[test]
fn whoever_asked_about_a_removed_container_is_told_to_drop_the_answer() {
    let removed = at(2_000, Change::Removed);
    assert_eq!(knowing().event(&removed).gone, [id()]);
    assert_eq!(registry().event(&removed).gone, [id()], "even if its first answer is still on its way");
    let mut registry = knowing();
    assert_eq!(registry.listed(&[], registry.asked(), 2_000, false).gone, [id()]);
}

#[test]
fn three_deaths_are_a_crash_loop_whatever_the_state_reads() {
    let mut registry = knowing();
    let mut told = Vec::new();
    for run in 0..3 {
        let now = 3_000 + run * 2_500;
        let death = registry.event(&died(now, 1)).death.expect("is news");
        told.push(registry.told(&death, vec![format!("line {run}")]));
        registry.event(&at(now + 100, Change::Started));
    }
    assert_eq!(facts(&told[1]), ["container_died"]);
    assert_eq!(facts(&told[2]), ["container_died", "crash_loop_began"]);
    let outcome = registry.inspected(running(8_100), registry.asked(), 8_101, false);
    let body = body(&outcome);
    assert_eq!(body.state, ContainerState::Running);
    let expected = CrashLoopFacts { deaths: 3, last_exit_code: Some(1), last_lines: vec!["line 2".into()] };
    assert_eq!(CrashLoopFacts::of(body), Some(expected));

    assert!(registry.has_loops());
    assert!(registry.passed(60_000).events.is_empty());
    let outcome = registry.passed(70_000);
    assert_eq!(facts(&outcome), ["crash_loop_ended"]);
    assert_eq!(CrashLoopFacts::of(self::body(&outcome)), None);
    assert!(!registry.has_loops());
}

#[test]
fn a_loop_of_before_the_agent_is_told_with_the_first_look() {
    let restarting = |state, restarts| Inspection {
        state,
        restarts,
        pid: None,
        finished_ms: Some(20_000),
        exit_code: Some(5),
        ..running(18_000)
    };
    let mut registry = registry();
    let outcome = registry.inspected(restarting(ContainerState::Restarting, 8), 0, 21_000, true);
    assert_eq!(facts(&outcome), ["crash_loop_began"]);
    let expected = CrashLoopFacts { deaths: 1, last_exit_code: Some(5), last_lines: Vec::new() };
    assert_eq!(CrashLoopFacts::of(body(&outcome)), Some(expected));
    assert!(registry.inspected(restarting(ContainerState::Restarting, 8), 0, 22_000, true).events.is_empty());

    let stopped = self::registry().inspected(restarting(ContainerState::Exited, 8), 0, 21_000, true);
    assert!(stopped.events.is_empty(), "Docker has been told to leave it");
}

#[derive(Debug, PartialEq)]
struct CrashLoopFacts {
    deaths: u32,
    last_exit_code: Option<i64>,
    last_lines: Vec<String>,
}

impl CrashLoopFacts {
    fn of(body: &ContainerDocument) -> Option<Self> {
        let found = body.crash_loop.clone()?;
        Some(Self { deaths: found.deaths, last_exit_code: found.last_exit_code, last_lines: found.last_lines })
    }
}

#[test]
fn stopping_again_and_again_is_no_crash_loop() {
    let mut registry = knowing();
    for run in 0..10 {
        let now = 3_000 + run * 2_000;
        registry.event(&at(now, Change::Killed { signal: Some(15) }));
        let death = registry.event(&died(now + 10, 143)).death.expect("is news");
        let told = registry.told(&death, Vec::new());
        assert_eq!(facts(&told), ["container_died"]);
        assert_eq!(told.events[0].severity, Severity::Info);
        registry.event(&at(now + 100, Change::Started));
    }
}

#[test]
fn a_signal_to_reload_or_of_long_ago_does_not_explain_a_death() {
    for (signal, later) in [(1, 10), (15, KILL_EXPLAINS_MS)] {
        let mut registry = knowing();
        registry.event(&at(3_000, Change::Killed { signal: Some(signal) }));
        let death = registry.event(&died(3_000 + later, 1)).death.expect("is news");
        assert!(!death.deliberate, "signal {signal}, {later} ms later");
    }
}

#[test]
fn an_answer_that_an_event_overtook_is_asked_again() {
    let mut registry = knowing();
    let asked = registry.asked();
    registry.event(&died(5_000, 1));
    let outcome = registry.inspected(running(1_000), asked, 5_001, false);
    assert_eq!((outcome.look, outcome.documents.len()), (vec![id()], 0));
    assert!(registry.targets().is_empty(), "the dead are not measured");
    let vanished = registry.listed(&[], asked, 5_002, false);
    assert!(vanished.events.is_empty(), "the list was asked for before the event");
}

#[test]
fn removal_ends_everything() {
    let mut registry = knowing();
    for run in 0..3 {
        let death = registry.event(&died(3_000 + run, 1)).death.expect("is news");
        registry.told(&death, Vec::new());
    }
    let death = registry.event(&died(3_010, 1)).death.expect("is news");
    let outcome = registry.event(&at(3_020, Change::Removed));
    assert_eq!(facts(&outcome), ["crash_loop_ended", "container_removed"]);
    assert_eq!(outcome.documents[0].body, None);
    assert_eq!(registry.names.name(ID), None);
    let told = registry.told(&death, Vec::new());
    assert_eq!((facts(&told), told.documents.len()), (vec!["container_died"], 0), "told, though it is gone");
}

#[test]
fn after_a_gap_what_was_missed_is_told_once() {
    let mut registry = knowing();
    let mut again = running(20_000);
    (again.finished_ms, again.exit_code) = (Some(19_000), Some(9));
    let outcome = registry.inspected(again.clone(), registry.asked(), 21_000, true);
    let death = outcome.death.expect("is news");
    assert_eq!((death.at_ms, death.exit_code), (19_000, Some(9)));
    assert!(registry.inspected(again, registry.asked(), 21_001, true).death.is_none());
    assert!(registry.event(&died(19_100, 9)).death.is_none(), "the event comes late");
    assert!(registry.event(&died(19_200, 9)).death.is_some(), "and another is another");

    let gone = registry.listed(&[], registry.asked(), 30_000, true);
    assert_eq!(facts(&gone), ["container_removed"]);
}

#[test]
fn the_list_makes_only_what_differs_worth_a_look() {
    let mut registry = knowing();
    let line = |name: &str, state| Listed { id: id(), name: name.into(), state };
    let same = [line("comfy-user001", ContainerState::Running)];
    assert_eq!(registry.listed(&same, 0, 2_000, false), Outcome::default());
    assert_eq!(registry.listed(&same, 0, 2_000, true).look, [id()]);
    assert_eq!(registry.listed(&[line("renamed", ContainerState::Running)], 0, 2_000, false).look, [id()]);
    assert_eq!(registry.listed(&[line("comfy-user001", ContainerState::Paused)], 0, 2_000, false).look, [id()]);
}

#[test]
fn pause_and_health_are_told_at_once() {
    let mut registry = knowing();
    let paused = registry.event(&at(2_000, Change::Paused));
    assert_eq!((facts(&paused), body(&paused).state), (vec!["container_paused"], ContainerState::Paused));
    assert_eq!(registry.targets().len(), 1, "a paused container still has memory");
    let sick = registry.event(&at(2_100, Change::Health("unhealthy".into())));
    assert_eq!(body(&sick).health.as_deref(), Some("unhealthy"));
    assert_eq!(sick.events[0].severity, Severity::Warn);
}

#[test]
fn an_image_is_asked_for_once_and_forgotten_with_its_last_container() {
    let image = ImageId::parse(&format!("sha256:{}", "ab".repeat(32))).expect("is an id");
    let mut registry = registry();
    registry.inspected(Inspection { image_id: Some(image.clone()), ..running(1) }, 0, 1, false);
    assert_eq!(registry.unknown_image(), Some(image.clone()));
    assert_eq!(registry.unknown_image(), None);
    let outcome = registry.image(&image, Some(42), 2);
    assert_eq!(body(&outcome).image_bytes, Some(42));
    registry.event(&at(3, Change::Removed));
    registry.listed(&[], registry.asked(), 4, false);
    assert!(registry.images.is_empty());
}

#[test]
fn containers_are_bounded() {
    let mut registry = registry();
    for number in 0..CONTAINERS + 10 {
        let id = ContainerId::parse(&format!("c{number}")).expect("is an id");
        registry.event(&DaemonEvent { id, name: String::new(), at_ns: 1, change: Change::Created });
    }
    assert_eq!(registry.known.len(), CONTAINERS);
}
