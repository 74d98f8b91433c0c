//! From a person's wish to what is true afterwards: controller, agent and executor as processes, real Docker.

use fleetlight_tests::client::Client;
use fleetlight_tests::docker::Docker;
use fleetlight_tests::sim_agent::Folder;
use fleetlight_tests::system::{Agent, AgentOptions, Options, System};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(30);

/// A system with one host that is there.
struct World {
    /// Ends before the system's folder goes.
    agent: Agent,
    client: Client,
    system: System,
    host: i64,
}

impl World {
    async fn start(name: &str, docker: Option<&Docker>) -> Self {
        let system = System::start(name, &Options::default()).expect("a controller");
        let config = format!("runbooks_dir = {:?}", system.dir().join("runbooks"));
        Self::with(Ok(system), docker, &config).await
    }

    async fn with(system: anyhow::Result<System>, docker: Option<&Docker>, config: &str) -> Self {
        let system = system.expect("a controller");
        let client = system.set_up().await.expect("an admin");
        let docker = docker.map(|docker| docker.socket().to_owned());
        let options =
            AgentOptions { docker, config: format!("interval_ms = 1000\n{config}"), ..AgentOptions::default() };
        let agent = system.agent("alpha", &options).expect("an agent");
        let host = client
            .wait("hosts", SOON, |hosts| hosts[0]["connected_since_ms"].is_i64().then(|| hosts[0]["id"].as_i64())?);
        let host = host.await.expect("connects");
        Self { agent, client, system, host }
    }

    async fn check(&self) -> String {
        let made = self.client.post(&format!("hosts/{}/commands", self.host), &json!({ "action": "check" })).await;
        made.expect("asked")["id"].as_str().expect("an id").to_owned()
    }

    async fn until(&self, command: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("commands/{command}");
        let found = self.client.wait(&path, SOON, |view| holds(view).then(|| view.clone())).await;
        found.unwrap_or_else(|error| panic!("{what}: {error:#}"))
    }

    /// How the audit log says that a command ended, once it does.
    async fn audited(&self, command: &str) -> String {
        let closed = |acts: &Value| {
            let act = acts.as_array()?.iter().find(|act| act["command_id"] == command)?;
            act["closed_ms"].is_i64().then(|| act["outcome"].as_str().map(str::to_owned))?
        };
        self.client.wait("audit", SOON, closed).await.expect("closed")
    }

    /// Ids of containers as the page has them, once all are there.
    async fn containers(&self, count: usize) {
        let there = |host: &Value| {
            let documents = host["documents"].as_array()?;
            let containers = documents.iter().filter(|document| document["kind"] == "container");
            (containers.filter(|document| document["body"]["state"] == "running").count() >= count).then_some(())
        };
        self.client.wait(&format!("hosts/{}", self.host), SOON, there).await.expect("containers");
    }
}

fn has_ended(view: &Value) -> bool {
    view["state"] == "finished"
}

/// One runbook that may be run, one that may not, one that cannot be read.
fn runbooks(folder: &Path) {
    let text = "description = 'Copies'\nuser = 'root'\nsteps = [['/bin/true', '{who}', '{days}', '{kind}']]\n\
        [parameters.who]\ntype = 'string'\npattern = 'user[0-9]{3}'\ndescription = 'Whose'\n\
        [parameters.days]\ntype = 'integer'\nmin = 1\nmax = 7\ndefault = '7'\n\
        [parameters.kind]\ntype = 'enum'\nvalues = ['full', 'quick']\n";
    for (name, text) in [("backup", text), ("wipe", text), ("broken", "user = 1")] {
        std::fs::write(folder.join(format!("{name}.toml")), text).expect("written");
    }
}

const POLICY: &str = "[[allow]]\nactions = ['container.restart', 'logs.read']\nnames = ['comfy-*']\n\
    [[allow]]\nactions = ['unit.*']\nnames = ['nginx.service']\n\
    [[allow]]\nactions = ['runbook.run']\nnames = ['b*']\n\
    [[deny]]\nactions = ['container.*', 'emergency_stop', 'logs.read']\nnames = ['*-db', 'secret']\n\
    [emergency_stop.users]\ncontainers = ['comfy-user*']\n";

