//! The parent's side.

use super::message;
use crate::limits::{WORKER_BACKOFF, WORKER_MESSAGE_BYTES};
use serde::{Serialize, de::DeserializeOwned};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

/// Why a worker has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It has not answered in time. It may still: ask again, or [`Worker::restart`].
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// It could not be killed: a thread of it is stuck in the kernel.
    #[error("process {0} is stuck in the kernel and cannot be ended")]
    Unkillable(u32),
    /// It ended; the next question starts a new one, after a pause.
    #[error("worker process ended: {0}")]
    Ended(String),
    #[error("worker process could not be started: {0}")]
    NotStarted(std::io::Error),
}

/// A child process that answers questions. Dropping it ends the child.
#[derive(Debug)]
pub struct Worker {
    program: PathBuf,
    args: Vec<String>,
    running: Option<Running>,
    /// Told to end, not gone yet.
    leaving: Option<Child>,
    last_start: Option<Instant>,
    number: u64,
    quiet: bool,
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// Bytes of the next answer that have come so far.
    received: Vec<u8>,
    /// A question was cut off half-way by a cancelled [`Worker::ask`].
    torn: bool,
}

impl Worker {
    /// A worker that runs this program with `args`; it starts with the first question.
    #[must_use]
    pub fn of_this_program(args: &[&str]) -> Self {
        // Not current_exe(): an upgrade may have replaced the file meanwhile.
        Self::new("/proc/self/exe".into(), args)
    }

    /// As [`Worker::of_this_program`] for another program: tests have one of their own.
    #[must_use]
    pub fn new(program: PathBuf, args: &[&str]) -> Self {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { program, args, running: None, leaving: None, last_start: None, number: 0, quiet: false }
    }

    /// What it says on standard error goes nowhere: one that is stuck would keep that open, and with it a script that
    /// reads it.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Process id of the child, if one runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().and_then(|running| running.child.id())
    }

    /// Asks one question. Safe to drop at any await: a late answer is recognised and dropped.
    ///
    /// # Errors
    /// [`WorkerError`]; after [`WorkerError::Late`] the child still runs.
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        question: &Q,
        within: Duration,
    ) -> Result<A, WorkerError> {
        let deadline = Instant::now() + within;
        self.number += 1;
        let number = self.number;
        let bytes = message::write(number, question).map_err(|error| WorkerError::Ended(error.to_string()))?;
        if self.running.as_ref().is_some_and(|running| running.torn) {
            self.restart().await?;
        }
        let running = self.start().await?;
        match timeout_at(deadline, running.exchange(number, &bytes)).await {
            Err(_) => Err(WorkerError::Late(within)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(reason)) => {
                let reason = match self.running.take() {
                    Some(mut gone) => {
                        let _ = gone.child.start_kill();
                        let status = tokio::time::timeout(Duration::from_millis(200), gone.child.wait()).await;
                        self.leaving = Some(gone.child);
                        status.ok().and_then(Result::ok).map_or(reason, |status| status.to_string())
                    }
                    None => reason,
                };
                Err(WorkerError::Ended(reason))
            }
        }
    }

    /// Kills the child; the next question starts a new one.
    ///
    /// # Errors
    /// [`WorkerError::Unkillable`] while the old one does not go.
    pub async fn restart(&mut self) -> Result<(), WorkerError> {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.start_kill();
            self.leaving = Some(running.child);
        }
        self.wait_gone().await
    }

    async fn wait_gone(&mut self) -> Result<(), WorkerError> {
        let Some(child) = &mut self.leaving else { return Ok(()) };
        let pid = child.id().unwrap_or_default();
        match tokio::time::timeout(Duration::from_millis(200), child.wait()).await {
            Ok(_) => {
                self.leaving = None;
                Ok(())
            }
            Err(_) => Err(WorkerError::Unkillable(pid)),
        }
    }

    async fn start(&mut self) -> Result<&mut Running, WorkerError> {
        self.wait_gone().await?;
        let running = match self.running.take() {
            Some(running) => running,
            None => {
                if let Some(last) = self.last_start
                    && last.elapsed() < WORKER_BACKOFF
                {
                    return Err(WorkerError::Ended("ended a moment ago; a new one is started soon".into()));
                }
                self.last_start = Some(Instant::now());
                self.spawn().map_err(WorkerError::NotStarted)?
            }
        };
        Ok(self.running.insert(running))
    }

    fn spawn(&self) -> std::io::Result<Running> {
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if self.quiet { Stdio::null() } else { Stdio::inherit() })
            .kill_on_drop(true)
            .spawn()?;
        let missing = || std::io::Error::other("no pipe to the worker");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        Ok(Running { child, input, output, received: Vec::new(), torn: false })
    }
}

impl Running {
    async fn exchange<A: DeserializeOwned>(&mut self, number: u64, question: &[u8]) -> Result<A, String> {
        let mut message = (question.len() as u32).to_be_bytes().to_vec();
        message.extend_from_slice(question);
        self.torn = true;
        self.input.write_all(&message).await.map_err(|error| error.to_string())?;
        self.torn = false;
        loop {
            let answer = self.receive().await?;
            if message::number(&answer).map_err(|error| error.to_string())? == number {
                return message::read(&answer).map(|(_, answer)| answer).map_err(|error| error.to_string());
            }
        }
    }

    /// The next whole message. What has come of it survives a cancelled wait.
    async fn receive(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some((head, body)) = self.received.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if length > WORKER_MESSAGE_BYTES {
                    return Err(format!("answer of {length} bytes is over the bound of {WORKER_MESSAGE_BYTES}"));
                }
                if body.len() >= length {
                    let message = body[..length].to_vec();
                    self.received.drain(..4 + length);
                    return Ok(message);
                }
            }
            match self.output.read_buf(&mut self.received).await {
                Ok(0) => return Err("it closed its output".into()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn an_answer_belongs_to_its_question() {
        // cat answers each question with itself.
        let mut echo = Worker::new("/bin/cat".into(), &[]);
        for word in ["one", "two"] {
            let answer: String = echo.ask(&word, Duration::from_secs(5)).await.expect("cat answers");
            assert_eq!(answer, word);
        }
    }

    #[tokio::test]
    async fn a_silent_worker_is_late_and_can_be_restarted() {
        let mut silent = Worker::new("/bin/sleep".into(), &["60"]);
        let answer = silent.ask::<_, String>(&"hello", SOON).await;
        assert!(matches!(answer, Err(WorkerError::Late(_))), "{answer:?}");
        let pid = silent.pid().expect("still runs");
        silent.restart().await.expect("killed");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "reaped");
    }

    #[tokio::test]
    async fn a_worker_that_ends_says_how_and_is_not_started_in_a_loop() {
        let mut broken = Worker::new("/bin/false".into(), &[]);
        let first = broken.ask::<_, String>(&"hello", Duration::from_secs(5)).await;
        assert!(matches!(&first, Err(WorkerError::Ended(how)) if how.contains("exit status: 1")), "{first:?}");
        let second = broken.ask::<_, String>(&"hello", SOON).await;
        assert!(matches!(&second, Err(WorkerError::Ended(how)) if how.contains("a moment ago")), "{second:?}");
    }
}
