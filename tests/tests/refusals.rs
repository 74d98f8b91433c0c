//! Wrong configuration ends with an exit code of its own and a message that names file, key and
//! what is allowed, before anything starts.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use fleetlight_agent::config::AgentConfig;
use fleetlight_controller::config::{ControllerConfig, WebTls};
use fleetlight_tests::sim_agent::{authority, identity};
use fleetlight_tests::system::binary;
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// sysexits.h: EX_CONFIG.
const CONFIG: i32 = 78;
/// sysexits.h: EX_UNAVAILABLE.
const UNAVAILABLE: i32 = 69;
/// sysexits.h: EX_OSERR.
const LISTEN: i32 = 71;
/// A wrong command line.
const USAGE: i32 = 2;

struct Case {
    dir: PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("fl-refusal-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("temporary folder");
        Self { dir }
    }

    /// Exit code and standard error of `program run` with this configuration.
    fn run(&self, program: &str, config: &str) -> (Option<i32>, String) {
        self.call(program, &["run"], config)
    }

    fn call(&self, program: &str, verb: &[&str], config: &str) -> (Option<i32>, String) {
        let file = self.dir.join("config.toml");
        fs::write(&file, config).expect("temporary file");
        // What should be refused must not run for ever.
        let output = Command::new("timeout")
            .arg("20")
            .arg(binary(program).expect("built"))
            .args(verb)
            .arg("--config")
            .arg(&file)
            .output()
            .expect("starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn wrong_configuration_names_file_key_and_allowed_values() {
    let case = Case::new("config");
    let table = [
        ("fleetlight-controller", "web_port = 80", &["config.toml", "web_port", "web_listen"][..]),
        ("fleetlight-controller", "web_listen = 80", &["config.toml", "web_listen"]),
        ("fleetlight-controller", "web_listen = \"0.0.0.0:80\"", &["config.toml", "web_listen", "loopback"]),
        ("fleetlight-agent", "intervall_ms = 5000", &["config.toml", "intervall_ms", "interval_ms"]),
        ("fleetlight-agent", "interval_ms = \"often\"", &["config.toml", "interval_ms"]),
        ("fleetlight-agent", "interval_ms = 10", &["config.toml", "interval_ms", "1000 to 60000"]),
    ];
    for (program, config, expected) in table {
        let (code, message) = case.run(program, config);
        assert_eq!(code, Some(CONFIG), "{config}: {message}");
        for part in expected {
            assert!(message.contains(part), "{config}: {message:?} does not say {part:?}");
        }
        let started: Vec<_> = fs::read_dir(&case.dir).expect("folder").collect();
        assert_eq!(started.len(), 1, "nothing but the configuration file is there: {started:?}");
    }
}

#[test]
fn an_unreachable_database_is_named_without_its_password() {
    let case = Case::new("database");
    let config = format!(
        "state_dir = {:?}\ndatabase_url = \"postgres://fleet:hunter2@127.0.0.1:1/fleet\"\nweb_listen = \"127.0.0.1:0\"\nsession_listen = \"127.0.0.1:0\"\nenrol_listen = \"127.0.0.1:0\"\n",
        case.dir.join("state")
    );
    let (code, message) = case.run("fleetlight-controller", &config);
    assert_eq!(code, Some(UNAVAILABLE), "{message}");
    for part in ["config.toml", "database_url", "127.0.0.1:1"] {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_taken_port_is_named_with_its_key() {
    let case = Case::new("port");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let (tcp, udp) = (tcp.local_addr().map(|at| (tcp, at)), udp.local_addr().map(|at| (udp, at)));
    let ((_tcp, tcp), (_udp, udp)) = (tcp.expect("bound"), udp.expect("bound"));
    let keys = ["web_listen", "session_listen", "enrol_listen"];
    for (taken, address) in [("web_listen", tcp), ("session_listen", udp), ("enrol_listen", tcp)] {
        let mut config = format!("state_dir = {:?}\n{taken} = \"{address}\"\n", case.dir.join("state"));
        for key in keys.iter().filter(|key| **key != taken) {
            config += &format!("{key} = \"127.0.0.1:0\"\n");
        }
        let (code, message) = case.run("fleetlight-controller", &config);
        assert_eq!(code, Some(LISTEN), "{message}");
        for part in ["config.toml", taken, &address.to_string()] {
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
        assert!(!case.dir.join("state/postgres").exists(), "the database was not started");
    }
}

#[test]
fn a_join_token_needs_a_controller_and_a_name_that_can_be_one() {
    let case = Case::new("token");
    let config = format!("state_dir = {:?}\n", case.dir.join("state"));
    let (code, message) = case.call("fleetlight-controller", &["join-token"], &config);
    assert_eq!(code, Some(CONFIG), "{message}");
    assert!(message.contains("state_dir") && message.contains("start it first"), "{message}");
    assert!(!case.dir.join("state").exists(), "no CA was made");
    let (code, message) = case.call("fleetlight-controller", &["join-token", "--host", "two words"], &config);
    assert_eq!(code, Some(USAGE), "{message}");
    assert!(message.contains("two words") && message.contains("allowed: "), "{message}");
}

#[test]
fn an_agent_that_is_not_enrolled_says_how_to_enrol() {
    let case = Case::new("enrol");
    let (code, message) = case.run("fleetlight-agent", &format!("state_dir = {:?}", case.dir.join("state")));
    assert_eq!(code, Some(CONFIG), "{message}");
    assert!(message.contains("enrol --token"), "{message}");
}

/// What an agent says once its spool is its own.
const SPOOL_READ: &str = "left in the spool was read";

/// An agent that runs; it is ended with the test.
struct Running(Child);

impl Running {
    /// Starts one and waits until it uses its spool.
    fn start(config: &Path) -> Self {
        let (running, mut lines) = Self::begin("run", config);
        assert!(lines.any(|line| line.contains(SPOOL_READ)), "it ends before it uses its spool");
        // Whoever closes the pipe would end it at its next word.
        std::thread::spawn(move || lines.for_each(drop));
        running
    }

    /// Starts one, or its executor; also what it says.
    fn begin(verb: &str, config: &Path) -> (Self, impl Iterator<Item = String> + Send + use<>) {
        let mut agent = Command::new(binary("fleetlight-agent").expect("built"));
        let mut agent = agent.args([verb, "--config"]).arg(config).stderr(Stdio::piped()).spawn().expect("starts");
        let said = agent.stderr.take().expect("is a pipe");
        (Self(agent), BufReader::new(said).lines().map_while(Result::ok))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes the case's machine one that is enrolled: its state folder and configuration, which is in `first.toml`.
fn enrolled(case: &Case) -> (PathBuf, String) {
    let state = case.dir.join("state");
    fs::create_dir_all(&state).expect("a folder");
    let authority = authority().expect("a CA");
    let nobody = ([127, 0, 0, 1], 1).into();
    let (identity, _) = identity(&authority, &authority, uuid::Uuid::new_v4(), nobody, 0).expect("an identity");
    identity.save(&state).expect("saved");
    let config = format!("state_dir = {state:?}\n");
    fs::write(case.dir.join("first.toml"), &config).expect("temporary file");
    (state, config)
}

#[test]
fn an_agent_waits_for_the_spool_of_one_that_is_about_to_go() {
    let case = Case::new("waits");
    enrolled(&case);
    let first = Running::start(&case.dir.join("first.toml"));
    let (_second, mut lines) = Running::begin("run", &case.dir.join("first.toml"));
    assert!(lines.any(|line| line.contains("another agent uses")), "it uses what another one uses");
    drop(first);
    assert!(lines.any(|line| line.contains(SPOOL_READ)), "it has given up");
}

#[test]
fn a_second_agent_on_the_same_spool_is_refused_until_the_first_is_gone() {
    let case = Case::new("spool");
    let (state, config) = enrolled(&case);
    let first = Running::start(&case.dir.join("first.toml"));
    let (code, message) = case.run("fleetlight-agent", &config);
    assert_eq!(code, Some(CONFIG), "{message}");
    let folder = state.join("spool").display().to_string();
    for part in ["another agent", folder.as_str(), "stop that one", "spool.path"] {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    // By SIGKILL: the lock needs nobody to take it back.
    drop(first);
    drop(Running::start(&case.dir.join("first.toml")));
}

#[test]
fn a_second_executor_is_refused_until_the_first_is_gone() {
    let case = Case::new("executor");
    let socket = case.dir.join("executor").join("socket");
    let config = format!("executor_socket = {socket:?}\nexecutor_state_dir = {:?}\n", case.dir.join("state"));
    fs::write(case.dir.join("first.toml"), &config).expect("temporary file");
    let ready = |line: String| line.contains("executor ready");
    let (first, mut lines) = Running::begin("executor", &case.dir.join("first.toml"));
    assert!(lines.any(ready), "it does not listen");
    let (code, message) = case.call("fleetlight-agent", &["executor"], &config);
    assert_eq!(code, Some(CONFIG), "{message}");
    for part in [&*format!("process {}", first.0.id()), &*socket.display().to_string(), "stop that one"] {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    // By SIGKILL: its socket stays behind.
    drop(first);
    assert!(socket.exists());
    let (_second, mut lines) = Running::begin("executor", &case.dir.join("first.toml"));
    assert!(lines.any(ready), "it does not take over");
}

#[test]
fn the_manual_names_every_setting_and_no_other() {
    let web_tls = Some(WebTls { certificate: "c".into(), key: "k".into() });
    let jwt = json!({ "issuer": "i", "audience": "a", "algorithm": "RS256", "key_file": "k" });
    let jwt = serde_json::from_value(jwt).expect("settings");
    let controller = ControllerConfig { web_tls, jwt, ..ControllerConfig::default() };
    let programs =
        [("Agent", serde_json::to_value(AgentConfig::default())), ("Controller", serde_json::to_value(controller))];
    let manual = include_str!("../../docs/settings.md");
    for (program, config) in programs {
        let part = manual.split("\n## ").find(|part| part.starts_with(program)).expect("a part of the manual");
        let rows = part.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
        // Every other piece stands between backquotes; of a key with dots the last name counts.
        let words = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let mut named: Vec<&str> = words.filter_map(|key| key.rsplit('.').next()).collect();
        let config = config.expect("serialises");
        let keys = config.as_object().expect("a table").iter().flat_map(|(key, value)| match value.as_object() {
            Some(table) if !table.is_empty() => table.keys().collect(),
            _ => vec![key],
        });
        let mut keys: Vec<&String> = keys.collect();
        named.sort_unstable();
        keys.sort_unstable();
        assert_eq!(named, keys);
    }
}
