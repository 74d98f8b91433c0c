//! Processes of a run on a host without systemd: known by a variable of their environment, which holds the command's id.
//!
//! It is there from the first instruction on, goes to every child whatever its parent or session, and cannot be that of
//! a process with a used number. A program that wipes its environment is still found in its process group: in that of
//! the step that runs, or in that of a process with the mark.

use crate::limits::{RUN_GRACE, RUN_KILL_WAIT, RUN_LOOK};
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, getpgrp, kill_process_group, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Also for scripts: which command they belong to.
pub const VARIABLE: &str = "FLEETLIGHT_COMMAND";

/// Ends all processes of a run: by SIGTERM, then by SIGKILL. `false`: there were none. `group` is that of a child which
/// is not reaped before this returns, so that its number is no other's.
///
/// # Errors
/// In words: some do not go.
pub async fn end(command: Uuid, group: Option<Pid>) -> Result<bool, String> {
    end_within(command, group, RUN_GRACE).await
}

async fn end_within(command: Uuid, group: Option<Pid>, grace: Duration) -> Result<bool, String> {
    if signal(command, group, Signal::TERM).await? == 0 {
        return Ok(false);
    }
    let kill_from = Instant::now() + grace;
    let give_up = kill_from + RUN_KILL_WAIT;
    loop {
        let now = Instant::now();
        let left =
            if now < kill_from { find(command, group).await? } else { signal(command, group, Signal::KILL).await? };
        if left == 0 {
            return Ok(true);
        }
        if now >= give_up {
            return Err(format!("{left} processes of the run do not end: they are stuck in the kernel"));
        }
        tokio::time::sleep(RUN_LOOK).await;
    }
}

async fn find(command: Uuid, group: Option<Pid>) -> Result<usize, String> {
    blocking(move || members(command, group).len()).await
}

/// How many there were.
async fn signal(command: Uuid, group: Option<Pid>, with: Signal) -> Result<usize, String> {
    blocking(move || {
        let found = members(command, group);
        let mut groups: BTreeSet<_> = group.into_iter().map(Pid::as_raw_nonzero).collect();
        for pid in &found {
            signal_one(*pid, command, with);
            groups.extend(getpgid(Some(*pid)).ok().map(Pid::as_raw_nonzero));
        }
        groups.remove(&getpgrp().as_raw_nonzero());
        for group in groups.into_iter().filter_map(|group| Pid::from_raw(group.get())) {
            let _ = kill_process_group(group, with);
        }
        found.len()
    })
    .await
}

/// Files of `/proc` wait for a process that is stuck.
async fn blocking<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let looked = tokio::time::timeout(RUN_KILL_WAIT, tokio::task::spawn_blocking(look)).await;
    match looked {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(format!("/proc could not be looked through: {error}")),
        Err(_) => Err("/proc does not answer: a process is stuck in the kernel".into()),
    }
}

/// By a descriptor that stays with the process: its number may be another's by now.
fn signal_one(pid: Pid, command: Uuid, with: Signal) {
    if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
        && is_marked(pid, &mark(command))
    {
        let _ = pidfd_send_signal(process, with);
    }
}

fn members(command: Uuid, group: Option<Pid>) -> Vec<Pid> {
    let mark = mark(command);
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_member = |pid: &Pid| is_marked(*pid, &mark) || group.is_some_and(|group| is_in_group(*pid, group));
    numbers.filter_map(Pid::from_raw).filter(is_member).collect()
}

/// Whether it belongs to the group and still runs: a zombie waits for its parent only.
fn is_in_group(pid: Pid, group: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // After the name in parentheses, which may hold anything: state, parent, group.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let state = fields.next();
    !matches!(state, None | Some("Z" | "X")) && fields.nth(1) == Some(&group.as_raw_nonzero().to_string())
}

fn mark(command: Uuid) -> Vec<u8> {
    format!("{VARIABLE}={command}").into_bytes()
}

/// A zombie has no environment any more, and another account's is not ours to read.
fn is_marked(pid: Pid, mark: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[tokio::test]
    async fn one_that_ignores_sigterm_is_killed() {
        let command = Uuid::now_v7();
        let mut deaf = Command::new("/bin/sh")
            .args(["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"])
            .env(VARIABLE, command.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut word = String::new();
        BufReader::new(deaf.stdout.take().expect("a pipe")).read_line(&mut word).expect("says that it is deaf");
        assert_eq!(end_within(command, None, Duration::from_millis(200)).await, Ok(true));
        assert!(!deaf.wait().expect("ended").success());
        assert_eq!(end(command, None).await, Ok(false));
    }
}
