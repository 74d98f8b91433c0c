//! A run as plain child processes, where there is no systemd: one group, own environment, own account.

use super::account::Account;
use super::marked;
use super::output::Output;
use super::run::{Ended, Run};
use crate::executor::actions::Task;
use crate::limits::RUN_KILL_WAIT;
use fleetlight_protocol::command::OutputStream;
use rustix::process::Pid;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};

pub async fn run(run: &Run, account: &Account, task: &Task) -> Ended {
    let deadline = Instant::now() + run.runbook.timeout;
    let mut output = Output::new(task.report.clone(), run.runbook.output_max_bytes);
    let mut ended = Ended::NotStarted("it has no steps".into());
    for (index, arguments) in run.steps.iter().enumerate() {
        run.say_step(index, task);
        let child = match spawn(arguments, run, account, &mut output) {
            Ok(child) => child,
            Err(why) => {
                ended = Ended::NotStarted(format!("step {}: {}: {why}", index + 1, arguments[0]));
                break;
            }
        };
        ended = step(child, index, run, &output, deadline, task).await;
        if !matches!(ended, Ended::Exited { code: 0, .. }) {
            break;
        }
    }
    // What a run leaves behind in the background ends with it, as it does under systemd.
    if let Err(why) = marked::end(run.command, None).await {
        tracing::warn!(command = %run.command, "{why}");
    }
    output.finish().await;
    ended
}

async fn step(mut child: Child, index: usize, run: &Run, output: &Output, deadline: Instant, task: &Task) -> Ended {
    let why = tokio::select! {
        status = child.wait() => return match status {
            Ok(status) => ended(index, status),
            Err(error) => Ended::Lost(error.to_string()),
        },
        () = task.cancel.cancelled() => Ended::Cancelled,
        () = sleep_until(deadline) => Ended::TimedOut,
        () = output.too_much() => Ended::TooMuchOutput,
    };
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let stopped = marked::end(run.command, group).await;
    match (stopped, tokio::time::timeout(RUN_KILL_WAIT, child.wait()).await) {
        (Ok(_), Ok(_)) => why,
        (Err(stuck), _) => Ended::Lost(stuck),
        (Ok(_), Err(_)) => Ended::Lost("its process does not end: it is stuck in the kernel".into()),
    }
}

fn ended(step: usize, status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited { step, code },
        (None, signal) => Ended::Killed { step, signal: signal.unwrap_or_default() },
    }
}

fn spawn(arguments: &[String], run: &Run, account: &Account, output: &mut Output) -> Result<Child, String> {
    let (program, arguments) = arguments.split_first().ok_or("it has no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(account.environment()).envs(&run.runbook.environment.0);
    command.env(marked::VARIABLE, run.command.to_string()).current_dir(&run.runbook.working_dir);
    command.stdin(Stdio::null()).stdout(output.pipe(OutputStream::Stdout)?).stderr(output.pipe(OutputStream::Stderr)?);
    // A group of its own. With an account comes that no other group of the executor's is left.
    command.process_group(0).kill_on_drop(true);
    if let Some((user, group)) = account.to_become() {
        command.uid(user).gid(group);
    }
    command.spawn().map_err(|error| error.to_string())
}
