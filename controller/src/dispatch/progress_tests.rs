use super::*;
use crate::store::commands::End;
use fleetlight_protocol::command::Outcome;
use serde_json::Value;

const ID: Uuid = Uuid::from_u128(1);

fn record() -> CommandRecord {
    CommandRecord {
        id: ID,
        host_id: 1,
        host_name: "alpha".into(),
        action: json!("check"),
        name: "check".into(),
        subject: String::new(),
        user_id: None,
        user_name: "admin".into(),
        asked_ms: 0,
        deadline_ms: 60_000,
        state: State::Sent,
        cancel_requested: false,
        bulk_id: None,
        end: None,
    }
}

fn followed() -> Arc<Progress> {
    let progress = Arc::new(Progress::default());
    progress.open(record(), 5);
    progress
}

fn print(progress: &Progress, text: &str) {
    progress.report(ID, CommandReport::Output { stream: OutputStream::Stdout, text: text.into() });
}

fn finished() -> CommandReport {
    CommandReport::Finished(Box::new(CommandResult {
        command: ID,
        outcome: Outcome::Verified,
        asked: "a".into(),
        observed: "o".into(),
        reason: None,
        began_ms: Some(1),
        ended_ms: 2,
        exit_code: None,
        output: Output { head: "all of it".into(), ..Output::default() },
    }))
}

async fn next(watch: &mut Watch) -> (&'static str, u64, Value) {
    let message = watch.next().await.expect("a message");
    (message.name, message.id, serde_json::from_str(&message.json).expect("JSON"))
}

#[tokio::test]
async fn a_watcher_gets_the_present_then_changes_then_the_end() {
    let progress = followed();
    print(&progress, "before");
    let mut watch = progress.watch(ID, None).expect("followed");
    let (name, _, view) = next(&mut watch).await;
    assert_eq!((name, &view["state"], &view["output"]["head"]), ("command", &json!("sent"), &json!("before")));
    progress.report(ID, CommandReport::Accepted { began_ms: 7 });
    let (_, _, view) = next(&mut watch).await;
    assert_eq!(
        (&view["state"], &view["began_ms"], &view["output"]["head"]),
        (&json!("running"), &json!(7), &json!(""))
    );
    progress.report(ID, CommandReport::Step { at_ms: 8, text: "stopped".into() });
    let (_, _, view) = next(&mut watch).await;
    assert_eq!((&view["steps"], &view["output"]), (&json!([{"at_ms": 8, "text": "stopped"}]), &Value::Null));
    print(&progress, "line\n");
    assert_eq!(next(&mut watch).await.2, json!({"stream": "stdout", "text": "line\n"}));
    progress.report(ID, finished());
    let (_, _, view) = next(&mut watch).await;
    assert_eq!(
        (&view["state"], &view["outcome"], &view["output"]["head"]),
        (&json!("finished"), &json!("verified"), &json!("all of it"))
    );
    assert!(watch.next().await.is_none());
    let mut late = progress.watch(ID, None).expect("followed");
    assert_eq!(next(&mut late).await.2["outcome"], "verified");
    assert!(late.next().await.is_none());
}

#[tokio::test]
async fn who_comes_back_gets_what_was_printed_meanwhile_or_all_of_it() {
    let progress = followed();
    let mut watch = progress.watch(ID, None).expect("followed");
    next(&mut watch).await;
    print(&progress, "one");
    let (_, seen, _) = next(&mut watch).await;
    drop(watch);
    print(&progress, "two");
    progress.report(ID, CommandReport::Step { at_ms: 8, text: "stopped".into() });
    let mut back = progress.watch(ID, Some(seen)).expect("followed");
    let (name, _, view) = next(&mut back).await;
    assert_eq!((name, &view["output"]), ("command", &Value::Null), "it has what came before");
    assert_eq!(next(&mut back).await.2["text"], "two");
    print(&progress, "three");
    assert_eq!(next(&mut back).await.2["text"], "three");

    let piece = "x".repeat(OUTPUT_CHUNK_BYTES);
    (0..RECENT_OUTPUT_BYTES / OUTPUT_CHUNK_BYTES + 1).for_each(|_| print(&progress, &piece));
    for gone in [Some(seen), Some(1), Some(u64::MAX), None] {
        let mut back = progress.watch(ID, gone).expect("followed");
        let (_, _, view) = next(&mut back).await;
        assert!(view["output"]["head"].as_str().expect("text").starts_with("onetwothree"), "{gone:?}");
    }
}

#[tokio::test]
async fn who_falls_behind_gets_it_whole() {
    let progress = followed();
    let mut watch = progress.watch(ID, None).expect("followed");
    next(&mut watch).await;
    (0..COMMAND_RING * 2).for_each(|number| print(&progress, &format!("{number} ")));
    let (name, _, view) = next(&mut watch).await;
    assert_eq!(name, "command");
    assert!(view["output"]["head"].as_str().expect("text").ends_with(&format!(" {} ", COMMAND_RING * 2 - 1)));
}

#[tokio::test(start_paused = true)]
async fn what_the_database_closed_is_told_and_let_go_a_while_later() {
    let progress = followed();
    let mut watch = progress.watch(ID, None).expect("followed");
    next(&mut watch).await;
    progress.waits(ID, Some("the host is offline"));
    progress.waits(ID, Some("the host is offline"));
    assert_eq!(next(&mut watch).await.2["waiting_for"], "the host is offline");
    let end = End { closed_ms: 9, outcome: "expired".into(), reason: Some("late".into()), ..End::default() };
    progress.close(CommandRecord { state: State::Finished, end: Some(end), ..record() });
    let (_, _, view) = next(&mut watch).await;
    assert_eq!((&view["outcome"], &view["waiting_for"]), (&json!("expired"), &Value::Null));
    assert!(watch.next().await.is_none());
    progress.forget_closed();
    assert!(progress.view(ID).is_some());
    tokio::time::advance(TRACK_KEPT).await;
    progress.forget_closed();
    assert!(progress.view(ID).is_none());
}
