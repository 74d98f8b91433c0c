//! Runs compose: its output as it comes, its end within a bound, and all that it started ended with it.

use crate::executor::actions::runbook::{marked, output};
use crate::executor::actions::{Report, Task};
use crate::limits::{COMPOSE_LONGEST, RUN_KILL_WAIT};
use fleetlight_protocol::command::OutputStream;
use rustix::process::Pid;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Bytes kept of its errors, for the reason of a failure.
const LAST_BYTES: usize = 4_096;

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal,
    Cancelled,
    TooLong,
    NotStarted(String),
    /// It was to end and does not.
    Stuck(String),
}

#[derive(Debug)]
pub struct Run {
    pub ended: Ended,
    last: Arc<LastWords>,
}

impl Run {
    /// Its last words, as they may leave the host.
    #[must_use]
    pub fn last_words(&self) -> String {
        const LINES: usize = 5;
        let last = self.last.errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lines: Vec<Vec<u8>> = last.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::to_vec).collect();
        let mut lines = crate::mask::last_lines(&lines);
        lines.retain(|line| !line.trim().is_empty());
        if lines.is_empty() {
            return "it said nothing".to_owned();
        }
        lines.split_off(lines.len().saturating_sub(LINES)).join("\n")
    }
}

/// What it starts is known by the command's mark, as what a runbook starts.
pub async fn run(mut command: Command, task: &Task) -> Run {
    let last = Arc::new(LastWords { report: Arc::clone(&task.report), errors: Mutex::default() });
    // What is kept of it has a bound of its own: nothing here is ended for talking.
    let mut output = output::Output::new(Arc::clone(&last) as Arc<dyn Report>, u64::MAX);
    let ended = match spawn(&mut command, &mut output, task) {
        Ok(child) => {
            // It has the pipes' other ends too.
            drop(command);
            follow(child, task).await
        }
        Err(why) => Ended::NotStarted(why),
    };
    output.finish().await;
    Run { ended, last }
}

fn spawn(command: &mut Command, output: &mut output::Output, task: &Task) -> Result<Child, String> {
    command.env(marked::VARIABLE, task.command.to_string()).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null());
    command.stdout(output.pipe(OutputStream::Stdout)?).stderr(output.pipe(OutputStream::Stderr)?);
    command.spawn().map_err(|error| error.to_string())
}

async fn follow(mut child: Child, task: &Task) -> Ended {
    let why = tokio::select! {
        status = child.wait() => return status.map_or(Ended::Signal, ended),
        () = task.cancel.cancelled() => Ended::Cancelled,
        () = sleep(COMPOSE_LONGEST) => Ended::TooLong,
    };
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let stopped = marked::end(task.command, group).await;
    match (stopped, timeout(RUN_KILL_WAIT, child.wait()).await) {
        (Ok(_), Ok(_)) => why,
        (Err(stuck), _) => Ended::Stuck(stuck),
        (Ok(_), Err(_)) => Ended::Stuck("its process does not end: it is stuck in the kernel".into()),
    }
}

fn ended(status: ExitStatus) -> Ended {
    status.code().map_or(Ended::Signal, Ended::Code)
}

/// Passes everything on and keeps the end of the errors.
#[derive(Debug)]
struct LastWords {
    report: Arc<dyn Report>,
    errors: Mutex<Vec<u8>>,
}

impl Report for LastWords {
    fn step(&self, text: &str) {
        self.report.step(text);
    }

    fn output(&self, stream: OutputStream, bytes: &[u8]) {
        self.report.output(stream, bytes);
        if stream == OutputStream::Stderr {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            errors.extend(bytes);
            let beyond = errors.len().saturating_sub(LAST_BYTES);
            errors.drain(..beyond);
        }
    }
}
