//! A run as a transient systemd service: with its own user and sandbox, and in a control group that ends as a whole.
//!
//! Its output comes through pipes that systemd hands to it: at once, apart from the journal's limits, and no secret that
//! it prints stays on the host. Should the executor die, the pipe breaks; the run is stopped at the executor's next start.

use super::environment;
use super::marked::VARIABLE;
use super::output::Output;
use super::run::{Ended, Run};
use crate::executor::actions::Task;
use crate::executor::systemd::{Job, JobResult, MainEnd, Service, Systemd, SystemdError, UnitName, UnitState, Watched};
use crate::limits::RUN_STEP_LOOK;
use fleetlight_protocol::command::OutputStream;
use std::path::PathBuf;
use tokio::time::{Instant, sleep_until};

pub async fn run(run: &Run, systemd: &Systemd, environment_file: PathBuf, task: &Task) -> Ended {
    let mut output = Output::new(task.report.clone(), run.runbook.output_max_bytes);
    let begun = async {
        let secrets = &run.runbook.environment;
        let file = environment::put_down(secrets, environment_file).await.map_err(Ended::NotStarted)?;
        let place = file.as_ref().map(environment::PutDown::path);
        let service = service(run, place, &mut output).map_err(Ended::NotStarted)?;
        let begun = systemd.begin(service).await.map_err(not_begun)?;
        // Kept until the end: each step reads it when it begins.
        Ok((begun, file))
    };
    let ended = match begun.await {
        Ok(((watched, job), _file)) => match follow(run, &watched, job, &output, task).await {
            Ok(ended) => ended,
            Err(why) => stop(run, systemd, why).await,
        },
        Err(why @ Ended::Lost(_)) => stop(run, systemd, why).await,
        Err(why) => why,
    };
    output.finish().await;
    ended
}

/// What systemd did not answer it may have done all the same.
fn not_begun(error: SystemdError) -> Ended {
    match error {
        SystemdError::NoBus(_) => Ended::Lost(error.to_string()),
        error => Ended::NotStarted(error.to_string()),
    }
}

/// # Errors
/// Why it is to be stopped.
async fn follow(run: &Run, watched: &Watched, mut job: Job, output: &Output, task: &Task) -> Result<Ended, Ended> {
    // systemd gives the whole time to each step.
    let deadline = Instant::now() + run.runbook.timeout;
    let mut said = 0;
    loop {
        let begun = tokio::select! {
            ended = job.ended() => return match ended {
                Ok(result) => {
                    let state = watched.outcome().await;
                    say(run, &mut said, state.as_ref().map_or(0, |state| state.begun), task);
                    Ok(outcome(&result, state))
                }
                Err(error) => Err(Ended::Lost(error.to_string())),
            },
            () = task.cancel.cancelled() => return Err(Ended::Cancelled),
            () = sleep_until(deadline) => return Err(Ended::TimedOut),
            () = output.too_much() => return Err(Ended::TooMuchOutput),
            begun = begun(watched, said) => begun,
        };
        say(run, &mut said, begun, task);
    }
}

/// How many steps have begun, asked now and then.
async fn begun(watched: &Watched, said: usize) -> usize {
    // The first one begins at once.
    if said > 0 {
        tokio::time::sleep(RUN_STEP_LOOK).await;
    }
    watched.state().await.map_or(said, |state| state.begun.max(1))
}

fn say(run: &Run, said: &mut usize, begun: usize, task: &Task) {
    while *said < begun {
        run.say_step(*said, task);
        *said += 1;
    }
}

/// Over a connection of its own if the run's is lost.
async fn stop(run: &Run, systemd: &Systemd, why: Ended) -> Ended {
    let unit = UnitName::of_run(run.command);
    let stopped = match why {
        Ended::Lost(_) => match Systemd::connect().await {
            Ok(systemd) => systemd.end_run(&unit).await,
            Err(error) => Err(error),
        },
        _ => systemd.end_run(&unit).await,
    };
    match (stopped, why) {
        (Ok(_), Ended::Lost(why)) => Ended::Stopped(format!("the way to systemd was lost: {why}")),
        (Ok(_), why) => why,
        (Err(error), _) => Ended::Lost(format!("{error}: systemctl status {unit}")),
    }
}

/// What systemd says of the end.
fn outcome(result: &JobResult, state: Result<UnitState, SystemdError>) -> Ended {
    let state = match state {
        Ok(state) => state,
        Err(error) => return Ended::Lost(error.to_string()),
    };
    let step = state.begun.saturating_sub(1);
    match (state.result.as_deref(), state.main) {
        (Some("timeout"), _) => Ended::TimedOut,
        (Some("oom-kill"), _) => Ended::OutOfMemory,
        (_, Some(MainEnd::Exited(code))) => Ended::Exited { step, code },
        (_, Some(MainEnd::Killed(signal))) => Ended::Killed { step, signal },
        (result_word, None) => {
            Ended::NotStarted(format!("systemd says {} ({result:?})", result_word.unwrap_or("nothing of its result")))
        }
    }
}

fn service(run: &Run, environment_file: Option<PathBuf>, output: &mut Output) -> Result<Service, String> {
    let runbook = &run.runbook;
    let write = runbook.sandbox.write.as_ref();
    Ok(Service {
        unit: UnitName::of_run(run.command),
        description: format!("Fleetlight runbook {}", runbook.name),
        steps: run.steps.clone(),
        user: runbook.user.clone(),
        working_dir: runbook.working_dir.clone(),
        environment: vec![format!("{VARIABLE}={}", run.command)],
        environment_file,
        timeout: runbook.timeout,
        memory_max_bytes: runbook.sandbox.memory_max_bytes,
        new_privileges: runbook.sandbox.new_privileges,
        network: runbook.sandbox.network,
        write: write.map(|paths| paths.iter().map(|path| path.to_string_lossy().into_owned()).collect()),
        stdout: output.pipe(OutputStream::Stdout)?,
        stderr: output.pipe(OutputStream::Stderr)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_did_not_answer_may_have_begun() {
        assert!(matches!(not_begun(SystemdError::NoBus("no answer".into())), Ended::Lost(_)));
        assert!(matches!(not_begun(SystemdError::Refused("bad property".into())), Ended::NotStarted(_)));
    }

    #[test]
    fn an_end_is_told_by_what_systemd_says() {
        let state = |result: &str, main, begun| {
            Ok(UnitState { result: Some(result.into()), main, begun, ..UnitState::default() })
        };
        let failed = JobResult::Other("failed".into());
        let exited = |code| Some(MainEnd::Exited(code));
        for (result, state, ended) in [
            (JobResult::Done, state("success", exited(0), 2), Ended::Exited { step: 1, code: 0 }),
            (failed.clone(), state("exit-code", exited(23), 1), Ended::Exited { step: 0, code: 23 }),
            (failed.clone(), state("signal", Some(MainEnd::Killed(9)), 1), Ended::Killed { step: 0, signal: 9 }),
            (failed.clone(), state("timeout", Some(MainEnd::Killed(15)), 1), Ended::TimedOut),
            (failed.clone(), state("oom-kill", Some(MainEnd::Killed(9)), 1), Ended::OutOfMemory),
        ] {
            assert_eq!(outcome(&result, state), ended);
        }
        assert!(
            matches!(outcome(&failed, state("resources", None, 0)), Ended::NotStarted(why) if why.contains("resources"))
        );
    }
}
