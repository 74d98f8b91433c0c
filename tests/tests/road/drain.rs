//! The way back after a long absence: live first, history behind it, each tick once, whatever its clock said and
//! however often the agent is killed.

use super::{Client, SECOND, System, every_second, host, host_id, now_ms};
use fleetlight_tests::past::{self, BusyHost, MARK, TICKS_PER_EVENT};
use fleetlight_tests::system::{Options, PASSWORD};
use sqlx::{Connection, PgConnection};
use std::time::Instant;

const HOUR_MS: i64 = 3_600_000;
const TEN_YEARS_MS: i64 = 3_652 * 24 * HOUR_MS;
const TICKS: i64 = 2_400;
/// How many of them bear a time ten years off.
const ABSURD: i64 = 400;

/// A host's clock over 3 h 20 min: right, an hour ahead, right, an hour behind, ten years ahead, ten years behind,
/// right. No two ticks bear the same time.
fn times(begin_ms: i64) -> Vec<i64> {
    let off = |tick| match tick {
        400..600 => HOUR_MS + 1_000,
        800..1_000 => -HOUR_MS - 1_000,
        1_200..1_400 => TEN_YEARS_MS,
        1_400..1_600 => -TEN_YEARS_MS,
        _ => 0,
    };
    (0..TICKS).map(|tick| begin_ms + 5_000 * tick + off(tick)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_drains_behind_the_present_across_kills_and_steps_of_the_clock() {
    let mut system = System::start("drain", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let mut agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    agent.process().expect("runs").kill().expect("killed");
    system.controller().expect("runs").kill().expect("killed");
    let times = times((now_ms() - 6 * HOUR_MS) / 5_000 * 5_000);
    past::leave(&system.dir().join("here"), "here", &times, &mut BusyHost::new(1, 4, 20)).expect("a spool");
    agent.start().expect("starts again");
    system.start_controller().expect("starts again");
    let client = Client::new(&system.origin()).expect("client");
    let login = serde_json::json!({ "name": "admin", "password": PASSWORD });
    client.post("login", &login).await.expect("the password was kept");

    let mut stream = client.stream(Some(id)).await.expect("a stream");
    let (tick_ms, taken_ms) = stream
        .wait(20 * SECOND, |name, data| {
            (name == "samples").then(|| Some((data["tick_ms"].as_i64()?, data["taken_ms"].as_i64()?)))?
        })
        .await
        .expect("samples");
    let left = batches_left(&client).await;
    assert!(left > TICKS / 4, "{left} batches were left of {TICKS}: nothing waited");
    assert!((0..2_000).contains(&(taken_ms - tick_ms)), "the present came {} ms late", taken_ms - tick_ms);

    client
        .wait("hosts", 30 * SECOND, |hosts| {
            let left = host(hosts, "here")?["catching_up"]["batches_left"].as_i64()?;
            (left < TICKS * 2 / 3).then_some(())
        })
        .await
        .expect("history arrives");
    agent.process().expect("runs").kill().expect("killed");
    let mut database = PgConnection::connect(&system.database_url().expect("its database")).await.expect("connects");
    assert!(stored(&mut database).await.0 < TICKS - ABSURD, "killed in the middle of it");
    agent.start().expect("starts again");
    let deadline = Instant::now() + 30 * SECOND;
    while stored(&mut database).await != (TICKS - ABSURD, TICKS - ABSURD, ABSURD) {
        assert!(Instant::now() < deadline, "rows, ticks, quarantined: {:?}", stored(&mut database).await);
        tokio::time::sleep(SECOND / 10).await;
    }
    client
        .wait("hosts", 10 * SECOND, |hosts| host(hosts, "here")?["catching_up"].is_null().then_some(()))
        .await
        .expect("it has caught up");
    let events: i64 = sqlx::query_scalar("select count(*) from events where subject = 'made'")
        .fetch_one(&mut database)
        .await
        .expect("reads");
    assert_eq!(events, TICKS / TICKS_PER_EVENT as i64);
    assert_eq!(stored(&mut database).await, (TICKS - ABSURD, TICKS - ABSURD, ABSURD), "and nothing twice");
}

async fn batches_left(client: &Client) -> i64 {
    let hosts = client.get("hosts").await.expect("hosts");
    host(&hosts, "here").and_then(|host| host["catching_up"]["batches_left"].as_i64()).unwrap_or(0)
}

/// Of the made ticks: rows of the host, different ones, and batches in quarantine for their time.
async fn stored(database: &mut PgConnection) -> (i64, i64, i64) {
    sqlx::query_as(
        "select count(*), count(distinct processes),
         (select coalesce(sum(batches), 0)::bigint from quarantine where reason = 'time')
         from host_samples where processes >= $1",
    )
    .bind(MARK as f64)
    .fetch_one(database)
    .await
    .expect("reads")
}
