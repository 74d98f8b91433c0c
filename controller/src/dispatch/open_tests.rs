use super::*;
use fleetlight_protocol::command::Action;
use serde_json::json;

const AGENT: Uuid = Uuid::from_u128(9);
const NOW_MS: i64 = 1_000_000;

fn record(number: u128, host_id: i32, state: State) -> CommandRecord {
    CommandRecord {
        id: Uuid::from_u128(number),
        host_id,
        host_name: "alpha".into(),
        action: json!("check"),
        name: "check".into(),
        subject: String::new(),
        user_id: Some(1),
        user_name: "admin".into(),
        asked_ms: NOW_MS,
        deadline_ms: NOW_MS + 60_000,
        state,
        cancel_requested: false,
        bulk_id: None,
        end: None,
    }
}

fn ids(numbers: &[u128]) -> Vec<Uuid> {
    numbers.iter().map(|number| Uuid::from_u128(*number)).collect()
}

fn there(host_id: i32) -> Option<Uuid> {
    (host_id == 1).then_some(AGENT)
}

#[tokio::test(start_paused = true)]
async fn what_the_database_has_as_sent_goes_and_the_rest_is_noted_first() {
    let (mut open, now) = (OpenCommands::default(), Instant::now());
    open.add(&record(1, 1, State::Queued), true);
    open.add(&record(2, 1, State::Sent), true);
    open.add(&record(3, 2, State::Sent), true);
    open.add(&record(4, 2, State::Queued), true);
    let plan = open.plan(there, now, NOW_MS);
    assert_eq!((plan.carry, plan.send), (vec![(Uuid::from_u128(2), AGENT)], ids(&[1])));
    assert_eq!(plan.next_deadline_ms, Some(NOW_MS + 60_000));
    let words: Vec<&str> = plan.waiting.iter().map(|(_, words)| words.as_str()).collect();
    assert_eq!(words, ["the host is offline; it may have begun, and will say so", "the host is offline"]);

    assert!(open.depart(Uuid::from_u128(1)).is_none(), "not before the database has it");
    open.sent(Uuid::from_u128(1), false);
    let departure = open.depart(Uuid::from_u128(1)).expect("goes");
    assert!(open.depart(Uuid::from_u128(1)).is_none(), "one stream at a time");
    assert!(!*departure.cancel.borrow());
    open.cancel(Uuid::from_u128(1));
    assert!(*departure.cancel.borrow());
    assert_eq!(departure.command.action, Action::Check);
}

#[tokio::test(start_paused = true)]
async fn only_what_no_stream_has_carried_is_queued_again() {
    let (mut open, now) = (OpenCommands::default(), Instant::now());
    let id = Uuid::from_u128(1);
    open.add(&record(1, 1, State::Sent), false);
    open.depart(id).expect("goes");
    assert!(open.back(id, false, "too old".into(), now), "asked a moment ago, and not heard");
    assert_eq!(open.plan(there, now, NOW_MS).waiting, [(id, "too old".to_owned())]);
    let plan = open.plan(there, now + ASK_AGAIN_FIRST, NOW_MS);
    assert_eq!((plan.send, plan.carry), (vec![id], vec![]));
    open.sent(id, false);
    open.depart(id).expect("goes again");
    assert!(!open.back(id, true, "lost".into(), now), "from now on only its host knows");
    open.try_all_again();
    open.depart(id).expect("goes again");
    assert!(!open.back(id, false, "not opened".into(), now));
    assert!(open.plan(there, now, NOW_MS).next.is_some_and(|next| next > now));
    let mut restarted = OpenCommands::default();
    restarted.add(&record(1, 1, State::Sent), true);
    restarted.depart(id).expect("goes");
    assert!(!restarted.back(id, false, "not opened".into(), now), "an earlier start may have handed it over");
}

#[tokio::test(start_paused = true)]
async fn a_host_has_so_many_under_way_and_stops_in_an_emergency_all_the_same() {
    let (mut open, now) = (OpenCommands::default(), Instant::now());
    let count = HANDED_PER_HOST as u128 + 2;
    for number in 1..=count {
        open.add(&record(number, 1, State::Sent), true);
    }
    let plan = open.plan(there, now, NOW_MS);
    assert_eq!((plan.carry.len(), plan.waiting.len()), (HANDED_PER_HOST, 2));
    plan.carry.iter().for_each(|(id, _)| drop(open.depart(*id)));
    assert!(!open.has_stream(1) && open.has_stream(2));
    let stop =
        CommandRecord { action: json!({ "emergency_stop": { "pattern": "all" } }), ..record(99, 1, State::Sent) };
    open.add(&stop, true);
    assert_eq!(open.plan(there, now, NOW_MS).carry, [(Uuid::from_u128(99), AGENT)]);
    ids(&[1, 2]).into_iter().for_each(|id| open.told(id));
    let carry: Vec<Uuid> = open.plan(there, now, NOW_MS).carry.into_iter().map(|(id, _)| id).collect();
    let next = HANDED_PER_HOST as u128 + 1;
    assert_eq!(carry, ids(&[99, next]), "those that have told their results make room, and are not asked again");
}

#[tokio::test(start_paused = true)]
async fn room_is_bounded_for_one_host_and_for_all() {
    let mut open = OpenCommands::default();
    for number in 0..OPEN_PER_HOST as u128 {
        open.add(&record(number, 1, State::Queued), true);
    }
    let emergency = Action::EmergencyStop { pattern: "all".into() };
    for number in 200..300 {
        open.add(&CommandRecord { bulk_id: Some(AGENT), ..record(number, 1, State::Queued) }, true);
        open.add(&CommandRecord { bulk_id: Some(AGENT), ..record(number + 100, 5, State::Queued) }, true);
    }
    assert_eq!(open.room(5, &Action::Check), Ok(()), "bulks have bounds of their own");
    assert_eq!(open.room(1, &Action::Check), Err(Full::Host));
    assert_eq!((open.room(1, &emergency), open.room(2, &Action::Check)), (Ok(()), Ok(())));
    let stop = |number| CommandRecord {
        action: json!({ "emergency_stop": { "pattern": "all" } }),
        ..record(500 + number, 1, State::Queued)
    };
    for number in 0..EMERGENCY_ROOM as u128 {
        assert_eq!(open.room(1, &emergency), Ok(()), "no other command takes its room");
        open.add(&stop(number), true);
    }
    assert_eq!(open.room(1, &emergency), Err(Full::Host));
    for number in 0..OPEN_COMMANDS as u128 {
        open.add(&record(1_000 + number, 2 + number as i32, State::Queued), true);
    }
    assert_eq!((open.room(-1, &Action::Check), open.room(-1, &emergency)), (Err(Full::All), Err(Full::All)));
}

#[tokio::test(start_paused = true)]
async fn an_action_of_a_newer_controller_is_left_to_it() {
    let mut open = OpenCommands::default();
    open.add(&CommandRecord { action: json!({ "dance": {} }), ..record(1, 1, State::Sent) }, true);
    let plan = open.plan(there, Instant::now(), NOW_MS);
    assert!(plan.carry.is_empty() && plan.waiting[0].1.contains("newer"));
}
