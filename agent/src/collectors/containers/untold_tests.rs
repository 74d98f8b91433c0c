use super::*;
use crate::limits::DOCKER_QUESTIONS;
use std::time::Duration;

fn news(number: usize) -> DeathNews {
    let id = ContainerId::parse(&format!("c{number}")).expect("is an id");
    DeathNews { id, name: String::new(), at_ms: 1, exit_code: Some(1), deliberate: false, oom: false, turn: None }
}

fn ids(ready: &[(DeathNews, Vec<String>)]) -> Vec<&str> {
    ready.iter().map(|(news, _)| news.id.as_str()).collect()
}

#[test]
fn a_burst_asks_no_more_than_it_may_and_loses_none() {
    let (mut untold, now) = (Untold::default(), Instant::now());
    (0..300).for_each(|number| untold.push(news(number), now));
    let asked = untold.ask(DOCKER_QUESTIONS);
    assert_eq!(asked.len(), DOCKER_QUESTIONS);
    assert_eq!(untold.ask(0), []);
    assert!(untold.ready(now).is_empty());
    untold.answered(asked[0].number, vec!["last words".into()]);
    assert_eq!(untold.ready(now), [(news(0), vec!["last words".to_owned()])]);
    assert_eq!(untold.ask(1)[0].id, news(DOCKER_QUESTIONS).id, "the next");
    let late = untold.next_at().expect("others wait");
    assert_eq!(late, now + LAST_LINES_WAIT);
    let ready = untold.ready(late);
    assert_eq!(ready.len(), 300 - 1 - DOCKER_QUESTIONS, "those that nobody asked for");
    // Whoever asked answers, if only that it took too long.
    asked[1..].iter().for_each(|ask| untold.answered(ask.number, Vec::new()));
    untold.answered(DOCKER_QUESTIONS as u64 + 1, Vec::new());
    assert_eq!(untold.ready(late).len(), DOCKER_QUESTIONS);
    assert_eq!((untold.next_at(), untold.give_up()), (None, Vec::new()));
}

#[test]
fn beyond_the_bound_the_oldest_is_told_at_once() {
    let (mut untold, now) = (Untold::default(), Instant::now());
    (0..=UNTOLD_DEATHS).for_each(|number| untold.push(news(number), now));
    assert_eq!(ids(&untold.ready(now)), ["c0"]);
    untold.answered(1, vec!["late".into()]);
    assert_eq!((untold.ready(now), untold.give_up().len()), (Vec::new(), UNTOLD_DEATHS), "told once");
}

#[test]
fn each_has_its_own_time() {
    let (mut untold, now) = (Untold::default(), Instant::now());
    untold.push(news(1), now);
    untold.push(news(2), now + Duration::from_millis(300));
    assert_eq!(ids(&untold.ready(now + LAST_LINES_WAIT)), ["c1"]);
    assert_eq!(untold.next_at(), Some(now + LAST_LINES_WAIT + Duration::from_millis(300)));
}

#[test]
fn only_a_kill_that_nobody_asked_for_waits_for_the_word() {
    let killed = DeathNews { exit_code: Some(137), ..news(1) };
    let cases = [
        (news(1), false),
        (killed.clone(), true),
        (DeathNews { deliberate: true, ..killed.clone() }, false),
        (DeathNews { oom: true, ..killed }, false),
    ];
    for (death, waits) in cases {
        let (mut untold, now) = (Untold::default(), Instant::now());
        untold.push(death.clone(), now);
        untold.ask(1).iter().for_each(|ask| untold.answered(ask.number, Vec::new()));
        assert_eq!(untold.ready(now).is_empty(), waits, "{death:?}");
        assert_eq!(untold.next_at(), waits.then_some(now + OOM_WORD_WAIT));
        let told = untold.ready(now + OOM_WORD_WAIT);
        assert!(told.iter().all(|(told, _)| *told == death), "no word, no lack of memory: {told:?}");
        assert_eq!(told.len(), usize::from(waits));
    }
}

#[test]
fn the_word_explains_one_death_of_its_container() {
    let (mut untold, now) = (Untold::default(), Instant::now());
    let killed = |number| DeathNews { exit_code: Some(137), ..news(number) };
    (1..=2).for_each(|number| untold.push(killed(number), now));
    untold.push(killed(2), now);
    untold.ask(3).iter().for_each(|ask| untold.answered(ask.number, Vec::new()));
    assert!(untold.lacked_memory(&killed(2).id));
    assert_eq!(untold.ready(now), [(DeathNews { oom: true, ..killed(2) }, Vec::new())], "the others wait on");
    assert_eq!(ids(&untold.ready(now + OOM_WORD_WAIT)), ["c1", "c2"]);
    assert!(!untold.lacked_memory(&killed(2).id), "too late");
}
