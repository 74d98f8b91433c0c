//! A host with a real Docker, whose executor is asked through its socket.

use fleetlight_agent::config::AgentConfig;
use fleetlight_agent::docker::ContainerId;
use fleetlight_agent::executor::{self, Client, Executor, Peers, server};
use fleetlight_agent::tick::wall_ms;
use fleetlight_protocol::command::{
    Action, Command, CommandReport, CommandResult, ContainerTarget, ContainerVerb, Outcome,
};
use fleetlight_tests::docker::Docker;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const LEFT_MS: i64 = 60_000;

#[derive(Debug)]
pub struct Host {
    pub docker: Docker,
    client: Client,
    _serves: DropGuard,
    /// Of compose projects and other files.
    pub folder: PathBuf,
}

impl Host {
    pub async fn new(docker: Docker) -> Self {
        let folder = std::env::temp_dir().canonicalize().expect("is there").join(docker.name("host"));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("policy.toml"), policy(&folder.join("web"))).expect("writes");
        let config = AgentConfig {
            docker_socket: docker.socket().to_owned(),
            executor_socket: folder.join("socket"),
            executor_state_dir: folder.join("state"),
            policy_file: folder.join("policy.toml"),
            ..AgentConfig::default()
        };
        let listener = executor::listen(&config.executor_socket).await.expect("listens");
        let client = Client::new(config.executor_socket.clone());
        let stop = CancellationToken::new();
        let peers = Peers::new("nobody");
        tokio::spawn(server::serve(listener, Arc::new(Executor::new(config)), peers, stop.clone()));
        Self { docker, client, _serves: stop.drop_guard(), folder }
    }

    /// The container as somebody sees it now.
    pub fn target(&self, name: &str) -> ContainerTarget {
        let name = self.docker.name(name);
        let seen = self.docker.docker(&["inspect", "-f", "{{.Id}} {{.Config.Image}}", &name]).expect("inspects");
        let (id, image) = seen.split_once(' ').expect("two words");
        ContainerTarget { id: id.to_owned(), name, image: image.to_owned() }
    }

    /// Does it to the container of this name.
    pub async fn ask(&self, verb: ContainerVerb, name: &str, stable_seconds: u32) -> (Told, CommandResult) {
        let told = Told::default();
        let command = command(verb, self.target(name), stable_seconds);
        let result = self.run(command, &told).await;
        println!("{verb:?} {name}: {result:?} {:?}", told.steps());
        (told, result)
    }

    async fn run(&self, command: Command, told: &Told) -> CommandResult {
        let mut answers = self.client.run(command, LEFT_MS).await.expect("takes it");
        loop {
            match answers.next().await.expect("goes on").expect("an end") {
                CommandReport::Accepted { .. } => {}
                CommandReport::Step { text, .. } => told.steps.lock().expect("lock").push(text),
                CommandReport::Output { text, .. } => told.output.lock().expect("lock").push_str(&text),
                CommandReport::Finished(result) => return *result,
                CommandReport::Unavailable { message } => panic!("{message}"),
            }
        }
    }

    /// What the agent is told of its last lines when it dies.
    pub async fn last_lines(&self, name: &str) -> String {
        let id = ContainerId::parse(&self.target(name).id).expect("an id");
        let lines = self.client.last_lines(&id).await.expect("an answer");
        String::from_utf8_lossy(&lines.concat()).into_owned()
    }

    /// The words of a refusal.
    pub async fn refused(&self, verb: ContainerVerb, container: ContainerTarget) -> String {
        let result = self.run(command(verb, container, 1), &Told::default()).await;
        assert_eq!(result.outcome, Outcome::Refused, "{result:?}");
        result.reason.expect("says why")
    }

    /// Runs one that is cancelled once `when` is so.
    pub async fn cancelled(&self, verb: ContainerVerb, name: &str, when: impl Fn(&Told) -> bool) -> CommandResult {
        let (told, command) = (Told::default(), command(verb, self.target(name), 60));
        let id = command.id;
        let waits = async {
            until(|| when(&told)).await;
            assert!(self.client.cancel(id).await.expect("takes it"), "it is in hand");
        };
        tokio::join!(self.run(command, &told), waits).0
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn command(verb: ContainerVerb, container: ContainerTarget, stable_seconds: u32) -> Command {
    let action = Action::Container { verb, container, stable_seconds };
    let asked_ms = wall_ms();
    Command { id: Uuid::now_v7(), asked_ms, deadline_ms: asked_ms + LEFT_MS, by: "ada".into(), action }
}

/// Everything on this daemon's containers but the spared ones, and compose from one folder.
fn policy(compose_folder: &Path) -> String {
    format!(
        "compose_folders = [{compose_folder:?}]\n\
         [[allow]]\nactions = [\"container.*\"]\nnames = [\"*\"]\n\
         [[deny]]\nactions = [\"container.*\"]\nnames = [\"*-spared\"]\n\
         [[deny]]\nactions = [\"logs.read\"]\nnames = [\"*-secret\"]\n"
    )
}

/// Steps and output of a command, as they came.
#[derive(Debug, Default)]
pub struct Told {
    steps: Mutex<Vec<String>>,
    output: Mutex<String>,
}

impl Told {
    pub fn steps(&self) -> Vec<String> {
        self.steps.lock().expect("lock").clone()
    }

    pub fn output(&self) -> String {
        self.output.lock().expect("lock").clone()
    }
}

/// Waits until it is so.
pub async fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be so");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
