//! Runs as plain children, with real processes.

use super::*;
use crate::config::AgentConfig;
use crate::executor::actions::Report;
use fleetlight_protocol::command::OutputStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
struct Heard(Mutex<(Vec<String>, Vec<u8>)>);

impl Heard {
    fn output(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner).1).into_owned()
    }

    fn steps(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

impl Report for Heard {
    fn step(&self, text: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.push(text.to_owned());
    }

    fn output(&self, _stream: OutputStream, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.extend_from_slice(&bytes[..bytes.len().min(1_000)]);
    }
}

struct Stage {
    task: Task,
    heard: Arc<Heard>,
}

impl Stage {
    fn new() -> Self {
        let heard = Arc::new(Heard::default());
        let executor_state_dir = std::env::temp_dir().join(format!("fleetlight-run-{}", Uuid::new_v4()));
        let executor = Arc::new(Executor::new(AgentConfig { executor_state_dir, ..AgentConfig::default() }));
        let report = Arc::clone(&heard) as Arc<dyn Report>;
        Self { task: Task { executor, command: Uuid::now_v7(), report, cancel: CancellationToken::new() }, heard }
    }

    /// A shell script, so that a test can start what it likes; more of the file behind it.
    async fn run(&self, script: &str, more: &str) -> Ended {
        let (steps, user) = (format!("[['/bin/sh', '-c', '''{script}''']]"), own_name());
        self.run_steps(&steps, &format!("user = '{user}'\n{more}")).await
    }

    async fn run_steps(&self, steps: &str, more: &str) -> Ended {
        let text = format!("description = 'a test'\nsteps = {steps}\n{more}");
        let runbook = Runbook::parse("test", &text).expect("a runbook");
        let account = Account::find(&runbook.user).expect("an account");
        let steps = runbook.fill(&BTreeMap::new()).expect("no parameters");
        let run = Run { command: self.task.command, runbook, steps };
        child::run(&run, &account, &self.task).await
    }
}

fn own_name() -> String {
    let own = rustix::process::geteuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").expect("accounts");
    let line = accounts.lines().find(|line| line.split(':').nth(2) == Some(&own)).expect("our account");
    line.split(':').next().expect("a name").to_owned()
}

/// A file that tells the pid of a process which a script has started.
struct PidFile(PathBuf);

impl PidFile {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("fleetlight-pid-{}", Uuid::new_v4())))
    }

    async fn read(&self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(pid) = std::fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok()) {
                return pid;
            }
            assert!(Instant::now() < deadline, "the script has not started its process");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One that nobody has reaped yet does not run either.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn steps_run_one_after_the_other_until_one_fails() {
    let stage = Stage::new();
    let steps = "[['/bin/echo', 'one'], ['/bin/sh', '-c', 'echo two >&2; exit 3'], ['/bin/echo', 'three']]";
    let ended = stage.run_steps(steps, &format!("user = '{}'", own_name())).await;
    assert_eq!(ended, Ended::Exited { step: 1, code: 3 });
    assert_eq!(stage.heard.output(), "one\ntwo\n");
    assert_eq!(stage.heard.steps(), ["step 1 of 3: /bin/echo", "step 2 of 3: /bin/sh"]);
}

#[tokio::test]
async fn only_the_declared_environment_is_there() {
    let stage = Stage::new();
    let ended = stage.run("env", "working_dir = '/'\n[environment]\nTOKEN = 'a $b'").await;
    assert_eq!(ended, Ended::Exited { step: 0, code: 0 });
    let output = stage.heard.output();
    let mut names: Vec<_> = output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !matches!(*name, "_" | "SHLVL" | "PWD" | "OLDPWD"));
    names.sort_unstable();
    assert_eq!(names, ["FLEETLIGHT_COMMAND", "HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TOKEN", "USER"]);
    assert!(output.contains("TOKEN=a $b\n") && output.contains(&stage.task.command.to_string()), "{output}");
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_stopped() {
    let stage = Stage::new();
    let began = Instant::now();
    assert_eq!(stage.run("echo begun; sleep 60", "timeout_seconds = 1").await, Ended::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(stage.heard.output(), "begun\n");
}

#[tokio::test]
async fn one_that_prints_without_end_is_stopped() {
    let stage = Stage::new();
    assert_eq!(stage.run("yes", "output_max_bytes = 100000").await, Ended::TooMuchOutput);
}

#[tokio::test]
async fn cancelling_ends_grandchildren_in_sessions_of_their_own_and_with_a_wiped_environment() {
    let stage = Stage::new();
    let (away, wiped) = (PidFile::new(), PidFile::new());
    // The first has left group and session; the second has no mark, but is in the group.
    let tell = |file: &PidFile| format!("sh -c \"echo \\$\\$ > {}; exec sleep 60\"", file.0.display());
    let script = format!("setsid {} & exec env -i {}", tell(&away), tell(&wiped));
    let cancel = async {
        let pids = (away.read().await, wiped.read().await);
        assert!(runs(pids.0) && runs(pids.1));
        stage.task.cancel.cancel();
        pids
    };
    let (ended, pids) = tokio::join!(stage.run(&script, ""), cancel);
    assert_eq!(ended, Ended::Cancelled);
    assert!(!runs(pids.0) && !runs(pids.1), "something of it still runs");
}

#[tokio::test]
async fn what_a_run_leaves_behind_ends_with_it() {
    let stage = Stage::new();
    let left = PidFile::new();
    let script = format!("sh -c \"echo \\$\\$ > {}; exec sleep 60\" >/dev/null 2>&1 & sleep 0.3", left.0.display());
    let (ended, pid) = tokio::join!(stage.run(&script, ""), left.read());
    assert_eq!(ended, Ended::Exited { step: 0, code: 0 });
    assert!(!runs(pid), "a process in the background has outlived its run");
}

#[tokio::test]
async fn what_a_killed_executor_left_behind_is_found_and_ended() {
    let stage = Stage::new();
    let mut left = std::process::Command::new("/bin/sleep")
        .arg("60")
        .env(marked::VARIABLE, stage.task.command.to_string())
        .spawn()
        .expect("starts");
    let mut other = std::process::Command::new("/bin/sleep")
        .arg("60")
        .env(marked::VARIABLE, Uuid::now_v7().to_string())
        .spawn()
        .expect("starts");
    let words = recover(stage.task.command, &stage.task.executor).await.expect("is ended");
    assert!(words.contains("it still ran"), "{words}");
    assert!(!left.wait().expect("ended").success());
    assert!(matches!(other.try_wait(), Ok(None)), "another command's process was ended");
    assert_eq!(recover(stage.task.command, &stage.task.executor).await, Ok("nothing of it runs"));
    other.kill().expect("ends");
    other.wait().expect("ends");
}

#[tokio::test]
async fn a_run_is_its_declared_user_and_no_more() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: a run as another user: becoming one needs root");
        return;
    }
    let stage = Stage::new();
    let ended = stage.run_steps("[['/usr/bin/id']]", "user = 'nobody'").await;
    assert_eq!(ended, Ended::Exited { step: 0, code: 0 });
    let output = stage.heard.output();
    assert!(output.contains("(nobody)") && !output.contains("(root)"), "{output}");
    assert!(Account::find("no-such-account").expect_err("none").contains("there is no account"));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let stage = Stage::new();
    let ended = stage.run_steps("[['/usr/bin/no-such-program']]", &format!("user = '{}'", own_name())).await;
    assert!(
        matches!(&ended, Ended::NotStarted(why) if why.contains("/usr/bin/no-such-program: No such file")),
        "{ended:?}"
    );
}
