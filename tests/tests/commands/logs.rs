//! Logs on demand: from a container or a file on a host, through agent and controller, to a reader.

use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::docker::Docker;
use fleetlight_tests::measure::pss_bytes;
use fleetlight_tests::system::{Agent, AgentOptions, Options, PASSWORD, Process, System, binary};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const SECOND: Duration = Duration::from_secs(1);

/// Controller, a host with an executor, and somebody who is logged in.
struct World {
    system: System,
    agent: Agent,
    executor: Process,
    client: Client,
    host: i64,
}

impl World {
    async fn start(name: &str, docker: &Path, config: &str) -> Self {
        let system = System::start(name, &Options::default()).expect("controller");
        let client = system.set_up().await.expect("setup link");
        let folder = system.dir().join("executor");
        fs::create_dir_all(&folder).expect("ours");
        let socket = folder.join("socket");
        let (state, policy) = (folder.join("state"), folder.join("policy.toml"));
        let config = format!(
            "executor_socket = {socket:?}\ndocker_socket = {docker:?}\nexecutor_state_dir = {state:?}\npolicy_file = {policy:?}\n{config}"
        );
        fs::write(folder.join("agent.toml"), config).expect("written");
        let mut command = Command::new(binary("fleetlight-agent").expect("built"));
        command.arg("executor").arg("--config").arg(folder.join("agent.toml"));
        let executor = Process::start(&mut command, &folder.join("log")).expect("starts");
        let env = [("EXECUTOR_SOCKET", socket.display().to_string()), ("INTERVAL_MS", "1000".to_owned())];
        let env = env.map(|(key, value)| (format!("FLEETLIGHT_AGENT_{key}"), value)).into();
        let agent = system.agent("here", &AgentOptions { env, ..AgentOptions::default() }).expect("agent");
        let online = |hosts: &Value| (hosts[0]["state"] == "online").then(|| hosts[0]["id"].as_i64())?;
        let host = client.wait("hosts", 20 * SECOND, online).await.expect("a host");
        Self { system, agent, executor, client, host }
    }

    /// Waits until the live view knows a container.
    async fn knows(&self, id: &str) {
        let known = |detail: &Value| detail["documents"].as_array()?.iter().any(|it| it["key"] == id).then_some(());
        self.client.wait(&format!("hosts/{}", self.host), 20 * SECOND, known).await.expect("the container shows");
    }

    async fn read(&self, query: &str) -> Reader {
        let mut stream = self.client.events(&format!("logs/stream?{query}")).await.expect("a stream");
        let (name, _) = stream.next().await.expect("its sources");
        assert_eq!(name, "sources");
        Reader { stream, lines: Vec::new(), dropped: 0, problems: Vec::new(), live: 0, ended: false }
    }
}

/// What a reader has been told.
struct Reader {
    stream: Stream,
    lines: Vec<Value>,
    dropped: u64,
    problems: Vec<String>,
    live: usize,
    ended: bool,
}

impl Reader {
    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let waited = timeout(60 * SECOND, async {
            while !done(self) {
                let (name, mut data) = self.stream.next().await.expect("the stream goes on");
                match name.as_str() {
                    "lines" => self.lines.append(data["lines"].as_array_mut().expect("lines")),
                    "dropped" => self.dropped += data["lines"].as_u64().expect("a number"),
                    "problem" => self.problems.push(data["message"].as_str().expect("words").to_owned()),
                    "live" => self.live += 1,
                    "end" => self.ended = true,
                    _ => {}
                }
            }
        });
        let told = waited.await;
        assert!(told.is_ok(), "{what}: {} lines, {} dropped, {:?}", self.lines.len(), self.dropped, self.problems);
    }

    fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line["text"].as_str().expect("text")).collect()
    }
}

/// Lines that begin with their numbers; of no pattern, so that compression hides nothing, and without words, so that they
/// cost little to mask.
fn numbered(count: usize) -> String {
    const SIGNS: &[u8] = b"~!@#%^&()[]{}|;?,.";
    let (mut text, mut state) = (String::new(), 1_u64);
    for number in 0..count {
        let _ = write!(text, "{number} ");
        for _ in 0..4_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(char::from(SIGNS[(state >> 40) as usize % SIGNS.len()]));
        }
        text.push('\n');
    }
    text
}

