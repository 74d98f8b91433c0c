//! The agent that talks to the network has an account of its own: it shows containers, and reaches nothing of what the
//! executor holds but through it.

use fleetlight_agent::executor::Client;
use fleetlight_tests::docker::Docker;
use fleetlight_tests::measure::tree;
use fleetlight_tests::system::{AgentOptions, Options, System, as_account};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Debian's `nobody`, here the agent's; and one that no program has.
const AGENT: u32 = 65_534;
const STRANGER: u32 = 65_533;

/// Set in the run as another account: what it is to try.
const PLACES: &str = "FLEETLIGHT_TEST_PLACES";

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn the_network_facing_process_reaches_docker_only_through_the_executor() {
    if !rustix::process::geteuid().is_root() {
        return println!("SKIPPED: two processes: another account needs root");
    }
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => return println!("SKIPPED: two processes: no Docker daemon: {why:#}"),
    };
    let id = docker.run("seen", &[], "sleep 1000").expect("runs");
    let system = System::start("accounts", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let options = AgentOptions {
        config: "interval_ms = 1000\nagent_user = \"nobody\"".into(),
        docker: Some(docker.socket().to_owned()),
        account: Some(AGENT),
        ..AgentOptions::default()
    };
    let mut agent = system.agent("here", &options).expect("agent");
    let host = client.wait("hosts", 20 * SECOND, |hosts| hosts[0]["id"].as_i64()).await.expect("a host");
    let running = |detail: &Value| {
        let documents = detail["documents"].as_array()?;
        let found = documents.iter().find(|document| document["key"] == id)?;
        (found["body"]["state"] == "running").then_some(())
    };
    client.wait(&format!("hosts/{host}"), 20 * SECOND, running).await.expect("the container shows");

    let (agent_pid, executor_pid) = (agent.process().expect("runs").pid(), agent.executor().expect("runs").pid());
    assert_eq!(owner(agent_pid), AGENT, "the agent has the other account");
    let holders = [agent_pid, executor_pid].map(|pid| connections(docker.socket(), pid));
    assert_eq!(holders[0], 0, "the agent holds no connection to Docker");
    assert!(holders[1] > 0, "the executor follows its events");

    let folder = agent.executor_folder().to_owned();
    for file in ["policy.toml", "runbook.toml"] {
        fs::write(folder.join(file), "").expect("written");
        fs::set_permissions(folder.join(file), Permissions::from_mode(0o600)).expect("ours");
    }
    let secret = [folder.join("policy.toml"), folder.join("runbook.toml"), folder.join("state/journal")];
    fs::create_dir_all(folder.join("state")).expect("ours");
    fs::set_permissions(folder.join("state"), Permissions::from_mode(0o700)).expect("ours");
    let tried = |account| attempt(account, docker.socket(), &secret, &folder.join("socket"));
    let closed = "PermissionDenied ".repeat(4);
    assert_eq!(tried(AGENT), format!("{closed}answered"));
    let stranger = tried(STRANGER);
    assert!(stranger.starts_with(&closed) && stranger.contains("hung up"), "{stranger}");
    let log = fs::read_to_string(folder.join("log")).expect("a log");
    assert!(log.contains("refused") && log.contains(&STRANGER.to_string()), "{log}");
}

/// What an account finds at Docker's socket, at files, and from the executor.
fn attempt(account: u32, docker: &Path, secret: &[PathBuf], executor: &Path) -> String {
    let all: Vec<_> = [docker].into_iter().chain(secret.iter().map(PathBuf::as_path)).chain([executor]).collect();
    let places: Vec<_> = all.iter().map(|path| path.to_string_lossy()).collect();
    let this = std::env::current_exe().expect("a test has a file");
    let mut command = as_account(account);
    command.arg(this).args(["--exact", "two_processes::what_another_account_finds", "--nocapture"]);
    let output = command.env(PLACES, places.join(":")).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let found = said.lines().find_map(|line| line.split_once("found: ")).unwrap_or_else(|| panic!("{output:?}"));
    found.1.to_owned()
}

/// Does nothing but in a run that [`attempt`] starts.
#[tokio::test]
async fn what_another_account_finds() {
    let Ok(places) = std::env::var(PLACES) else { return };
    let places: Vec<&str> = places.split(':').collect();
    let [docker, secret @ .., executor] = &places[..] else { panic!("{places:?}") };
    let mut found = format!("{:?} ", UnixStream::connect(docker).expect_err("is refused").kind());
    for path in secret {
        found += &format!("{:?} ", File::open(path).expect_err("is refused").kind());
    }
    let answer = Client::new(executor.into()).ping().await;
    println!("found: {found}{}", answer.map_or_else(|why| why.to_string(), |()| "answered".into()));
}

fn owner(pid: u32) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{pid}")).expect("runs"))
}

/// How many connections to a socket the process and its children hold: `ss` names both ends of each.
fn connections(socket: &Path, pid: u32) -> usize {
    let output = Command::new("ss").args(["-x", "-n"]).output().expect("iproute2");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let other_end = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(4)? == &socket.to_str()?).then(|| fields.get(7).map(|inode| format!("socket:[{inode}]")))?
    };
    let ends: BTreeSet<String> = listed.lines().filter_map(other_end).collect();
    let held = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .filter(|to| ends.contains(&*to.to_string_lossy()))
            .count()
    };
    tree(pid).iter().map(held).sum()
}
