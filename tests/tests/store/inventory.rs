//! Documents with validity times: the present, the past, and late news.

use crate::{Agent, Fixture, NOW_MS};
use fleetlight_controller::store::flush::Data;
use fleetlight_protocol::document::{Body, CollectorDocument, Document, GpuDocument, fingerprint};
use fleetlight_protocol::samples::EntityKind;
use uuid::Uuid;

fn document(key: &str, observed_ms: i64, reason: Option<&str>) -> Document {
    let body = reason.map(|reason| Body::Collector(CollectorDocument { reason: reason.into(), ..Default::default() }));
    Document { kind: EntityKind::Collector, key: key.into(), observed_ms, body }
}

/// `key=reason` of all that was true at a moment.
async fn at(fixture: &Fixture, host_id: i32, ms: Option<i64>) -> Vec<String> {
    let documents = fixture.store.documents(host_id, ms).await.expect("read");
    let text = |document: &Document| match &document.body {
        Some(Body::Collector(body)) => format!("{}={}", document.key, body.reason),
        other => panic!("not what was stored: {other:?}"),
    };
    documents.iter().map(text).collect()
}

#[tokio::test]
async fn any_past_moment_can_be_rebuilt() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let say = async |seq: u64, documents: Vec<Document>| {
        fixture.flush(&[agent.batch(seq, Data::Documents(documents))]).await;
    };
    let t = |seconds: i64| NOW_MS - 100_000 + seconds * 1_000;
    say(1, vec![document("gpu", t(10), Some("ok")), document("host", t(10), Some("ok"))]).await;
    say(2, vec![document("gpu", t(30), Some("stuck"))]).await;
    say(3, vec![document("gpu", t(40), Some("stuck"))]).await;
    say(4, vec![document("gpu", t(50), None)]).await;
    say(5, vec![document("gpu", t(60), Some("back"))]).await;
    // Late, from before a restart of the controller; and one that was already known.
    say(6, vec![document("gpu", t(20), Some("slow")), document("gpu", t(30), Some("stuck"))]).await;

    let history = async |seconds| at(&fixture, agent.host_id, Some(t(seconds))).await;
    assert!(history(9).await.is_empty());
    assert_eq!(history(10).await, ["gpu=ok", "host=ok"]);
    assert_eq!(history(19).await, ["gpu=ok", "host=ok"]);
    assert_eq!(history(20).await, ["gpu=slow", "host=ok"]);
    assert_eq!(history(30).await, ["gpu=stuck", "host=ok"]);
    assert_eq!(history(49).await, ["gpu=stuck", "host=ok"]);
    assert_eq!(history(50).await, ["host=ok"]);
    assert_eq!(history(60).await, ["gpu=back", "host=ok"]);
    assert_eq!(at(&fixture, agent.host_id, None).await, ["gpu=back", "host=ok"]);
    assert_eq!(fixture.count("inventory where key = 'gpu'").await, 4, "nothing new is no new row");
}

#[tokio::test]
async fn late_news_does_not_change_the_present() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let news = vec![
        document("gpu", NOW_MS - 10_000, Some("now")),
        document("gpu", NOW_MS - 90_000, Some("then")),
        document("gpu", NOW_MS - 50_000, None),
    ];
    fixture.flush(&[agent.batch(1, Data::Documents(news))]).await;
    assert_eq!(at(&fixture, agent.host_id, None).await, ["gpu=now"]);
    assert_eq!(at(&fixture, agent.host_id, Some(NOW_MS - 60_000)).await, ["gpu=then"]);
    assert!(at(&fixture, agent.host_id, Some(NOW_MS - 40_000)).await.is_empty());
    // The later word about one and the same moment counts.
    fixture.flush(&[agent.batch(2, Data::Documents(vec![document("gpu", NOW_MS - 10_000, Some("corrected"))]))]).await;
    assert_eq!(at(&fixture, agent.host_id, None).await, ["gpu=corrected"]);
}

#[tokio::test]
async fn only_kinds_that_differ_are_wanted() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let gpu = Body::Gpu(Box::new(GpuDocument {
        uuid: "GPU-1".into(),
        power_limit_default_watts: Some(699.9),
        supported: vec!["power_watts".into()],
        ..Default::default()
    }));
    let said = Document { kind: EntityKind::Gpu, key: "GPU-1".into(), observed_ms: NOW_MS, body: Some(gpu.clone()) };
    fixture.flush(&[agent.batch(1, Data::Documents(vec![said, document("gpu", NOW_MS, Some("ok"))]))]).await;
    let other = Body::Collector(CollectorDocument { reason: "other".into(), ..Default::default() });
    let hashes = [
        (EntityKind::Gpu, fingerprint([("GPU-1", &gpu)])),
        (EntityKind::Collector, fingerprint([("gpu", &other)])),
        (EntityKind::Mount, fingerprint([])),
    ];
    let wanted = fixture.store.differing(agent.host_id, &hashes).await.expect("asked");
    assert_eq!(wanted, [EntityKind::Collector]);
}

#[tokio::test]
async fn what_a_restarted_agent_does_not_say_again_has_ended() {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let bystander = Agent::new(fixture.host("beta").await);
    let both = || vec![document("kept", NOW_MS - 60_000, Some("ok")), document("gone", NOW_MS - 60_000, Some("ok"))];
    let before = NOW_MS - 50_000;
    let batches = [
        agent.tick(1, before),
        agent.batch(2, Data::Documents(both())),
        bystander.tick(1, before),
        bystander.batch(2, Data::Documents(both())),
    ];
    fixture.store.flush(&batches, before).await.expect("flushes");
    // It restarts: the first live sample of the new epoch, and what is still there; then a
    // straggler of the old epoch.
    let restarted = Agent { epoch: Uuid::new_v4(), ..agent };
    let mut straggler = agent.tick(3, before);
    straggler.live = false;
    let again = restarted.batch(2, Data::Documents(vec![document("kept", NOW_MS, Some("ok"))]));
    fixture.flush(&[restarted.tick(1, NOW_MS), again, straggler]).await;

    assert_eq!(fixture.store.end_unconfirmed(NOW_MS + 60_000).await.expect("looked"), [], "it still has time");
    let ended = fixture.store.end_unconfirmed(NOW_MS + 120_000).await.expect("looked");
    assert_eq!(ended, [(agent.host_id, document("gone", NOW_MS, None))]);
    assert_eq!(at(&fixture, agent.host_id, None).await, ["kept=ok"]);
    assert_eq!(at(&fixture, agent.host_id, Some(NOW_MS - 1)).await, ["gone=ok", "kept=ok"]);
    assert_eq!(at(&fixture, bystander.host_id, None).await, ["gone=ok", "kept=ok"], "no restart, no doubt");
}