fn number(line: &Value) -> usize {
    let text = line["text"].as_str().expect("text");
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_containers_say_reaches_readers() {
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => return println!("SKIPPED: logs of containers: no Docker daemon: {why:#}"),
    };
    let world = World::start("logs", docker.socket(), "").await;
    hostile_lines_arrive_as_text(&docker, &world).await;
    a_terminal_a_restart_and_a_removal_are_followed(&docker, &world).await;
    a_stalled_reader_costs_bounded_memory_and_hides_nobody_elses_lines(&docker, &world).await;
    a_socket_is_for_our_own_page_and_for_scripts(&docker, &world).await;
    readers_end_with_their_session(&docker, &world).await;
    let name = docker.name("hostile");
    drop(world.agent);
    let offline = |hosts: &Value| (hosts[0]["state"] == "offline").then_some(());
    world.client.wait("hosts", 40 * SECOND, offline).await.expect("offline");
    let refused = world.client.events(&format!("logs/stream?container={name}")).await.expect_err("nobody to ask");
    assert!(refused.to_string().contains("503") && refused.to_string().contains("here is offline"), "{refused}");
}

async fn hostile_lines_arrive_as_text(docker: &Docker, world: &World) {
    let script = r#"printf '\033[31mred\033[0m\n'; echo '<script>alert(1)</script>';
        printf '\033]0;title\007after\n'; printf 'a\342\200\256b\n'; printf 'bad \377 bytes\n';
        printf 'ERROR password=hunter2\n' >&2; echo 'INFO fine'; sleep 1000"#;
    let id = docker.run("hostile", &[], script).expect("runs");
    world.knows(&id).await;
    let mut reader = world.read(&format!("container={id}&lines=10")).await;
    reader.until("all lines", |reader| reader.lines.len() == 7 && reader.live == 1).await;
    let mut texts = reader.texts();
    texts.sort_unstable();
    let expected = [
        "\u{1b}[31mred\u{1b}[0m",
        "<script>alert(1)</script>",
        "ERROR password=***",
        "INFO fine",
        "ab",
        "after",
        "bad \u{fffd} bytes",
    ];
    assert_eq!(texts, expected);
    assert!(reader.lines.iter().all(|line| line["at_ms"].is_i64()));

    let mut errors = world.read(&format!("container={id}&level=error&contains=PASSWORD&follow=false")).await;
    errors.until("the end", |reader| reader.ended).await;
    assert_eq!((errors.texts(), &errors.lines[0]["level"]), (vec!["ERROR password=***"], &Value::from("error")));
    let mut guessed = world.read(&format!("container={id}&contains=hunter&follow=false")).await;
    guessed.until("the end", |reader| reader.ended).await;
    assert!(guessed.lines.is_empty(), "what is hidden cannot be searched for");
    let mut last = world.read(&format!("host=here&container={}&lines=1&follow=false", docker.name("hostile"))).await;
    last.until("the end", |reader| reader.ended).await;
    assert_eq!(last.lines.len(), 1);
}

async fn a_terminal_a_restart_and_a_removal_are_followed(docker: &Docker, world: &World) {
    let id = docker.run("terminal", &["-t"], "echo begun; sleep 1000").expect("runs");
    world.knows(&id).await;
    let mut reader = world.read(&format!("container={id}")).await;
    reader.until("the first start", |reader| reader.texts() == ["begun"]).await;
    docker.docker(&["restart", "-t", "0", &id]).expect("restarts");
    reader.until("the second start", |reader| reader.texts() == ["begun"; 2]).await;
    docker.remove("terminal").expect("removes");
    reader.until("the end", |reader| reader.ended).await;
    assert!(reader.problems[0].contains("removed"), "{:?}", reader.problems);
}

