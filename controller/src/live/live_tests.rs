use super::presence::HostState;
use super::*;
use fleetlight_protocol::document::{Body, HostDocument};
use fleetlight_protocol::event::{Fact, Severity};
use fleetlight_protocol::samples::{EntityKind, HostSample, Sample};
use serde_json::Value;
use tokio::time::Instant;

const HOST: i32 = 7;

fn live() -> Arc<Live> {
    let live = Arc::new(Live::default());
    live.restore(known(HOST, "alpha"));
    live
}

fn known(id: i32, name: &str) -> KnownHost {
    KnownHost { id, name: name.into(), last_seen_ms: Some(1), ..KnownHost::default() }
}

fn connect(live: &Live) {
    let address = "192.0.2.1".into();
    live.connected(HOST, Connected { agent_id: Uuid::nil(), address, agent_version: "0.1.0".into(), at_ms: 5 });
}

fn sample(live: &Live, tick_ms: i64, cpu_percent: f64) {
    let row = HostSample { cpu_percent: Some(cpu_percent), ..HostSample::default() }.row("");
    live.samples(HOST, tick_ms, tick_ms + 20, &[row]);
}

fn event(number: u128) -> Event {
    Event {
        id: Uuid::from_u128(number),
        at_ms: 1,
        kind: EntityKind::Container,
        key: "c0".into(),
        subject: "web".into(),
        severity: Severity::Warn,
        fact: Fact::ContainerDied { exit_code: Some(1), oom_killed: false, last_lines: Vec::new() },
    }
}

/// The next message as name and data.
async fn next(subscription: &mut Subscription) -> (&'static str, Value) {
    let message = tokio::time::timeout(Duration::from_secs(60), subscription.next()).await.expect("a message");
    (message.name(), serde_json::from_str(message.json()).unwrap())
}

/// What is there now, without waiting.
async fn names(subscription: &mut Subscription) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Ok(message) = tokio::time::timeout(Duration::ZERO, subscription.next()).await {
        names.push(message.name());
    }
    names
}

#[tokio::test(start_paused = true)]
async fn states_change_on_time_with_nobody_asking() {
    let live = live();
    let stop = CancellationToken::new();
    let ticking = tokio::spawn({
        let (live, stop) = (Arc::clone(&live), stop.clone());
        async move { live.run(stop).await }
    });
    let mut watcher = live.watch(None, None).unwrap();
    let (name, fleet) = next(&mut watcher).await;
    assert_eq!((name, &fleet["hosts"][0]["state"]), ("fleet", &Value::from("offline")));
    connect(&live);
    sample(&live, 5_000, 1.0);
    let start = Instant::now();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(state, _)| state != "offline") {
        let (name, host) = next(&mut watcher).await;
        assert_eq!(name, "host");
        let state = host["state"].as_str().unwrap().to_owned();
        if seen.last().is_none_or(|(last, _)| *last != state) {
            seen.push((state, start.elapsed().as_secs()));
        }
    }
    let [online, stale, offline] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(*online, ("online".to_owned(), 0));
    assert!(stale.0 == "stale" && (15..=16).contains(&stale.1), "{seen:?}");
    assert!(offline.0 == "offline" && (30..=31).contains(&offline.1), "{seen:?}");
    stop.cancel();
    ticking.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn numbers_wait_a_second_and_states_do_not() {
    let live = live();
    let mut watcher = live.watch(None, None).unwrap();
    connect(&live);
    assert_eq!(names(&mut watcher).await, ["fleet", "host"], "online at once");
    sample(&live, 5_000, 1.0);
    assert_eq!(names(&mut watcher).await, [""; 0], "numbers are held back");
    tokio::time::advance(HOST_MESSAGE_EVERY).await;
    live.tick();
    let (name, host) = next(&mut watcher).await;
    assert_eq!((name, &host["summary"]["cpu_percent"]), ("host", &Value::from(1.0)));
    live.disconnected(HOST, Uuid::nil(), Some("stopped".into()));
    let (_, host) = next(&mut watcher).await;
    assert_eq!(host["state"], "offline");
    assert_eq!(host["problems"][0]["severity"], "warn");
}

#[tokio::test(start_paused = true)]
async fn a_watched_host_streams_samples_documents_and_events_at_once() {
    let live = live();
    connect(&live);
    let mut watcher = live.watch(Some(HOST), None).unwrap();
    assert_eq!(next(&mut watcher).await.0, "fleet");
    let (name, detail) = next(&mut watcher).await;
    assert_eq!((name, &detail["name"], &detail["tick_ms"]), ("detail", &Value::from("alpha"), &Value::Null));
    sample(&live, 5_000, 2.5);
    let (name, samples) = next(&mut watcher).await;
    assert_eq!((name, &samples["tick_ms"], &samples["taken_ms"]), ("samples", &5_000.into(), &5_020.into()));
    assert_eq!(samples["rows"][0]["values"][0], 2.5);
    let body = Some(Body::Host(HostDocument { hostname: "a".into(), ..HostDocument::default() }));
    live.documents(HOST, &[Document { kind: EntityKind::Host, key: String::new(), observed_ms: 1, body }]);
    let (name, documents) = next(&mut watcher).await;
    assert_eq!((name, &documents["documents"][0]["body"]["hostname"]), ("documents", &Value::from("a")));
    live.events(HOST, &[event(1)]);
    let (name, told) = next(&mut watcher).await;
    assert_eq!((name, &told["fact"]), ("event", &Value::from("container_died")));
    live.events(HOST, &[event(1)]);
    assert_eq!(names(&mut watcher).await, [""; 0], "a repeated delivery is told once");
}