#[tokio::test]
async fn a_host_tells_what_it_allows() {
    let folder = Folder::new().expect("a folder");
    runbooks(folder.path());
    let config =
        format!("runbooks_dir = {:?}\nlog_files = {{ nginx = '/var/log/n', secret = '/var/log/s' }}", folder.path());
    let mut world = World::with(System::start("dispatch-allowed", &Options::default()), None, &config).await;
    let path = format!("hosts/{}/allowed", world.host);
    let policy = world.agent.executor_folder().join("policy.toml");
    let actions = |told: &Value| -> Vec<String> {
        let all = told["actions"].as_array().expect("a list");
        all.iter().map(|action| action["action"].as_str().expect("text").to_owned()).collect()
    };
    let told = world.client.get(&path).await.expect("told");
    assert_eq!(actions(&told), ["container.restart", "logs.read"], "without a policy");
    assert_eq!((&told["runbooks"], &told["log_files"]), (&json!([]), &json!(["nginx", "secret"])));
    std::fs::write(&policy, POLICY).expect("written");
    let told = world.client.get(&path).await.expect("told");
    let restart = json!({ "action": "container.restart", "names": ["comfy-*"], "except": ["*-db", "secret"] });
    assert_eq!(told["actions"][0], restart);
    let expected = ["container.restart", "unit.start", "unit.stop", "unit.restart", "runbook.run", "logs.read"];
    assert_eq!(actions(&told), expected);
    assert_eq!(told["actions"][5]["names"], json!(["*"]), "logs may be read unless denied");
    let stop = json!({ "name": "users", "containers": ["comfy-user*"], "except": ["*-db", "secret"] });
    assert_eq!((&told["emergency_stops"], &told["log_files"]), (&json!([stop]), &json!(["nginx"])));
    let problems = told["problems"].as_array().expect("a list");
    assert!(problems.len() == 1 && problems[0].as_str().expect("text").contains("broken.toml"), "{problems:?}");
    let parameters = json!([
        { "name": "days", "description": "", "default": "7", "type": "integer", "min": 1, "max": 7 },
        { "name": "kind", "description": "", "default": null, "type": "enum", "values": ["full", "quick"] },
        { "name": "who", "description": "Whose", "default": null, "type": "string", "pattern": "user[0-9]{3}",
          "max_chars": 256 },
    ]);
    let backup =
        json!({ "name": "backup", "description": "Copies", "timeout_seconds": 3600, "parameters": parameters });
    let mut runbooks = told["runbooks"].clone();
    runbooks[0]["timeout_seconds"] = json!(3600);
    assert_eq!(runbooks, json!([backup]));
    // A policy that others can write is none, and that is told.
    std::fs::set_permissions(&policy, Permissions::from_mode(0o666)).expect("set");
    let told = world.client.get(&path).await.expect("told");
    assert_eq!(actions(&told), Vec::<String>::new());
    assert!(told["problems"][0].as_str().expect("text").contains("policy.toml"), "{told}");
    world.agent.process().expect("runs").stop().expect("stops");
    let offline = |hosts: &Value| (hosts[0]["state"] == "offline").then_some(());
    world.client.wait("hosts", SOON, offline).await.expect("says goodbye");
    let refused = world.client.get(&path).await.expect_err("offline").to_string();
    assert!(refused.contains("503") && refused.contains("alpha is offline"), "{refused}");
    // Nobody needs to ask: the host says so by itself.
    world.agent.start().expect("starts");
    let told = |hosts: &Value| {
        let mut problems = hosts[0]["problems"].as_array()?.iter().filter(|problem| problem["key"] == "policy");
        problems.next()?["message"].as_str()?.contains("cannot be trusted").then_some(())
    };
    world.client.wait("hosts", SOON, told).await.expect("a problem");
    let judged = world.agent.check_config().expect("runs");
    assert!(judged.contains("cannot be trusted") && judged.contains("exit status: 78"), "{judged}");
    std::fs::set_permissions(&policy, Permissions::from_mode(0o644)).expect("set");
    let judged = world.agent.check_config().expect("runs");
    assert!(judged.contains("broken.toml") && !judged.contains("cannot be trusted"), "{judged}");
    std::fs::remove_file(folder.path().join("broken.toml")).expect("removed");
    let judged = world.agent.check_config().expect("runs");
    assert!(judged.contains("configuration is good; policy: ") && judged.contains("may be run: 1"), "{judged}");
}

#[tokio::test]
async fn a_check_goes_to_the_host_and_comes_back() {
    let world = World::start("dispatch-check", None).await;
    let id = world.check().await;
    let mut events = world.client.events(&format!("commands/{id}/stream")).await.expect("a stream");
    let last = events.wait(SOON, |name, view| (name == "command" && has_ended(view)).then(|| view.clone())).await;
    let last = last.expect("ends");
    assert_eq!((&last["outcome"], &last["observed"]), (&json!("verified"), &json!("it answers")));
    assert_eq!(world.audited(&id).await, "verified");
    let stored = world.client.get("commands?open=true").await.expect("a list");
    assert_eq!(stored, json!([]), "closed with the audit log");
}

