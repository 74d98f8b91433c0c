//! The life of a command on its host: at most once, whoever dies when.

use fleetlight_agent::executor::Client;
use fleetlight_agent::executor::message::Ended;
use fleetlight_protocol::command::{
    Action, Command, CommandReport, CommandResult, ContainerTarget, ContainerVerb, Outcome, UnitVerb,
};
use fleetlight_tests::fake_docker::FakeDocker;
use fleetlight_tests::sim_agent::Folder;
use fleetlight_tests::system::{AgentOptions, Options, Process, System, binary};
use futures_util::{StreamExt, future::join_all};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

pub(crate) const WITHIN: Duration = Duration::from_secs(20);
const LEFT_MS: i64 = 60_000;

/// An executor as a process, in a folder of its own.
pub(crate) struct Host {
    process: Option<Process>,
    folder: Folder,
    client: Client,
}

impl Host {
    pub(crate) fn new(docker: &Path) -> Self {
        let folder = Folder::new().expect("a folder");
        let socket = folder.path().join("socket");
        let config = format!(
            "executor_socket = {socket:?}\nexecutor_state_dir = {:?}\npolicy_file = {:?}\ndocker_socket = {docker:?}\n",
            folder.path().join("state"),
            folder.path().join("policy.toml"),
        );
        std::fs::write(folder.path().join("agent.toml"), config).expect("written");
        Self { folder, process: None, client: Client::new(socket) }
    }

    /// What an agent's configuration says to find it.
    pub(crate) fn setting(&self) -> String {
        format!("executor_socket = {:?}\n", self.folder.path().join("socket"))
    }

