use super::*;
use proptest::prelude::*;

fn death(at_ms: i64, exit_code: i64, policy: Policy) -> Death {
    Death { at_ms, exit_code: Some(exit_code), deliberate: false, policy }
}

/// Lets a container live `up_ms` again and again under Docker's back-off; gives the times of its
/// deaths and of its starts until `until_ms`.
fn docker(up_ms: i64, until_ms: i64) -> Vec<(i64, i64)> {
    let (mut runs, mut now, mut pause) = (Vec::new(), 0, 100);
    while now + up_ms <= until_ms {
        runs.push((now, now + up_ms));
        pause = if up_ms >= 10_000 { 100 } else { (pause * 2).min(60_000) };
        now += up_ms + pause;
    }
    runs
}

/// When the loop is first named, for a container that lives `up_ms` each time.
fn named_after(up_ms: i64, policy: Policy) -> Option<i64> {
    let mut watch = Watch::default();
    docker(up_ms, 3_600_000).into_iter().find_map(|(start, end)| {
        watch.started(start);
        watch.passed(end - 1);
        watch.died(death(end, 1, policy)).map(|turn| {
            assert_eq!(turn, Turn::Began);
            end
        })
    })
}

#[test]
fn one_that_exits_every_two_seconds_is_named_within_thirty() {
    let at = named_after(2_000, Policy::Always).expect("is a loop");
    assert!(at <= 30_000, "{at}");
    assert!(named_after(10, Policy::Always).expect("is a loop") <= 2_000);
    assert!(named_after(60_000, Policy::OnFailure).expect("is a loop") <= 200_000);
}

#[test]
fn one_that_lives_long_is_no_loop() {
    assert_eq!(named_after(200_000, Policy::Always), None);
}

#[test]
fn the_backoff_of_a_minute_keeps_the_loop_alive() {
    let mut watch = Watch::default();
    let mut turns = Vec::new();
    for (start, end) in docker(2_000, 1_800_000) {
        watch.started(start);
        turns.extend(watch.passed(end - 1));
        turns.extend(watch.died(death(end, 1, Policy::Always)));
        turns.extend(watch.passed(end + 50_000));
    }
    assert_eq!(turns, [Turn::Began], "no flapping between restarts");
    assert!(watch.deaths() >= 4 && watch.deaths() <= 6, "{} within the window", watch.deaths());
}

#[test]
fn it_ends_when_it_stays_up() {
    let mut watch = Watch::default();
    for at in [0, 10_000, 20_000] {
        watch.died(death(at, 3, Policy::Always));
    }
    assert!(watch.is_looping());
    assert_eq!(watch.last_exit_code(), Some(3));
    watch.started(21_000);
    assert_eq!(watch.passed(80_999), None);
    assert_eq!(watch.passed(81_000), Some(Turn::Ended));
    assert_eq!(watch.passed(90_000), None);
    assert_eq!(watch.died(death(100_000, 1, Policy::Always)), None, "a later death begins a new count");
}

#[test]
fn a_slow_loop_must_stay_up_longer_than_its_own_period() {
    let mut watch = Watch::default();
    for at in [0, 110_000, 220_000] {
        watch.died(death(at, 1, Policy::Always));
    }
    watch.started(221_000);
    assert_eq!(watch.passed(221_000 + 100_000), None);
    assert_eq!(watch.passed(221_000 + 110_001), Some(Turn::Ended));
}

#[test]
fn stopping_it_is_no_death_and_ends_the_loop() {
    let mut watch = Watch::default();
    for at in 0..10 {
        let stopped = Death { deliberate: true, ..death(at * 1_000, 137, Policy::Always) };
        assert_eq!(watch.died(stopped), None);
    }
    for at in [20_000, 21_000, 22_000] {
        watch.died(death(at, 1, Policy::Always));
    }
    let stopped = Death { deliberate: true, ..death(23_000, 143, Policy::Always) };
    assert_eq!(watch.died(stopped), Some(Turn::Ended));
}

#[test]
fn jobs_that_people_start_are_no_loop() {
    let mut watch = Watch::default();
    for at in 0..20 {
        assert_eq!(watch.died(death(at * 1_000, 0, Policy::None)), None, "ended well");
    }
    for at in 0..4 {
        assert_eq!(watch.died(death(20_000 + at * 1_000, 1, Policy::None)), None, "a person tries again");
    }
    assert_eq!(watch.died(death(25_000, 1, Policy::None)), Some(Turn::Began), "again and again");
}