async fn a_stalled_reader_costs_bounded_memory_and_hides_nobody_elses_lines(docker: &Docker, world: &World) {
    const LINES: usize = 6_000;
    let folder = world.system.dir().join("data");
    fs::create_dir_all(&folder).expect("ours");
    fs::write(folder.join("lines"), numbered(LINES)).expect("written");
    let mount = format!("{}:/data", folder.display());
    let script = "while [ ! -e /data/go ]; do sleep 0.1; done; cat /data/lines; sleep 1000";
    let id = docker.run("chatty", &["-v", &mount], script).expect("runs");
    world.knows(&id).await;
    let (mut stalled, mut other) =
        (world.read(&format!("container={id}")).await, world.read(&format!("container={id}")).await);
    stalled.until("it is live", |reader| reader.live == 1).await;
    other.until("it is live", |reader| reader.live == 1).await;
    let executor = world.executor.pid();
    let before = pss_bytes(&[executor]).expect("runs");
    fs::write(folder.join("go"), "").expect("written");
    // Meanwhile the first one reads nothing.
    other.until("all lines", |reader| reader.lines.len() == LINES).await;
    let after = pss_bytes(&[executor]).expect("runs");
    assert_eq!(other.dropped, 0, "the other one has lost nothing");
    assert!(other.lines.iter().map(number).eq(0..LINES), "all lines in their order");
    assert!(after < before + 32 * 1024 * 1024, "from {before} to {after} bytes");
    stalled
        .until("the rest, or how much is gone", |reader| reader.lines.len() as u64 + reader.dropped == LINES as u64)
        .await;
    assert!(stalled.dropped > 0, "more than its queue was printed while it did not read");
    assert!(stalled.lines.is_sorted_by_key(number), "in their order");
    println!(
        "stalled reader: {} lines, {} dropped; executor from {before} to {after} bytes",
        stalled.lines.len(),
        stalled.dropped
    );
}

async fn a_socket_is_for_our_own_page_and_for_scripts(docker: &Docker, world: &World) {
    let (name, origin) = (docker.name("hostile"), world.system.origin());
    let open = async |service: &str, origin: &str| socket(world, &world.client, service, origin).await;
    let (mut socket, _) = open(&name, &origin).await.expect("a socket");
    let mut names = Vec::new();
    while names.len() < 3 {
        let message = timeout(20 * SECOND, socket.next()).await.expect("in time").expect("open").expect("a message");
        let Ok(text) = message.to_text() else { continue };
        if let Ok(message) = serde_json::from_str::<Value>(text) {
            names.push(message["type"].as_str().expect("a type").to_owned());
        }
    }
    assert_eq!(names, ["sources", "lines", "live"]);
    let status = |opened: Result<_, Error>| match opened {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was let in"),
    };
    assert_eq!(status(open(&name, "https://evil.example").await), 403);
    assert_eq!(status(open(&name, &format!("{origin}0")).await), 403, "another port is another site");
    assert_eq!(status(open("nobody", &origin).await), 404);
}

type Opened = Result<(WebSocketStream<MaybeTlsStream<TcpStream>>, Response<Option<Vec<u8>>>), Error>;

async fn socket(world: &World, client: &Client, service: &str, origin: &str) -> Opened {
    let url = format!("ws://{}/admin/api/logs/{service}?lines=1", world.system.web);
    let mut request = url.into_client_request().expect("an address");
    request.headers_mut().insert("cookie", client.cookie().expect("logged in").parse().expect("a header"));
    request.headers_mut().insert("origin", origin.parse().expect("a header"));
    connect_async(request).await
}