#[tokio::test(start_paused = true)]
async fn history_does_not_touch_the_present() {
    let live = live();
    connect(&live);
    sample(&live, 500_000, 2.5);
    live.replayed(HOST);
    assert_eq!(live.hosts()[0].state, HostState::CatchingUp);
    sample(&live, 5_000, 99.0);
    let detail = live.detail(HOST).unwrap();
    assert_eq!((detail.tick_ms, detail.rows[0].0.values[0]), (Some(500_000), Some(2.5)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_gets_the_present_anew_and_no_queue() {
    let live = live();
    connect(&live);
    let mut watcher = live.watch(Some(HOST), None).unwrap();
    assert_eq!(names(&mut watcher).await, ["fleet", "detail"]);
    for tick in 0..10 * DETAIL_RING as i64 {
        sample(&live, 5_000 * (tick + 1), 1.0);
    }
    live.events(HOST, &[event(1)]);
    let after = names(&mut watcher).await;
    assert!(after.len() < 8, "no backlog: {after:?}");
    assert!(after.contains(&"fleet") && after.contains(&"detail") && after.contains(&"event"), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_gets_the_events_in_between_once() {
    let live = live();
    connect(&live);
    live.events(HOST, &[event(1)]);
    let mut watcher = live.watch(None, None).unwrap();
    let first = watcher.next().await;
    assert_eq!(names(&mut watcher).await, [""; 0], "what was before the first visit is in the list");
    live.events(HOST, &[event(2), event(3)]);
    let mut back = live.watch(None, first.id).unwrap();
    assert_eq!(names(&mut back).await, ["fleet", "event", "event"]);
    let mut again = live.watch(None, Some(watcher.next().await.id.unwrap())).unwrap();
    assert_eq!(names(&mut again).await, ["fleet", "event"]);
}

#[tokio::test(start_paused = true)]
async fn unnamed_hosts_are_not_shown() {
    let live = live();
    let mut watcher = live.watch(Some(HOST), None).unwrap();
    live.samples(8, 1, 1, &[]);
    assert_eq!(live.hosts().len(), 1, "nobody has named it yet");
    assert!(matches!(live.watch(Some(8), None), Err(WatchError::NoSuchHost)));
    live.name(8, "beta");
    assert_eq!(live.hosts().len(), 2);
    assert_eq!(names(&mut watcher).await, ["fleet", "detail", "host"]);
}

#[tokio::test(start_paused = true)]
async fn watchers_are_counted_and_leave_no_trace() {
    let live = live();
    let watchers: Vec<_> = (0..WATCHERS).map(|_| live.watch(Some(HOST), None).unwrap()).collect();
    assert!(matches!(live.watch(None, None), Err(WatchError::TooMany)));
    drop(watchers);
    live.tick();
    assert!(live.lock().hosts[&HOST].detail.is_none());
    assert!(live.watch(None, None).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_worst_host_stands_first() {
    let live = Arc::new(Live::default());
    for (id, name) in [(1, "b"), (HOST, "c"), (3, "a")] {
        live.restore(known(id, name));
    }
    connect(&live);
    let names: Vec<_> = live.hosts().iter().map(|host| host.name.clone()).collect();
    assert_eq!(names, ["a", "b", "c"], "offline ones first, by name");
    assert_eq!(live.hosts()[2].state, HostState::Online);
}

#[tokio::test(start_paused = true)]
async fn a_restored_host_is_offline_with_what_it_last_said() {
    let live = Arc::new(Live::default());
    let body = Some(Body::Host(HostDocument { agent_version: "0.0.9".into(), ..HostDocument::default() }));
    live.restore(KnownHost {
        documents: vec![Document { kind: EntityKind::Host, key: String::new(), observed_ms: 1, body }],
        tick_ms: Some(5_000),
        rows: vec![HostSample { cpu_percent: Some(3.0), ..HostSample::default() }.row("")],
        events: vec![event(1)],
        ..known(HOST, "alpha")
    });
    let host = live.hosts()[0].clone();
    assert_eq!((host.state, host.last_seen_ms, host.summary.cpu_percent), (HostState::Offline, Some(1), Some(3.0)));
    assert_eq!(host.agent_version.as_deref(), Some("0.0.9"));
    let mut watcher = live.watch(None, None).unwrap();
    live.events(HOST, &[event(1)]);
    connect(&live);
    assert_eq!(names(&mut watcher).await, ["fleet", "host"], "an event from before the start is no news");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_ran_ahead_and_was_set_back_holds_nothing_up() {
    let live = live();
    connect(&live);
    let now_ms = Now::take().wall_ms;
    sample(&live, now_ms + 3_600_000, 1.0);
    let document = |observed_ms, hostname: &str| {
        let body = Some(Body::Host(HostDocument { hostname: hostname.into(), ..HostDocument::default() }));
        live.documents(HOST, &[Document { kind: EntityKind::Host, key: String::new(), observed_ms, body }]);
    };
    document(now_ms + 3_600_000, "ahead");
    sample(&live, now_ms, 2.0);
    tokio::time::sleep(Duration::from_millis(1)).await;
    document(Now::take().wall_ms, "right");
    let detail = live.detail(HOST).unwrap();
    assert_eq!((detail.tick_ms, detail.rows[0].0.values[0]), (Some(now_ms), Some(2.0)));
    assert!(serde_json::to_string(&detail.documents).unwrap().contains("right"));
}