    /// Starts it (again), to die at a kill point if one is named.
    pub(crate) async fn start(&mut self, kill_at: Option<&str>) {
        drop(self.process.take());
        let mut command = std::process::Command::new(binary("fleetlight-agent").expect("built"));
        command.arg("executor").arg("--config").arg(self.folder.path().join("agent.toml"));
        if let Some(place) = kill_at {
            command.env("FLEETLIGHT_KILL_POINT", format!("{place}:1"));
        }
        self.process = Some(Process::start(&mut command, &self.folder.path().join("log")).expect("starts"));
        let answers = async {
            while self.client.cancel(Uuid::nil()).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(WITHIN, answers).await.expect("it listens");
    }

    /// Waits until it has died by itself.
    pub(crate) async fn dies(&mut self) {
        died(self.process.as_mut().expect("runs")).await;
    }

    /// The result of a command; none if the executor is gone before.
    async fn ask(&self, command: &Command) -> Option<CommandResult> {
        self.try_ask(command).await.map(|asked| asked.expect("it is taken"))
    }

    /// The same, or why it is not taken.
    async fn try_ask(&self, command: &Command) -> Option<Result<CommandResult, String>> {
        let mut answers = self.client.run(command.clone(), LEFT_MS).await.ok()?;
        loop {
            match timeout(WITHIN, answers.next()).await.expect("in time").ok()?? {
                CommandReport::Finished(result) => return Some(Ok(*result)),
                CommandReport::Unavailable { message } => return Some(Err(message)),
                _ => {}
            }
        }
    }

    /// The next result that it tells as not settled.
    async fn told(&self) -> Ended {
        let mut results = pin!(self.client.results().await.expect("answers"));
        timeout(WITHIN, results.next()).await.expect("in time").expect("a result")
    }
}

/// Waits until a process has died at its kill point.
pub(crate) async fn died(process: &mut Process) {
    let died = async {
        while !process.ended() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WITHIN, died).await.expect("it reaches its kill point");
}

fn command(action: Action) -> Command {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_millis() as i64;
    Command { id: Uuid::now_v7(), asked_ms: now, deadline_ms: now + LEFT_MS, by: "ada".into(), action }
}

#[tokio::test]
async fn a_command_that_a_hundred_ask_for_at_once_runs_once() {
    let mut host = Host::new(Path::new("/nowhere"));
    host.start(None).await;
    let asked = command(Action::Check);
    let results = join_all((0..100).map(|_| host.ask(&asked))).await;
    let first = results[0].clone().expect("a result");
    assert_eq!(first.outcome, Outcome::Verified);
    assert!(results.iter().all(|result| result.as_ref() == Some(&first)), "one run, one result");
}

#[tokio::test]
async fn an_executor_that_dies_anywhere_says_what_is_true_and_begins_nothing_again() {
    for (place, outcome) in [
        ("command.run", Outcome::Interrupted),
        ("command.finish", Outcome::Interrupted),
        ("command.finished", Outcome::Verified),
    ] {
        let mut host = Host::new(Path::new("/nowhere"));
        host.start(Some(place)).await;
        let asked = command(Action::Check);
        assert_eq!(host.ask(&asked).await, None, "{place}: it died before it could answer");
        host.dies().await;

        host.start(None).await;
        let result = host.ask(&asked).await.expect("known");
        assert_eq!((result.command, result.outcome), (asked.id, outcome), "{place}");
        assert!(result.began_ms.is_some(), "{place}");
        // It is told until it is settled, and known after that.
        assert_eq!(host.told().await.result, result);
        assert_eq!(host.told().await.result, result);
        host.client.settle(vec![asked.id]).await.expect("noted");
        let other = command(Action::Check);
        host.ask(&other).await.expect("another one runs");
        assert_eq!(host.told().await.result.command, other.id);
        assert_eq!(host.ask(&asked).await.expect("known"), result);
    }
}

#[tokio::test]
async fn a_result_is_told_again_if_the_executor_dies_while_it_is_settled() {
    let mut host = Host::new(Path::new("/nowhere"));
    host.start(Some("command.settle")).await;
    let asked = command(Action::Check);
    let result = host.ask(&asked).await.expect("a result");
    host.client.settle(vec![asked.id]).await.expect_err("it dies");
    host.dies().await;
    host.start(None).await;
    assert_eq!(host.told().await.result, result);
}

#[tokio::test]
async fn a_full_disk_lets_no_command_begin_until_there_is_room() {
    if !rustix::process::geteuid().is_root() {
        return println!("SKIPPED: a full disk: mounting one needs root");
    }
    let mut host = Host::new(Path::new("/nowhere"));
    let disk = Mounted::new(host.folder.path().join("state"));
    host.start(None).await;
    assert_eq!(host.ask(&command(Action::Check)).await.expect("a result").outcome, Outcome::Verified);
    let filler = disk.0.join("filler");
    let mut file = std::fs::File::create(&filler).expect("there is room");
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).expect_err("the disk fills");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    // What has room within its file it takes. In the end one is not taken, or its result is held.
    let mut asked = command(Action::Check);
    for _ in 0..2_000 {
        match timeout(Duration::from_secs(2), host.try_ask(&asked)).await {
            Ok(Some(Ok(result))) => assert_eq!(result.outcome, Outcome::Verified),
            Ok(Some(Err(message))) => {
                assert!(message.contains("journal of commands"), "{message}");
                break;
            }
            Ok(None) => panic!("it is gone"),
            Err(_) => break,
        }
        asked = command(Action::Check);
    }
    assert!(host.process.as_ref().expect("runs").log().contains("No space left"), "it says so");
    std::fs::remove_file(&filler).expect("removed");
    let taken = async {
        loop {
            match host.try_ask(&asked).await.expect("answers") {
                Ok(result) => return result,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let result = timeout(WITHIN, taken).await.expect("it is taken again");
    assert!(matches!(result.outcome, Outcome::Verified | Outcome::Interrupted), "{result:?}");
}

/// A small disk, unmounted in the end.
struct Mounted(PathBuf);

impl Mounted {
    fn new(place: PathBuf) -> Self {
        std::fs::create_dir(&place).expect("a folder");
        rustix::mount::mount("tmpfs", &place, "tmpfs", rustix::mount::MountFlags::empty(), Some(c"size=8m"))
            .expect("root mounts");
        Self(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_between_spool_and_settling_repeats_and_is_stored_once() {
    let system = System::start("results", &Options::default()).expect("controller");
    let mut host = Host::new(Path::new("/nowhere"));
    host.start(None).await;
    let config = format!("interval_ms = 1000\n{}", host.setting());
    let mut agent =
        system.agent("host", &AgentOptions { config, ..AgentOptions::default() }).expect("an enrolled agent");
    let mut database = PgConnection::connect(&system.database_url().expect("runs")).await.expect("connects");
    for place in ["result.spool", "result.settle"] {
        agent.process().expect("runs").stop().expect("stops");
        let asked = command(Action::Check);
        host.ask(&asked).await.expect("a result");
        agent.start_with(&[("FLEETLIGHT_KILL_POINT".into(), format!("{place}:1"))]).expect("starts");
        died(agent.process().expect("started")).await;
        assert_eq!(host.told().await.result.command, asked.id, "{place}: not settled");
        agent.start().expect("starts");
        let settled = async {
            loop {
                let mut results = pin!(host.client.results().await.expect("answers"));
                // What is not settled is told at once.
                if timeout(Duration::from_millis(200), results.next()).await.is_err() {
                    return;
                }
            }
        };
        timeout(WITHIN, settled).await.expect("the agent settles it");
        let stored = async {
            loop {
                let count: i64 = sqlx::query_scalar("select count(*) from events where id = $1")
                    .bind(asked.id)
                    .fetch_one(&mut database)
                    .await
                    .expect("the table");
                if count > 0 {
                    return count;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        assert_eq!(timeout(WITHIN, stored).await.expect("it is stored"), 1, "{place}");
    }
}

#[tokio::test]
async fn names_that_try_to_escape_reach_nothing() {
    let docker = FakeDocker::start().expect("a daemon");
    let mut host = Host::new(docker.socket());
    host.start(None).await;
    let before = docker.questions().len();
    let (id, huge) = ("5a".repeat(32), "a".repeat(1024 * 1024));
    for bad in ["", "../../v1.40/containers/prune?x=", "-x", "a\0b", "a\nb", "ngіnx", &huge] {
        let container = |id: &str, name: &str, image: &str| Action::Container {
            verb: ContainerVerb::Restart,
            container: ContainerTarget { id: id.into(), name: name.into(), image: image.into() },
            stable_seconds: 0,
        };
        let parameters = |key: &str| BTreeMap::from([(key.to_owned(), "1".to_owned())]);
        let actions = [
            container(bad, "web", "web:1"),
            container(&id, bad, "web:1"),
            container(&id, "web", bad),
            Action::Unit { verb: UnitVerb::Restart, unit: bad.into(), stable_seconds: 0 },
            Action::Runbook { name: bad.into(), parameters: BTreeMap::new() },
            Action::Runbook { name: "backup".into(), parameters: parameters(bad) },
            Action::EmergencyStop { pattern: bad.into() },
        ];
        for action in actions {
            let result = host.ask(&command(action)).await.expect("an answer");
            assert_eq!(result.outcome, Outcome::Refused, "{result:?}");
        }
    }
    assert_eq!(docker.questions()[before..], [] as [String; 0], "Docker was asked nothing");
}

#[tokio::test]
async fn a_policy_that_others_can_write_stops_every_command() {
    use std::os::unix::fs::PermissionsExt;
    let mut host = Host::new(Path::new("/nowhere"));
    let policy = host.folder.path().join("policy.toml");
    std::fs::write(&policy, "").expect("written");
    std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o666)).expect("ours");
    host.start(None).await;
    let result = host.ask(&command(Action::Check)).await.expect("an answer");
    assert_eq!(result.outcome, Outcome::Refused);
    assert!(result.reason.is_some_and(|reason| reason.contains("chmod go-w")));
    assert!(host.process.as_ref().expect("runs").log().contains("every command is refused"));
    std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o644)).expect("ours");
    assert_eq!(host.ask(&command(Action::Check)).await.expect("an answer").outcome, Outcome::Verified);
}
