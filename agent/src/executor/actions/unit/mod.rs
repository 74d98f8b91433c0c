//! systemd units: start, stop, restart; done when the unit is as asked, and stays so.

mod judge;
mod last_lines;

use super::{Finding, Refused, Task};
use crate::executor::policy::Policy;
use crate::executor::server::Executor;
use crate::executor::systemd::{JobResult, Systemd, SystemdError, UnitName, UnitState, Verb};
use crate::limits::{UNIT_JOB_WITHIN, UNIT_LOOK};
use crate::mask;
use fleetlight_protocol::command::{Outcome, OutputStream, UnitVerb};
use fleetlight_protocol::limits::STABLE_SECONDS;
use judge::{Held, Judge};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A unit that this host has, by its own name, and what the policy allows to be done to it.
#[derive(Debug)]
pub struct Prepared {
    verb: UnitVerb,
    unit: UnitName,
    stable: Duration,
    systemd: Systemd,
    /// Whether its journal may be read.
    logs: Result<(), Refused>,
}

/// # Errors
/// [`Refused`]: no name of a unit, none of this host's, no systemd, or the policy's rule.
pub async fn prepare(
    verb: UnitVerb,
    unit: &str,
    stable_seconds: u32,
    policy: &Policy,
    _executor: &Arc<Executor>,
) -> Result<Prepared, Refused> {
    let asked = UnitName::parse(unit).ok_or_else(|| {
        let shown = mask::cut(mask::plain(unit.as_bytes()), 80);
        Refused::new(format!("{shown:?} is not the name of a unit, such as nginx.service"))
    })?;
    if stable_seconds > STABLE_SECONDS {
        return Err(Refused::new(format!(
            "stable_seconds is {stable_seconds}, at most {STABLE_SECONDS} are waited for"
        )));
    }
    let refused = |error: SystemdError| Refused::new(error.to_string());
    let systemd = Systemd::connect().await.map_err(refused)?;
    let state = systemd.unit(&asked).await.map_err(refused)?;
    if state.load == "not-found" {
        return Err(Refused::new(format!(
            "there is no unit {asked} on this host: systemctl list-unit-files lists them"
        )));
    }
    // An alias has another name here, and it is that one which the policy judges.
    let unit = UnitName::parse(&state.id).ok_or_else(|| {
        let shown = mask::cut(mask::plain(state.id.as_bytes()), 80);
        Refused::new(format!("systemd calls {asked} {shown:?}, which is not the name of a unit that can be asked for"))
    })?;
    policy.allow(verb.action(), unit.as_str())?;
    let logs = policy.read_logs(unit.as_str());
    Ok(Prepared { verb, unit, stable: Duration::from_secs(stable_seconds.into()), systemd, logs })
}

impl Prepared {
    pub async fn run(self, task: &Task) -> Finding {
        let judge = Judge { verb: self.verb, unit: self.unit.as_str(), stable: self.stable };
        let began = crate::tick::wall_ms();
        let job = match self.verb {
            UnitVerb::Start => Verb::Start,
            UnitVerb::Stop => Verb::Stop,
            UnitVerb::Restart => Verb::Restart,
        };
        let ended = self.systemd.job(job, &self.unit, UNIT_JOB_WITHIN, &task.cancel).await;
        let state = self.systemd.unit(&self.unit).await;
        let finding = match (ended, state) {
            (Err(SystemdError::NoBus(words)), state) => judge.not_heard(&words, state.as_ref().ok()),
            (Err(error), state) => judge.not_done(&error.to_string(), state.as_ref().ok()),
            (Ok(_), Err(error)) => judge.unseen(&error.to_string()),
            (Ok(JobResult::Done), Ok(state)) => self.watch(&judge, state, task).await,
            (Ok(result), Ok(state)) => judge.ended_otherwise(&result, &state),
        };
        if matches!(finding.outcome, Outcome::Failed | Outcome::Unverified) {
            let lines = match &self.logs {
                Ok(()) => last_lines::of(&self.unit, began).await,
                Err(refused) => vec![refused.reason.clone()],
            };
            for line in lines {
                task.report.output(OutputStream::Stdout, line.as_bytes());
                task.report.output(OutputStream::Stdout, b"\n");
            }
        }
        finding
    }

    async fn watch(&self, judge: &Judge<'_>, state: UnitState, task: &Task) -> Finding {
        task.report.step(&format!("{}: {}", judge.done(), state.words()));
        if !judge.is_so(&state) {
            return judge.done_but(&state, Duration::ZERO);
        }
        match self.hold(judge, &state, task).await {
            Ok(Held::Yes) => judge.verified(&state),
            Ok(Held::Until(after, state)) => judge.done_but(&state, after),
            Ok(Held::Cancelled(after)) => judge.cancelled_while_watched(&state, after),
            Err(error) => judge.unseen(&error.to_string()),
        }
    }

    /// Looks until the effect has held as long as asked.
    async fn hold(&self, judge: &Judge<'_>, first: &UnitState, task: &Task) -> Result<Held, SystemdError> {
        let began = Instant::now();
        while began.elapsed() < self.stable {
            let pause = UNIT_LOOK.min(self.stable.saturating_sub(began.elapsed()));
            if task.cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(Held::Cancelled(began.elapsed()));
            }
            let state = self.systemd.unit(&self.unit).await?;
            if !judge.is_so(&state) || !judge.is_same(first, &state) {
                return Ok(Held::Until(began.elapsed(), state));
            }
        }
        Ok(Held::Yes)
    }
}
