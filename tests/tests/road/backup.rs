//! A backup and its restoring, by the commands that docs/backup.md shows: what the agents acknowledged
//! after the backup is there again.

use super::{SECOND, every_second, host_id, odd_steps, stored_ticks};
use fleetlight_tests::client::Client;
use fleetlight_tests::postgres;
use fleetlight_tests::system::{Options, PASSWORD, System};
use sqlx::{Connection, PgConnection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

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
    let back_ms = super::now_ms();
    let ticks = complete_past(url, id, back_ms).await;
    assert!(before.iter().all(|tick| ticks.contains(tick)), "of {before:?} there is only {ticks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_private_postgres_gets_what_it_lacks_from_the_agents() {
    let mut system = System::start("backup", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let _agent = system.agent("here", &every_second()).expect("agent");
    let id = host_id(&client, "here").await;
    let site = Site::of(&system, None);
    let backup = system.dir().join("saved");
    site.succeeds("backup.sh", &backup);
    let saved_ms = super::now_ms();
    let before = complete_past(&system.database_url().expect("runs"), id, saved_ms + 2_000).await;
    site.refuses(&backup, "a controller (process");
    system.controller().expect("runs").stop().expect("stops");
    site.refuses(&backup, "holds data already");
    fs::rename(&site.state, site.state.with_extension("before")).expect("moved away");
    site.refuses(&cut_short(&backup, "postgres/base.tar.gz"), "damaged or cut short");
    assert!(!site.state.exists(), "nothing was changed");
    site.succeeds("restore.sh", &backup);
    system.start_controller().expect("starts on what was restored");
    is_whole_again(&system, &system.database_url().expect("runs"), id, &before).await;
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
    let saved_ms = super::now_ms();
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
