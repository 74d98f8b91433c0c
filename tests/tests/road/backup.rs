//! A backup and its restoring, by the commands that docs/backup.md shows: what the agents acknowledged
//! after the backup is there again, though their keys are newer than it.

use super::{SECOND, every_second, host_id, now_ms, odd_steps, stored_ticks};
use fleetlight_tests::client::Client;
use fleetlight_tests::clock::FalseClock;
use fleetlight_tests::past::{self, BusyHost, TICKS_PER_EVENT};
use fleetlight_tests::postgres;
use fleetlight_tests::sim_agent::Folder;
use fleetlight_tests::system::{Agent, AgentOptions, Options, PASSWORD, System};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;
use uuid::Uuid;

const HOUR_MS: i64 = 3_600_000;
/// Later, a certificate of seven days is renewed at once, and can still be used.
const RENEWAL_DUE_MS: i64 = 5 * 24 * HOUR_MS;
/// What hosts send between the backup and the restore, of the six hours before this.
const TICKS: usize = 720;
const TICK_MS: i64 = 30_000;
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What the document's commands name, and a test has elsewhere.
const STATE: &str = "/var/lib/fleetlight";
const BACKUP: &str = "/srv/backup/monday";
const URL: &str = "postgres://fleetlight@db.example.org/fleetlight";

/// A controller's place, and the database that it was given.
struct Site {
    state: PathBuf,
    url: Option<String>,
}

impl Site {
    fn of(system: &System, url: Option<String>) -> Self {
        Self { state: system.dir().join("controller"), url }
    }

    /// Runs the documented command that has this script, on our folders, as ourselves.
    fn run(&self, script: &str, backup: &Path) -> Output {
        let document = fs::read_to_string(format!("{REPOSITORY}/docs/backup.md")).expect("the document");
        let with_url = |line: &&str| line.contains(URL) == self.url.is_some();
        let shown = document.lines().filter(|line| line.contains(&format!("scripts/{script} /"))).find(with_url);
        let quoted = |text: &str| format!("'{text}'");
        let line = shown.expect("a command").replace("sudo -u fleetlight ", "");
        let line = line.replace(BACKUP, &quoted(&backup.display().to_string()));
        let line = line.replace(STATE, &quoted(&self.state.display().to_string()));
        let line = line.replace(URL, &quoted(self.url.as_deref().unwrap_or_default()));
        Command::new("sh").args(["-c", &line]).current_dir(REPOSITORY).output().expect("runs")
    }

    fn succeeds(&self, script: &str, backup: &Path) {
        let output = self.run(script, backup);
        assert!(output.status.success(), "{script}: {}", said(&output));
    }

