//! The private Postgres: start, refuse, restart, survive a killed controller.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use fleetlight_controller::postgres::{PostgresError, PrivatePostgres};
use sqlx::{Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A folder that is removed with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/var/tmp/fleetlight-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn postmaster(folder: &Path) -> Option<i32> {
    std::fs::read_to_string(folder.join("postgres/data/postmaster.pid")).ok()?.lines().next()?.parse().ok()
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("{what}: not within 60 s"));
}

async fn answers(url: &str) -> bool {
    let Ok(mut connection) = PgConnection::connect(url).await else { return false };
    sqlx::query_scalar::<_, i32>("select 1").fetch_one(&mut connection).await.is_ok()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
}

#[tokio::test]
async fn it_starts_keeps_its_data_and_stops() {
    // Too long for a socket inside: it goes elsewhere.
    let folder = Folder::new(&format!("start-{}", "x".repeat(80)));
    let path = folder.0.join("postgres");
    let postgres = PrivatePostgres::start(&path).await.expect("starts");
    let mut connection = PgConnection::connect(postgres.url()).await.expect("connects");
    let tcp: String = sqlx::query_scalar("show listen_addresses").fetch_one(&mut connection).await.expect("shown");
    assert_eq!(tcp, "", "no TCP");
    sqlx::query("create table kept (n int)").execute(&mut connection).await.expect("made");
    drop(connection);

    let refused = PrivatePostgres::start(&path).await.expect_err("one controller a folder");
    assert!(matches!(&refused, PostgresError::Locked { holder, .. } if *holder == std::process::id().to_string()));

    postgres.stop().await;
    assert_eq!(postmaster(&folder.0), None, "stopped cleanly");
    let postgres = PrivatePostgres::start(&path).await.expect("starts again");
    let mut connection = PgConnection::connect(postgres.url()).await.expect("connects");
    let kept: i64 =
        sqlx::query_scalar("select count(*) from kept").fetch_one(&mut connection).await.expect("still there");
    assert_eq!(kept, 0);
    drop(connection);
    postgres.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_is_started_again() {
    let folder = Folder::new("dies");
    let postgres = PrivatePostgres::start(&folder.0.join("postgres")).await.expect("starts");
    let first = postmaster(&folder.0).expect("runs");
    kill(first);
    eventually("another server", async || postmaster(&folder.0) != Some(first) && answers(postgres.url()).await).await;
    postgres.stop().await;
}

#[tokio::test]
async fn data_of_another_version_is_refused_in_words() {
    let folder = Folder::new("version");
    let data = folder.0.join("postgres/data");
    std::fs::create_dir_all(&data).expect("made");
    std::fs::write(data.join("PG_VERSION"), "9\n").expect("written");
    let refused = PrivatePostgres::start(&folder.0.join("postgres")).await.expect_err("no such version here");
    assert!(refused.to_string().contains("install postgresql-9"), "{refused}");
}

/// The other half of the next test, in a process of its own.
#[tokio::test]
async fn half_controller() {
    let Some(folder) = std::env::var_os("FLEETLIGHT_TEST_FOLDER") else { return };
    let postgres = PrivatePostgres::start(Path::new(&folder)).await.expect("starts");
    println!("{}", postgres.url());
    std::future::pending::<()>().await;
}

/// A controller in a process of its own, with its server up.
async fn controller(folder: &Path) -> tokio::process::Child {
    let controller = tokio::process::Command::new(std::env::current_exe().expect("own path"))
        .args(["half_controller", "--exact", "--nocapture"])
        .env("FLEETLIGHT_TEST_FOLDER", folder)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("spawned");
    eventually("a server", async || {
        std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default().contains("ready")
    })
    .await;
    controller
}

#[tokio::test]
async fn a_killed_controller_takes_its_server_along() {
    let folder = Folder::new("killed");
    let mut controller = controller(&folder.0.join("postgres")).await;
    controller.kill().await.expect("killed");
    eventually("no server", async || postmaster(&folder.0).is_none()).await;
}

#[tokio::test]
async fn what_a_killed_controller_leaves_is_stopped_at_the_next_start() {
    let folder = Folder::new("left");
    let left = leave(&folder).await;
    starts_without(&folder, left).await;
}

/// It is just starting, or an earlier one's file was taken away together with its own.
#[tokio::test]
async fn what_is_left_without_its_file_is_stopped_too() {
    let folder = Folder::new("unnamed");
    let left = leave(&folder).await;
    std::fs::remove_file(folder.0.join("postgres/data/postmaster.pid")).expect("removed");
    starts_without(&folder, left).await;
}

/// As after a power cut and a reboot, or while the dead one is not waited for.
#[tokio::test]
async fn files_that_name_some_other_process_hinder_nothing() {
    let folder = Folder::new("claims");
    let path = folder.0.join("postgres");
    PrivatePostgres::start(&path).await.expect("starts").stop().await;
    for (claim, pid) in [("data/postmaster.pid", "1\n"), ("run/.s.PGSQL.5432.lock", "1\n"), ("data/postmaster.pid", "")]
    {
        std::fs::write(path.join(claim), pid).expect("written");
        let postgres = PrivatePostgres::start(&path).await.unwrap_or_else(|error| panic!("{claim} {pid:?}: {error}"));
        postgres.stop().await;
    }
}

/// A server whose controller and guard were killed.
async fn leave(folder: &Folder) -> i32 {
    let mut controller = controller(&folder.0.join("postgres")).await;
    let left = postmaster(&folder.0).expect("runs");
    kill(guard_of(left).expect("a guard"));
    controller.kill().await.expect("killed");
    assert_eq!(postmaster(&folder.0), Some(left), "nobody has stopped it");
    left
}

async fn starts_without(folder: &Folder, left: i32) {
    let postgres = PrivatePostgres::start(&folder.0.join("postgres")).await.expect("starts all the same");
    assert!(answers(postgres.url()).await);
    assert_ne!(postmaster(&folder.0), Some(left));
    postgres.stop().await;
}

/// The process that waits for the controller's end on behalf of this server.
fn guard_of(server: i32) -> Option<i32> {
    let words = format!("guard\0{server}\0");
    let processes = std::fs::read_dir("/proc").expect("proc").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(&words)))
}