#[test]
fn a_job_that_is_retried_until_it_ends_well_is_done() {
    let mut watch = Watch::default();
    for at in [0, 1_000, 2_000] {
        watch.died(death(at, 1, Policy::OnFailure));
    }
    assert_eq!(watch.died(death(3_000, 0, Policy::OnFailure)), Some(Turn::Ended));
}

#[test]
fn it_ends_a_window_after_docker_gave_up() {
    let mut watch = Watch::default();
    for at in [0, 1_000, 2_000] {
        watch.died(death(at, 1, Policy::OnFailure));
    }
    assert_eq!(watch.passed(2_000 + WINDOW_MS), None);
    assert_eq!(watch.passed(2_001 + WINDOW_MS), Some(Turn::Ended));
}

/// Restarted so often in these seconds of life, and up again for so long after such a pause.
fn recalled(restarts: u32, life_s: i64, pause_ms: i64, up_ms: Option<i64>) -> Option<Turn> {
    let died_ms = life_s * 1_000;
    let started_ms = died_ms + pause_ms;
    let past = Past { restarts, created_ms: 0, died_ms, exit_code: Some(1), up_since: up_ms.map(|_| started_ms) };
    Watch::default().recall(past, started_ms + up_ms.unwrap_or(0))
}

#[test]
fn a_loop_that_nobody_watched_is_named_by_dockers_memory() {
    const WEEK: i64 = 7 * 86_400;
    let cases = [
        ("every two seconds, and up", recalled(5, 15, 3_200, Some(1_000)), true),
        ("every two seconds, and down", recalled(5, 15, 2_000, None), true),
        ("every half minute, and up", recalled(20, 600, 150, Some(20_000)), true),
        ("after a healthy week, in Docker's longest pause", recalled(9, WEEK, 60_000, Some(500)), true),
        ("after a healthy week, while it pauses", recalled(9, WEEK, 40_000, None), true),
        ("two restarts", recalled(2, 15, 400, Some(1_000)), false),
        ("a healthy week with forty restarts, the last just now", recalled(40, WEEK, 150, Some(1_000)), false),
        ("a wild first hour, and healthy for hours", recalled(40, 3_600, 60_000, Some(7_200_000)), false),
        ("up for longer than a minute and than its own pace", recalled(5, 15, 3_200, Some(60_000)), false),
        ("a clock that was set back", recalled(5, -100, 0, Some(1_000)), false),
    ];
    for (case, turn, loops) in cases {
        assert_eq!(turn, loops.then_some(Turn::Began), "{case}");
    }
}

#[test]
fn a_recalled_loop_goes_on_and_ends_as_any_other() {
    let past = Past { restarts: 30, created_ms: 0, died_ms: 1_800_000, exit_code: Some(5), up_since: None };
    let mut watch = Watch::default();
    assert_eq!(watch.recall(past, 1_801_000), Some(Turn::Began));
    assert_eq!((watch.deaths(), watch.last_exit_code()), (1, Some(5)), "as many as are known");
    assert_eq!(watch.recall(past, 1_801_000), None, "it is named once");
    watch.started(1_802_000);
    assert_eq!(watch.died(death(1_804_000, 5, Policy::Always)), None);
    watch.started(1_805_000);
    assert_eq!(watch.passed(1_805_000 + 59_000), None);
    assert_eq!(watch.passed(1_805_000 + 60_001), Some(Turn::Ended));
}

proptest! {
    #[test]
    fn beginnings_and_ends_alternate(steps in proptest::collection::vec((0_i64..90_000, 0_u8..5, any::<bool>()), 0..200)) {
        let mut watch = Watch::default();
        let (mut now, mut looping) = (0, false);
        for (pause, what, deliberate) in steps {
            now += pause;
            let turn = match what {
                0 => { watch.started(now); None }
                1 => watch.passed(now),
                2 => watch.died(Death { deliberate, ..death(now, 1, Policy::None) }),
                3 => watch.died(Death { deliberate, ..death(now, 0, Policy::OnFailure) }),
                _ => watch.died(Death { deliberate, ..death(now, 1, Policy::Always) }),
            };
            if let Some(turn) = turn {
                prop_assert_eq!(turn == Turn::Began, !looping);
                looping = !looping;
            }
            prop_assert_eq!(watch.is_looping(), looping);
            prop_assert!(!looping || watch.deaths() >= 1);
        }
    }
}