    /// Refused, in words with `why`, and nothing was changed.
    fn refuses(&self, backup: &Path, why: &str) {
        let output = self.run("restore.sh", backup);
        let said = said(&output);
        assert!(!output.status.success(), "it restores: {said}");
        assert!(said.contains(why) && said.contains("nothing was changed"), "no word of {why:?}: {said}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A copy of a backup of which one file is cut short.
fn cut_short(backup: &Path, file: &str) -> PathBuf {
    let copy = backup.with_extension("cut");
    let _ = fs::remove_dir_all(&copy);
    let copied = Command::new("cp").arg("-r").args([backup, &copy]).status().expect("cp runs");
    assert!(copied.success());
    let file = fs::File::options().write(true).open(copy.join(file)).expect("the file");
    file.set_len(file.metadata().expect("its length").len() * 9 / 10).expect("cut");
    copy
}

/// Waits until the host's samples are stored, one a second without a gap, up to `last_ms` and past it.
async fn complete_past(url: &str, host_id: i64, last_ms: i64) -> Vec<i64> {
    let mut database = PgConnection::connect(url).await.expect("connects");
    let deadline = Instant::now() + 20 * SECOND;
    loop {
        let ticks = stored_ticks(&mut database, host_id).await;
        if ticks.last().is_some_and(|last| *last > last_ms) && odd_steps(&ticks).is_empty() {
            return ticks;
        }
        assert!(Instant::now() < deadline, "steps that are no second: {:?} ms of {ticks:?}", odd_steps(&ticks));
        tokio::time::sleep(SECOND / 10).await;
    }
}

/// The restored controller knows the password, and its agent, who sends what the backup lacks of the ticks before.
async fn is_whole_again(system: &System, url: &str, id: i64, before: &[i64]) {
    let client = Client::new(&system.origin()).expect("client");
    let login = serde_json::json!({ "name": "admin", "password": PASSWORD });
    client.post("login", &login).await.expect("the password is the backup's");
    assert_eq!(host_id(&client, "here").await, id);
    let back_ms = now_ms();
    let ticks = complete_past(url, id, back_ms).await;
    assert!(before.iter().all(|tick| ticks.contains(tick)), "of {before:?} there is only {ticks:?}");
}

/// What is stored of a host: times of its own samples, and its events.
#[derive(Debug)]
struct Held {
    ticks: BTreeSet<i64>,
    events: BTreeSet<Uuid>,
}

impl Held {
    async fn of(database: &mut PgConnection, host_id: i64) -> Self {
        let ticks: Vec<i64> = sqlx::query_scalar("select ms_of(ts) from host_samples where host_id = $1")
            .bind(host_id as i32)
            .fetch_all(&mut *database)
            .await
            .expect("reads");
        let events: Vec<Uuid> = sqlx::query_scalar("select id from events where host_id = $1")
            .bind(host_id as i32)
            .fetch_all(database)
            .await
            .expect("reads");
        let held = Self { ticks: ticks.iter().copied().collect(), events: events.iter().copied().collect() };
        assert_eq!(held.ticks.len(), ticks.len(), "a tick is there twice");
        held
    }

    /// How many ticks and events of `other` are missing.
    fn lacks(&self, other: &Self) -> (usize, usize) {
        (other.ticks.difference(&self.ticks).count(), other.events.difference(&self.events).count())
    }
}

/// Waits until nothing of `expected` is missing, so many events are there, and the host sends its present.
async fn until_whole(url: &str, host_id: i64, expected: &Held, events: usize) -> Held {
    let mut database = PgConnection::connect(url).await.expect("connects");
    let (deadline, began_ms) = (Instant::now() + 60 * SECOND, now_ms());
    loop {
        let held = Held::of(&mut database, host_id).await;
        let is_present = held.ticks.last().is_some_and(|last| *last > began_ms);
        if is_present && held.lacks(expected) == (0, 0) && held.events.len() >= events {
            return held;
        }
        let (ticks, missing) = (held.ticks.len(), held.lacks(expected));
        assert!(Instant::now() < deadline, "{ticks} ticks, {} events, missing: {missing:?}", held.events.len());
        tokio::time::sleep(SECOND / 5).await;
    }
}

fn start_again(agent: &mut Agent) {
    agent.process().expect("runs").kill().expect("killed");
    agent.start().expect("starts again");
}

/// Waits until the agent has said so for this many times.
async fn until_said(agent: &Agent, words: &str, times: usize) {
    let deadline = Instant::now() + 20 * SECOND;
    while agent.log().matches(words).count() < times {
        assert!(Instant::now() < deadline, "it does not say {words:?} {times} times:\n{}", agent.log());
        tokio::time::sleep(SECOND / 20).await;
    }
}

async fn keys(url: &str) -> (i64, i64) {
    let mut database = PgConnection::connect(url).await.expect("connects");
    let counts = sqlx::query_as("select (select count(*) from agents), (select count(*) from agent_keys)");
    counts.fetch_one(&mut database).await.expect("reads")
}

const RENEWED: &str = "certificate renewed with a new key";
const FORMER: &str = "the controller does not know this host's key, but one before it";

#[tokio::test(flavor = "multi_thread")]
async fn an_old_backup_is_made_whole_by_agents_whose_keys_it_never_saw() {
    let folder = Folder::new().expect("a folder");
    let clock = FalseClock::new(&folder.path().join("clock"));
    clock.set(-RENEWAL_DUE_MS).expect("set");
    let env = clock.env().expect("the stub");
    let options = Options { env: env.clone(), ..Options::default() };
    let mut system = System::start("backup", &options).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let mut agent = system.agent("here", &AgentOptions { env, ..every_second() }).expect("agent");
    let id = host_id(&client, "here").await;
    agent.process().expect("runs").stop().expect("stops");
    let site = Site::of(&system, None);
    let backup = system.dir().join("saved");
    site.succeeds("backup.sh", &backup);
    site.refuses(&backup, "a controller (process");
    system.controller().expect("runs").stop().expect("stops");

    // Days later; the agent was cut off for the last hours of them.
    clock.set(0).expect("set");
    let begin_ms = now_ms() / TICK_MS * TICK_MS - (TICKS as i64 + 6) * TICK_MS;
    let times: Vec<i64> = (0..TICKS as i64).map(|tick| begin_ms + tick * TICK_MS).collect();
    past::leave(&system.dir().join("here"), "here", &times, &mut BusyHost::new(1, 1, 2)).expect("a spool");
    system.start_controller().expect("starts again");
    agent.start().expect("starts again");
    until_said(&agent, RENEWED, 1).await;
    start_again(&mut agent);
    let url = system.database_url().expect("runs");
    let made = Held { ticks: times.into_iter().collect(), events: BTreeSet::new() };
    let before = until_whole(&url, id, &made, TICKS / TICKS_PER_EVENT).await;
    assert_eq!(keys(&url).await, (1, 1), "the first use of the new key ended the one that the backup knows");

    system.controller().expect("runs").stop().expect("stops");
    site.refuses(&backup, "holds data already");
    fs::rename(&site.state, site.state.with_extension("before")).expect("moved away");
    site.refuses(&cut_short(&backup, "postgres/base.tar.gz"), "damaged or cut short");
    assert!(!site.state.exists(), "nothing was changed");
    site.succeeds("restore.sh", &backup);
    let mode = fs::metadata(&site.state).expect("is back").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "as a controller makes it");
    system.start_controller().expect("starts on what was restored");
    let url = system.database_url().expect("runs");
    until_whole(&url, id, &before, 0).await;
    until_said(&agent, RENEWED, 2).await;
    start_again(&mut agent);
    until_whole(&url, id, &before, 0).await;
    assert_eq!(agent.log().matches(FORMER).count(), 1, "once, and then it is known again");
    assert_eq!(keys(&url).await, (1, 1), "it is the same agent, with its third key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_of_ones_own_gets_what_it_lacks_from_the_agents() {
    let url = postgres::database().await.expect("a database");
    let options = Options { extra: format!("database_url = {url:?}"), ..Options::default() };
    let mut system = System::start("dump", &options).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let _agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    let site = Site::of(&system, Some(url.clone()));
    let backup = system.dir().join("saved");
    execute(&url, "drop role if exists backup_reader; create role backup_reader").await;
    execute(&url, "grant select on hosts to backup_reader").await;
    site.succeeds("backup.sh", &backup);
    let saved_ms = now_ms();
    let before = complete_past(&url, id, saved_ms + 2_000).await;
    site.refuses(&backup, "a controller uses the database");
    system.controller().expect("runs").stop().expect("stops");
    site.refuses(&backup, "is not empty");
    // As on another server, which knows nobody that the old one had granted anything.
    execute(&url, "drop schema public cascade; create schema public; drop role backup_reader").await;
    fs::remove_dir_all(&site.state).expect("removed");
    site.refuses(&cut_short(&backup, "database.dump"), "cut short");
    assert!(!site.state.exists(), "nothing was changed");
    site.succeeds("restore.sh", &backup);
    system.start_controller().expect("starts on what was restored");
    is_whole_again(&system, &url, id, &before).await;
}

async fn execute(url: &str, sql: &'static str) {
    let mut database = PgConnection::connect(url).await.expect("connects");
    sqlx::raw_sql(sql).execute(&mut database).await.expect("done");
}