#[tokio::test]
async fn a_command_waits_for_its_host_to_come_back() {
    let mut world = World::start("dispatch-offline", None).await;
    world.agent.process().expect("runs").stop().expect("stops");
    let offline = |hosts: &Value| (hosts[0]["state"] == "offline").then_some(());
    world.client.wait("hosts", SOON, offline).await.expect("says goodbye");
    let id = world.check().await;
    world.until(&id, "waits", |view| view["state"] == "queued" && view["waiting_for"] == "the host is offline").await;
    world.agent.start().expect("starts");
    let done = world.until(&id, "done", has_ended).await;
    assert_eq!((&done["outcome"], &done["waiting_for"]), (&json!("verified"), &Value::Null));
    assert_eq!(world.audited(&id).await, "verified");
}

#[tokio::test]
async fn a_restart_happens_once_though_agent_and_controller_are_killed() {
    let docker = Docker::start().expect("Docker");
    let container = docker.run("once", &["--stop-signal=KILL"], "exec sleep 1000").expect("a container");
    let mut world = World::start("dispatch-killed", Some(&docker)).await;
    world.containers(1).await;
    let order = json!({ "stable_seconds": 5 });
    let made = world.client.post(&format!("containers/{container}/restart"), &order).await.expect("asked");
    let id = made["id"].as_str().expect("an id").to_owned();
    world.until(&id, "runs", |view| view["state"] == "running").await;
    world.agent.process().expect("runs").kill().expect("killed");
    world.agent.start().expect("starts");
    world.until(&id, "goes on", |view| view["state"] == "running" || has_ended(view)).await;
    world.system.controller().expect("runs").kill().expect("killed");
    world.system.start_controller().expect("starts");
    let done = world.until(&id, "done", has_ended).await;
    assert_eq!(done["outcome"], "verified", "{done:#}");
    assert_eq!(world.audited(&id).await, "verified");
    assert_eq!(starts(&docker, &container), 2, "its own start, and one by the command");

    long_acts_are_cancelled(&world, &docker).await;
    what_is_done_while_the_controller_is_away_closes_once(&mut world, &docker).await;
}

/// How often a container was started so far.
fn starts(docker: &Docker, container: &str) -> usize {
    let filter = format!("container={container}");
    let events = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        &filter,
        "--filter",
        "event=start",
        "--format",
        "{{.Action}}",
    ];
    docker.docker(&events).expect("events").lines().count()
}

/// A stop that Docker waits a minute for, and a runbook that never ends.
async fn long_acts_are_cancelled(world: &World, docker: &Docker) {
    let policy = "[[allow]]\nactions = [\"container.*\", \"runbook.run\"]\nnames = [\"*\"]\n";
    fs::write(world.agent.executor_folder().join("policy.toml"), policy).expect("written");
    let runbooks = world.system.dir().join("runbooks");
    fs::create_dir(&runbooks).expect("a folder");
    let endless = "description = ''\nuser = 'root'\nsteps = [['/bin/sh', '-c', 'echo begun; exec sleep 1000']]";
    fs::write(runbooks.join("endless.toml"), endless).expect("written");
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    let slow = docker.run("slow", &["--stop-timeout=60"], deaf).expect("a container");
    world.containers(2).await;
    let runbook = json!({ "action": { "runbook": { "name": "endless", "parameters": {} } } });
    for (path, order, cancelled) in [
        (format!("containers/{slow}/stop"), json!({ "stable_seconds": 1 }), "which may still finish it"),
        (format!("hosts/{}/commands", world.host), runbook, "what it had done by then is done"),
    ] {
        let made = world.client.post(&path, &order).await.expect("asked");
        let id = made["id"].as_str().expect("an id").to_owned();
        world.until(&id, "runs", |view| view["state"] == "running").await;
        let began = Instant::now();
        world.client.post(&format!("commands/{id}/cancel"), &json!({})).await.expect("taken");
        let done = world.until(&id, "is cancelled", has_ended).await;
        assert_eq!(done["outcome"], "cancelled", "{done:#}");
        assert!(done["reason"].as_str().is_some_and(|why| why.contains(cancelled)), "{done:#}");
        assert!(began.elapsed() < SOON, "nobody waits for its end");
        assert_eq!(world.audited(&id).await, "cancelled");
    }
}