/// Whoever logs out, or is logged out, reads no further; others do.
async fn readers_end_with_their_session(docker: &Docker, world: &World) {
    let (name, origin) = (docker.name("hostile"), world.system.origin());
    let second = Client::new(&origin).expect("a browser");
    second.post("login", &json!({ "name": "admin", "password": PASSWORD })).await.expect("logs in");
    let (mut kept, query) =
        (world.read(&format!("container={name}&lines=1")).await, format!("logs/stream?container={name}"));
    let mut stream = second.events(&query).await.expect("a stream");
    stream.wait(20 * SECOND, |name, _| (name == "live").then_some(())).await.expect("it is live");
    let (mut socket, _) = socket(world, &second, &name, &origin).await.expect("a socket");
    second.post("logout", &json!({})).await.expect("logs out");
    let ended = stream.wait(20 * SECOND, |_, _| None::<()>).await.expect_err("it ends");
    assert!(ended.to_string().contains("stream ended"), "{ended:#}");
    let reason = timeout(20 * SECOND, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => {
                    break frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
                }
                Some(Ok(_)) => {}
                other => break format!("{other:?}"),
            }
        }
    });
    let reason = reason.await.expect("it ends");
    assert!(reason.contains("the session has ended"), "{reason}");
    kept.until("the other session's reader goes on", |reader| reader.live == 1 && reader.lines.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_files_are_followed_over_rotation_and_what_is_not_declared_is_not_there() {
    let folder = std::env::temp_dir().join(format!("fl-declared-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("ours");
    let log = folder.join("app.log");
    fs::write(&log, "one\ntwo\nthree\n").expect("written");
    let declared = format!("log_files = {{ app = {log:?}, later = {:?} }}", folder.join("later.log"));
    let world = World::start("log-files", Path::new("/nowhere"), &declared).await;
    let mut reader = world.read("file=app&lines=2").await;
    reader.until("the last lines", |reader| reader.texts() == ["two", "three"] && reader.live == 1).await;
    append(&log, "four\nfi");
    append(&log, "ve\n");
    reader.until("what comes", |reader| reader.texts().ends_with(&["four", "five"])).await;
    fs::rename(&log, folder.join("app.log.1")).expect("ours");
    append(&log, "six\n");
    reader.until("the new file", |reader| reader.texts().ends_with(&["six"])).await;
    fs::write(&log, "").expect("ours");
    append(&log, "7\n");
    reader.until("the emptied file", |reader| reader.texts().ends_with(&["7"])).await;

    let mut later = world.read("file=later&file=app&lines=1").await;
    later.until("why there is nothing", |reader| !reader.problems.is_empty() && reader.live == 1).await;
    assert!(later.problems[0].contains("does not exist"), "{:?}", later.problems);
    append(&folder.join("later.log"), "at last\n");
    later.until("it is there", |reader| reader.texts().contains(&"at last")).await;

    let mut unknown = world.read("file=shadow&unit=no-such-unit.slice").await;
    unknown.until("the end", |reader| reader.ended).await;
    unknown.problems.sort_unstable();
    assert!(unknown.problems[0].contains("not the name of a unit"), "{:?}", unknown.problems);
    assert!(unknown.problems[1].contains("declares no log file"), "{:?}", unknown.problems);
    for (query, status) in
        [("container=web", "404"), ("file=9/app", "404"), ("lines=5", "400"), ("file=app&follow=no", "400")]
    {
        let refused = world.client.events(&format!("logs/stream?{query}")).await.expect_err(query);
        assert!(refused.to_string().contains(status), "{query}: {refused}");
    }
    files_of_several_hosts_are_merged_live(&world, &folder).await;
    what_the_policy_denies_is_not_read(&world).await;
    fs::remove_dir_all(&folder).expect("ours");
}

async fn files_of_several_hosts_are_merged_live(world: &World, folder: &Path) {
    let log = folder.join("there.log");
    append(&log, "past of there\n");
    let config = format!("log_files = {{ app = {log:?} }}\ninterval_ms = 1000");
    let options = AgentOptions { config, docker: Some("/nowhere".into()), ..AgentOptions::default() };
    let there = world.system.agent("there", &options).expect("a second agent");
    let both = |hosts: &Value| hosts.as_array()?.iter().filter(|host| host["state"] == "online").nth(1).map(|_| ());
    world.client.wait("hosts", 20 * SECOND, both).await.expect("two hosts");
    let refused = world.client.events("logs/stream?file=app").await.expect_err("which one?");
    assert!(refused.to_string().contains("409"), "{refused}");
    let mut reader = world.read("file=here/app&file=there/app&lines=1").await;
    reader.until("both pasts", |reader| reader.lines.len() == 2 && reader.live == 1).await;
    append(&folder.join("app.log"), "now here\n");
    append(&log, "now there\n");
    let told = |reader: &Reader, source: u64, text: &str| {
        reader.lines.iter().filter(|line| line["source"] == source && line["text"] == text).count() == 1
    };
    reader.until("both", |reader| told(reader, 0, "now here") && told(reader, 1, "now there")).await;
    drop(there);
    reader.until("why one tells no more", |reader| !reader.problems.is_empty()).await;
    append(&folder.join("app.log"), "still here\n");
    reader.until("the other one goes on", |reader| told(reader, 0, "still here")).await;
    assert_eq!((reader.live, reader.lines.len(), reader.ended), (1, 5, false), "each line once: {:?}", reader.texts());
}

/// By its name on the host, for the next reader.
async fn what_the_policy_denies_is_not_read(world: &World) {
    let policy = world.system.dir().join("executor/policy.toml");
    fs::write(&policy, "[[deny]]\nactions = [\"logs.read\"]\nnames = [\"ap?\"]\n").expect("written");
    let mut reader = world.read("host=here&file=app&file=later&lines=1&follow=false").await;
    reader.until("the end", |reader| reader.ended).await;
    assert_eq!(reader.texts(), ["at last"], "the other one is read");
    let rule = format!("[[deny]] number 1 of {} denies logs.read on app", policy.display());
    assert_eq!(reader.problems, [rule]);
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("ours");
    file.write_all(text.as_bytes()).expect("written");
}
