//! Runs compose: its output as it comes, its end within a bound, and all that it started ended with it.

use crate::executor::actions::Task;
use crate::limits::{COMPOSE_END, COMPOSE_LAST_WORDS, COMPOSE_LONGEST};
use fleetlight_protocol::command::OutputStream;
use fleetlight_protocol::limits::OUTPUT_CHUNK_BYTES;
use rustix::process::{Pid, Signal, kill_process_group};
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, sleep_until, timeout};

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
}

#[derive(Debug)]
pub struct Output {
    pub ended: Ended,
    /// The end of what it printed as errors.
    last: Vec<u8>,
}

impl Output {
    /// Its last words, as they may leave the host.
    #[must_use]
    pub fn last_words(&self) -> String {
        const LINES: usize = 5;
        let lines: Vec<Vec<u8>> = self.last.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::to_vec).collect();
        let mut lines = crate::mask::last_lines(&lines);
        lines.retain(|line| !line.trim().is_empty());
        if lines.is_empty() {
            return "it said nothing".to_owned();
        }
        lines.split_off(lines.len().saturating_sub(LINES)).join("\n")
    }
}

pub async fn run(mut command: Command, task: &Task) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that what it starts can be ended with it.
    command.process_group(0).kill_on_drop(true);
    match command.spawn() {
        Ok(child) => follow(child, task).await,
        Err(error) => Output { ended: Ended::NotStarted(error.to_string()), last: Vec::new() },
    }
}

async fn follow(mut child: Child, task: &Task) -> Output {
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let signal = |signal| {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
    };
    let mut pipes = Pipes::of(&mut child);
    let (mut ending, mut until) = (None, Instant::now() + COMPOSE_LONGEST);
    let status = loop {
        tokio::select! {
            () = pipes.pass(task) => {}
            status = child.wait() => break status,
            () = task.cancel.cancelled(), if ending.is_none() => {
                signal(Signal::TERM);
                (ending, until) = (Some(Ended::Cancelled), Instant::now() + COMPOSE_END);
            }
            () = sleep_until(until) => {
                signal(if ending.is_none() { Signal::TERM } else { Signal::KILL });
                ending = ending.or(Some(Ended::TooLong));
                until = Instant::now() + COMPOSE_END;
            }
        }
    };
    if ending.is_some() {
        signal(Signal::KILL);
    }
    // What it printed last is in the pipes, which something that it left behind may hold open.
    let rest = async {
        while pipes.are_open() {
            pipes.pass(task).await;
        }
    };
    let _ = timeout(COMPOSE_LAST_WORDS, rest).await;
    let ended = ending.unwrap_or_else(|| match status.map(|status| status.code()) {
        Ok(Some(code)) => Ended::Code(code),
        Ok(None) | Err(_) => Ended::Signal,
    });
    Output { ended, last: pipes.last }
}

/// Both outputs of a child.
struct Pipes {
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    out_room: Vec<u8>,
    err_room: Vec<u8>,
    last: Vec<u8>,
}

impl Pipes {
    fn of(child: &mut Child) -> Self {
        let room = || vec![0; OUTPUT_CHUNK_BYTES];
        let (out, err) = (child.stdout.take(), child.stderr.take());
        Self { out, err, out_room: room(), err_room: room(), last: Vec::new() }
    }

    fn are_open(&self) -> bool {
        self.out.is_some() || self.err.is_some()
    }

    /// Passes the next piece on; waits for ever once both have ended.
    async fn pass(&mut self, task: &Task) {
        tokio::select! {
            bytes = piece(&mut self.out, &mut self.out_room) => task.report.output(OutputStream::Stdout, bytes),
            bytes = piece(&mut self.err, &mut self.err_room) => {
                task.report.output(OutputStream::Stderr, bytes);
                self.last.extend(bytes);
                self.last.drain(..self.last.len().saturating_sub(LAST_BYTES));
            }
        }
    }
}

/// The next piece, empty at the end.
async fn piece<'a>(pipe: &mut Option<impl AsyncRead + Unpin>, room: &'a mut [u8]) -> &'a [u8] {
    let Some(open) = pipe else { return std::future::pending().await };
    let read = open.read(room).await.unwrap_or(0);
    if read == 0 {
        *pipe = None;
    }
    &room[..read]
}