async fn what_is_done_while_the_controller_is_away_closes_once(world: &mut World, docker: &Docker) {
    let options = ["--stop-signal=KILL"];
    let containers =
        ["away-1", "away-2", "away-3"].map(|name| docker.run(name, &options, "exec sleep 1000").expect("a container"));
    world.containers(5).await;
    let mut asked = Vec::new();
    for container in &containers {
        let order = json!({ "stable_seconds": 5 });
        let made = world.client.post(&format!("containers/{container}/restart"), &order).await.expect("asked");
        asked.push(made["id"].as_str().expect("an id").to_owned());
    }
    for id in &asked {
        world.until(id, "runs", |view| view["state"] == "running").await;
    }
    world.system.controller().expect("runs").kill().expect("killed");
    let deadline = Instant::now() + SOON;
    loop {
        let log = world.agent.executor().expect("runs").log();
        let has_ended = |id: &String| log.lines().any(|line| line.contains(id.as_str()) && line.contains("has ended"));
        if asked.iter().all(has_ended) {
            break;
        }
        assert!(Instant::now() < deadline, "{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.system.start_controller().expect("starts");
    for id in &asked {
        let done = world.until(id, "is closed", has_ended).await;
        assert_eq!(done["outcome"], "verified", "{done:#}");
        assert_eq!(world.audited(id).await, "verified");
    }
    let mut database = PgConnection::connect(&world.system.database_url().expect("runs")).await.expect("connects");
    let ids: Vec<Uuid> = asked.iter().map(|id| id.parse().expect("an id")).collect();
    let stored: i64 = sqlx::query_scalar("select count(*) from events where id = any($1)")
        .bind(&ids)
        .fetch_one(&mut database)
        .await
        .expect("the table");
    assert_eq!(stored, 3, "each once");
    assert!(containers.iter().all(|container| starts(docker, container) == 2));
}

#[tokio::test]
async fn a_bulk_restarts_twenty_in_batches_and_stops_at_the_one_that_dies() {
    let docker = Docker::start().expect("Docker");
    for number in 0..20 {
        // The sixth dies when it is started again.
        let script =
            if number == 5 { "[ -e /again ] && exit 3; echo > /again; exec sleep 1000" } else { "exec sleep 1000" };
        docker.run(&format!("bulk-{number:02}"), &["--stop-signal=KILL"], script).expect("a container");
    }
    let mut world = World::start("dispatch-bulk", Some(&docker)).await;
    world.containers(20).await;
    let order = |stop_on_failure| {
        json!({ "verb": "restart", "selection": { "pattern": docker.name("bulk-*") }, "batch_size": 4,
                "stop_on_failure": stop_on_failure, "stable_seconds": 1 })
    };
    let ended = |bulk: &Value| (bulk["state"] != "running").then(|| bulk.clone());
    let of = |bulk: &Value| format!("bulks/{}", bulk["id"].as_str().expect("an id"));
    let made = world.client.post("bulks", &order(true)).await.expect("asked");
    let begun = |bulk: &Value| bulk["items"].as_array()?.iter().any(|item| item["state"] == "running").then_some(());
    world.client.wait(&of(&made), SOON, begun).await.expect("what runs is said to run");
    let first = world.client.wait(&of(&made), 3 * SOON, ended).await.expect("ends");
    let states: Vec<&str> =
        first["items"].as_array().expect("items").iter().map(|item| item["state"].as_str().expect("text")).collect();
    assert_eq!((first["state"].as_str(), states.len()), (Some("stopped"), 20));
    assert_eq!(
        states.iter().filter(|state| **state == "finished").count(),
        8,
        "the batch that it was in goes to its end"
    );
    assert!(states[8..].iter().all(|state| *state == "not_begun"), "{states:?}");
    assert_ne!(first["items"][5]["outcome"], "verified");
    assert_eq!(first["verified"], 7);

    // Told to go on, and with a controller that is killed in the middle.
    docker.docker(&["start", &docker.name("bulk-05")]).ok();
    world.containers(19).await;
    let made = world.client.post("bulks", &order(false)).await.expect("asked");
    let total = made["total"].as_i64().expect("a number");
    let half = |bulk: &Value| (bulk["ended"].as_i64() >= Some(8)).then_some(());
    world.client.wait(&of(&made), 3 * SOON, half).await.expect("goes on");
    world.system.controller().expect("runs").kill().expect("killed");
    world.system.start_controller().expect("starts");
    let second = world.client.wait(&of(&made), 3 * SOON, ended).await.expect("ends");
    assert_eq!((second["state"].as_str(), second["ended"].as_i64()), (Some("done"), Some(total)), "{second:#}");
}
