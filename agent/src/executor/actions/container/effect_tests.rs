use super::*;
use crate::docker::{ContainerId, Network, RestartPolicy};
use std::collections::HashMap;

/// What is seen, in order; the restart of a container that was asked for at 1,000 is answered at 1,100.
#[derive(Debug, Clone)]
enum Seen {
    Event(i64, Change),
    Answered(i64),
    Look(i64, Option<Box<Inspection>>),
}

use Seen::{Answered, Event};

fn container(state: ContainerState, started_ms: i64) -> Inspection {
    Inspection {
        id: ContainerId::parse("5001cea49bbd").expect("is an id"),
        name: "comfy-user001".into(),
        image: "comfy".into(),
        image_id: None,
        state,
        pid: None,
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

fn runs(at_ms: i64, started_ms: i64) -> Seen {
    Seen::Look(at_ms, Some(Box::new(container(ContainerState::Running, started_ms))))
}

fn health(at_ms: i64, health: &str) -> Seen {
    let health_verdict = Some(Duration::from_secs(20));
    let found = Inspection { health: Some(health.into()), health_verdict, ..container(ContainerState::Running, 1_050) };
    Seen::Look(at_ms, Some(Box::new(found)))
}

fn is(at_ms: i64, state: ContainerState) -> Seen {
    Seen::Look(at_ms, Some(Box::new(container(state, 500))))
}

fn exited(at_ms: i64, state: ContainerState, started_ms: i64, finished_ms: i64) -> Seen {
    let found = container(state, started_ms);
    let ended = Inspection { exit_code: Some(1), finished_ms: Some(finished_ms), ..found };
    Seen::Look(at_ms, Some(Box::new(ended)))
}

fn died(at_ms: i64) -> Seen {
    Event(at_ms, Change::Died { exit_code: Some(1) })
}

fn gone(at_ms: i64) -> Seen {
    Seen::Look(at_ms, None)
}

/// A restart whose own events have come.
fn restarted() -> Vec<Seen> {
    let through = Event(1_060, Change::Restarted);
    vec![died(1_040), Event(1_050, Change::Started), through, Answered(1_100)]
}

/// The last verdict.
fn judged(mut effect: Effect, seen: Vec<Seen>) -> Verdict {
    let mut last = Verdict::Wait;
    for one in seen {
        match one {
            Event(at_ms, change) => effect.event(at_ms, &change),
            Answered(at_ms) => effect.answered(at_ms),
            Seen::Look(at_ms, found) => last = effect.look(at_ms, found.as_deref()),
        }
    }
    last
}

const STABLE: Duration = Duration::from_secs(10);

fn broken(exit_code: i64, ran_ms: i64) -> Verdict {
    Verdict::Broken(Broken::Died { exit_code: Some(exit_code), ran_ms: Some(ran_ms) })
}

#[test]
fn a_restart_counts_once_it_has_held() {
    let cases: Vec<(&str, Vec<Seen>, Verdict)> = vec![
        ("held", vec![runs(1_100, 1_050), runs(11_050, 1_050)], Verdict::Holds),
        ("not yet", vec![runs(1_100, 1_050), runs(11_049, 1_050)], Verdict::Wait),
        (
            "died after 3 s",
            vec![runs(1_100, 1_050), died(4_050), exited(4_060, ContainerState::Exited, 1_050, 4_050)],
            broken(1, 3_000),
        ),
        (
            "died, no event came",
            vec![runs(1_100, 1_050), exited(4_060, ContainerState::Exited, 1_050, 4_050)],
            broken(1, 3_000),
        ),
        ("waits for its policy", vec![exited(4_060, ContainerState::Restarting, 1_050, 1_350)], broken(1, 300)),
        (
            "died and is back between two looks",
            vec![runs(1_100, 1_050), died(1_500), Event(1_700, Change::Started), runs(2_100, 1_700)],
            broken(1, 450),
        ),
        ("the same, no event came", vec![runs(1_100, 1_050), runs(2_100, 1_700)], Verdict::Broken(Broken::CameBack)),
        (
            "died before the first look",
            vec![died(1_090), Event(1_200, Change::Started), runs(1_300, 1_200)],
            broken(1, 40),
        ),
        (
            "died of itself, no death came",
            vec![runs(1_100, 1_050), Event(1_700, Change::Started), runs(2_100, 1_050)],
            Verdict::Broken(Broken::CameBack),
        ),
        (
            "paused by another",
            vec![runs(1_100, 1_050), Event(1_500, Change::Paused), is(1_600, ContainerState::Paused)],
            Verdict::Broken(Broken::Is(ContainerState::Paused)),
        ),
        ("removed by another", vec![runs(1_100, 1_050), gone(1_700)], Verdict::Broken(Broken::Removed)),
        (
            "healthy and held",
            vec![
                health(1_100, "starting"),
                Event(5_000, Change::Health("healthy".into())),
                health(5_001, "healthy"),
                health(15_000, "healthy"),
            ],
            Verdict::Holds,
        ),
        (
            "healthy, not yet long",
            vec![health(1_100, "starting"), health(5_000, "healthy"), health(14_999, "healthy")],
            Verdict::Wait,
        ),
        ("unhealthy", vec![health(1_100, "starting"), health(5_000, "unhealthy")], Verdict::Broken(Broken::Unhealthy)),
        (
            "healthy, then not",
            vec![health(2_000, "healthy"), health(5_000, "unhealthy")],
            Verdict::Broken(Broken::Unhealthy),
        ),
        ("its check thinks", vec![health(1_100, "starting"), health(31_099, "starting")], Verdict::Wait),
        (
            "its check says nothing",
            vec![health(1_100, "starting"), health(31_100, "starting")],
            Verdict::Broken(Broken::StillStarting { after_ms: 30_000 }),
        ),
    ];
    for (name, rest, expected) in cases {
        let effect = Effect::new(Aim::Runs, Through::Restarted, STABLE);
        assert_eq!(judged(effect, [restarted(), rest].concat()), expected, "{name}");
    }
}

#[test]
fn what_a_crash_loop_did_before_its_restart_was_through_does_not_count() {
    let before = vec![
        Event(1_010, Change::Started),
        died(1_040),
        Event(1_050, Change::Started),
        Event(1_060, Change::Restarted),
    ];
    let rest = vec![Answered(1_100), runs(1_110, 1_050), runs(11_050, 1_050)];
    assert_eq!(judged(Effect::new(Aim::Runs, Through::Restarted, STABLE), [before, rest].concat()), Verdict::Holds);
}

#[test]
fn a_start_counts_from_its_own_event_on() {
    let start = || vec![Event(1_050, Change::Started), Answered(1_100)];
    let effect = || Effect::new(Aim::Runs, Through::Started, STABLE);
    let held = vec![runs(1_110, 1_050), runs(11_050, 1_050)];
    assert_eq!(judged(effect(), [start(), held].concat()), Verdict::Holds);
    let dies = vec![died(1_080), exited(1_110, ContainerState::Exited, 1_050, 1_080)];
    assert_eq!(judged(effect(), [start(), dies].concat()), broken(1, 30));
}

#[test]
fn what_runs_already_is_looked_at_too() {
    let before = container(ContainerState::Running, -600_000);
    let effect = || Effect::already(Aim::Runs, STABLE, &before);
    assert_eq!(judged(effect(), vec![Answered(1_000), runs(1_001, -600_000)]), Verdict::Holds);
    let young = container(ContainerState::Running, 0);
    let looping =
        vec![Answered(1_000), runs(1_001, 0), died(2_000), exited(2_001, ContainerState::Restarting, 0, 2_000)];
    assert_eq!(judged(Effect::already(Aim::Runs, STABLE, &young), looping), broken(1, 2_000));
    let back = vec![Answered(1_000), runs(1_001, 900)];
    assert_eq!(judged(Effect::already(Aim::Runs, STABLE, &young), back), Verdict::Broken(Broken::CameBack));
}

#[test]
fn the_other_verbs_hold_too() {
    let before = container(ContainerState::Running, 500);
    let cases: Vec<(&str, Aim, Vec<Seen>, Verdict)> = vec![
        (
            "stopped",
            Aim::Ended,
            vec![died(1_050), Answered(1_100), is(1_101, ContainerState::Exited), is(11_100, ContainerState::Exited)],
            Verdict::Holds,
        ),
        (
            "started again",
            Aim::Ended,
            vec![died(1_050), Answered(1_100), Event(2_000, Change::Started), is(2_001, ContainerState::Running)],
            Verdict::Broken(Broken::Is(ContainerState::Running)),
        ),
        (
            "does not stop",
            Aim::Ended,
            vec![Answered(1_100), is(1_101, ContainerState::Running)],
            Verdict::Broken(Broken::Is(ContainerState::Running)),
        ),
        ("removes itself", Aim::Ended, vec![died(1_050), Answered(1_100), gone(1_101)], Verdict::Holds),
        (
            "paused",
            Aim::Paused,
            vec![Answered(1_100), is(1_101, ContainerState::Paused), is(11_100, ContainerState::Paused)],
            Verdict::Holds,
        ),
        (
            "resumed by another",
            Aim::Paused,
            vec![
                Answered(1_100),
                is(1_101, ContainerState::Paused),
                Event(2_000, Change::Unpaused),
                is(2_001, ContainerState::Running),
            ],
            Verdict::Broken(Broken::Is(ContainerState::Running)),
        ),
        ("resumed", Aim::Runs, vec![Answered(1_100), runs(1_101, 500), runs(11_100, 500)], Verdict::Holds),
        ("resumed, not yet long", Aim::Runs, vec![Answered(1_100), runs(1_101, 500), runs(11_099, 500)], Verdict::Wait),
        (
            "resumed and died",
            Aim::Runs,
            vec![Answered(1_100), died(1_200), exited(1_201, ContainerState::Exited, 500, 1_200)],
            broken(1, 700),
        ),
        ("removed", Aim::Gone, vec![Answered(1_100), gone(1_101)], Verdict::Holds),
        ("being removed", Aim::Gone, vec![Answered(1_100), is(1_101, ContainerState::Removing)], Verdict::Wait),
        (
            "not removed",
            Aim::Gone,
            vec![Answered(1_100), is(31_100, ContainerState::Dead)],
            Verdict::Broken(Broken::Is(ContainerState::Dead)),
        ),
    ];
    for (name, aim, seen, expected) in cases {
        assert_eq!(judged(Effect::staying(aim, STABLE, &before), seen), expected, "{name}");
    }
}
