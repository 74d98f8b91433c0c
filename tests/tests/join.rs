//! The line that the page shows joins a host as it stands, pasted beside the agent's binary.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use fleetlight_tests::system::{Options, System, binary};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A shell and all that it started.
struct Pasted(Child);

impl Pasted {
    /// Runs `line` in `folder`, where `sudo` runs what it is given and the agent's state is the test's own.
    fn run(line: &str, folder: &Path) -> Self {
        let tools = folder.join("tools");
        fs::create_dir_all(&tools).expect("a folder");
        let sudo = tools.join("sudo");
        fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n").expect("a file");
        fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).expect("executable");
        symlink(binary("fleetlight-agent").expect("built"), folder.join("fleetlight-agent")).expect("a link");
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
        let log = fs::File::create(folder.join("log")).expect("a file");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).current_dir(folder).env("PATH", path);
        command.env("FLEETLIGHT_AGENT_STATE_DIR", folder.join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        Self(command.spawn().expect("a shell"))
    }
}

impl Drop for Pasted {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_that_the_page_shows_joins_a_host() {
    let mut system = System::start("join", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let made = client.post("join-tokens", &json!({ "host_name": "pasted" })).await.expect("a token");
    let line = made["command"].as_str().expect("a line");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).expect("the README");
    let token = made["token"].as_str().expect("a token");
    assert!(readme.contains(&line.replace(token, "<token>")), "the README has another line than {line:?}");

    let folder = system.dir().join("new-host");
    fs::create_dir_all(&folder).expect("a folder");
    let pasted = Pasted::run(line, &folder);
    let online = client.wait("hosts", Duration::from_secs(30), |hosts| {
        let host = hosts.as_array()?.iter().find(|host| host["name"] == "pasted")?;
        (host["state"] == "online").then_some(())
    });
    if let Err(error) = online.await {
        panic!("{error:#}: {}", fs::read_to_string(folder.join("log")).unwrap_or_default());
    }
    drop(pasted);

    // Nothing of it is left half done: Postgres's own words go into the controller's log.
    let controller = system.controller().expect("runs");
    controller.stop().expect("stops");
    let log = controller.log();
    // What the stop cuts short is rolled back, and Postgres says of it that its client went.
    let complaint =
        |line: &&str| (line.contains("FATAL") || line.contains("ERROR")) && !line.contains("connection to client lost");
    assert_eq!(log.lines().find(complaint), None, "{log}");
}
