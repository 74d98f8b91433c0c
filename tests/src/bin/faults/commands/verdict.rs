//! Whether every command is closed, once, with a word that is true.

use super::effects::{self, Starts};
use super::host::Host;
use anyhow::{Context, Result};
use fleetlight_tests::docker::Docker;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection, PgConnection, Row};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// As many of what is wrong are named.
const FAULTS: usize = 20;
/// A daemon notes a start in its container a moment before or after it tells of it.
const DAEMON_MS: i64 = 2_000;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// Commands by action and outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Starts of containers and lines of runbooks that belong to a command.
    pub effects: u64,
    /// The first few of what is wrong.
    pub wrong: Vec<String>,
}

/// A command as Postgres has it.
#[derive(Debug)]
struct Told {
    id: Uuid,
    name: String,
    container: Option<String>,
    state: String,
    outcome: String,
    asked_ms: i64,
    began_ms: Option<i64>,
    ended_ms: Option<i64>,
    late: bool,
    /// It belongs to a bulk, as one of its items.
    is_bulk: bool,
    is_item: bool,
    /// Rows of the audit log, closings of them, and what the log says.
    rows: i64,
    closings: i64,
    audited: Option<String>,
}

const SELECT: &str = "select c.id, c.name, c.action, c.state, coalesce(c.outcome, '') as outcome,
    ms_of(c.asked_at) as asked_ms, c.began_ms, c.ended_ms, c.late,
    c.bulk_id is not null as is_bulk, exists (select from bulk_items where command_id = c.id) as is_item,
    (select count(*) from audit where audit.command_id = c.id) as rows,
    (select count(*) from audit join audit_closings on audit_id = audit.id where audit.command_id = c.id) as closings,
    (select min(outcome) from audit_log where audit_log.command_id = c.id) as audited
    from commands as c order by c.asked_at, c.id";

/// Compares what was told with what was done.
pub async fn judge(url: &str, hosts: &[Host], docker: &Docker, starts: &Starts) -> Result<Verdict> {
    let mut connection = PgConnection::connect(url).await?;
    let rows = sqlx::query(SELECT).fetch_all(&mut connection).await?;
    let told: Vec<Told> = rows.iter().map(told).collect();
    let mut verdict = Verdict::default();
    let open =
        "select count(*) from audit_log where outcome = 'open' and (command_id is not null or bulk_id is not null)";
    let open: i64 = sqlx::query_scalar(open).fetch_one(&mut connection).await?;
    verdict.expect(open == 0, || format!("{open} acts are open in the audit log"));
    let mut done = verdict.of_runbooks(hosts, &told)?;
    done.extend(verdict.of_containers(hosts, &told, docker, &starts.read()?)?);
    for command in &told {
        verdict.look_at(command, done.get(&command.id).map_or(&[], Vec::as_slice));
    }
    Ok(verdict)
}

fn told(row: &sqlx::postgres::PgRow) -> Told {
    let action: Value = row.get("action");
    Told {
        id: row.get("id"),
        name: row.get("name"),
        container: action["container"]["container"]["id"].as_str().map(str::to_owned),
        state: row.get("state"),
        outcome: row.get("outcome"),
        asked_ms: row.get("asked_ms"),
        began_ms: row.get("began_ms"),
        ended_ms: row.get("ended_ms"),
        late: row.get("late"),
        is_bulk: row.get("is_bulk"),
        is_item: row.get("is_item"),
        rows: row.get("rows"),
        closings: row.get("closings"),
        audited: row.get("audited"),
    }
}

/// What was done by each command: when, where that is known.
type Done = HashMap<Uuid, Vec<Option<i64>>>;

impl Verdict {
    fn of_runbooks(&mut self, hosts: &[Host], told: &[Told]) -> Result<Done> {
        let mut done = Done::new();
        for host in hosts {
            for id in effects::lines(&host.lines)? {
                self.expect(told.iter().any(|command| command.id == id && command.name == "runbook.run"), || {
                    format!("{}: a runbook ran for {id}, for which nobody had asked", host.name)
                });
                done.entry(id).or_default().push(None);
            }
        }
        Ok(done)
    }

    /// A container's starts belong to the last command on it that was asked before: the next is asked only once that
    /// one has ended.
    fn of_containers(
        &mut self,
        hosts: &[Host],
        told: &[Told],
        docker: &Docker,
        starts: &BTreeMap<String, Vec<i64>>,
    ) -> Result<Done> {
        let mut done = Done::new();
        for target in hosts.iter().flat_map(|host| host.containers.iter().chain(&host.bulk).chain([&host.denied])) {
            // The first is its making.
            let starts = starts.get(&target.id).context("no start of a container was recorded")?;
            for at_ms in &starts[1..] {
                let of_it = told.iter().filter(|one| one.container.as_ref() == Some(&target.id));
                match of_it.rev().find(|one| one.asked_ms <= *at_ms) {
                    Some(command) => done.entry(command.id).or_default().push(Some(*at_ms)),
                    None => self.expect(false, || format!("{}: started before anybody asked", target.name)),
                }
            }
            let (last, own) = (starts[starts.len() - 1], effects::started_at(docker, &target.id)?);
            self.expect((last - own).abs() < DAEMON_MS, || {
                format!("{}: Docker says that it started at {own}, the last that was recorded is {last}", target.name)
            });
        }
        Ok(done)
    }

    fn look_at(&mut self, command: &Told, done: &[Option<i64>]) {
        let name = if command.is_bulk { "bulk's " } else { "" };
        *self.outcomes.entry(format!("{name}{} {}", command.name, command.outcome)).or_default() += 1;
        self.effects += done.len() as u64;
        let times = done.len();
        self.expect(command.state == "finished", || format!("not closed: {command:?}"));
        self.expect(is_true(command, times), || format!("done {times} times: {command:?}"));
        // Verified: it was done while it ran.
        let while_it_ran = |at_ms: &i64| {
            let (began, ended) = (command.began_ms.unwrap_or(i64::MAX), command.ended_ms.unwrap_or(i64::MIN));
            (began..=ended).contains(at_ms)
        };
        let when = command.outcome != "verified" || done.iter().flatten().all(while_it_ran);
        self.expect(when, || format!("done at {done:?}, not while it ran: {command:?}"));
        self.expect(command.rows == 1 && command.audited.as_ref() == Some(&command.outcome), || {
            format!("the audit log differs: {command:?}")
        });
        self.expect(command.is_bulk == command.is_item, || format!("begun twice for one item: {command:?}"));
        self.expect(command.closings == 1 + i64::from(command.late), || format!("closed more than once: {command:?}"));
    }

    fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds && self.wrong.len() < FAULTS {
            self.wrong.push(otherwise());
        }
    }

    /// Everything wrong, and what never happened though it should have.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.wrong.clone();
        for needed in [
            "container.restart verified",
            "bulk's container.restart verified",
            "runbook.run verified",
            "check verified",
            "container.restart refused",
        ] {
            if !self.outcomes.contains_key(needed) {
                faults.push(format!("no {needed}"));
            }
        }
        for needed in ["interrupted", "cancelled"] {
            if !self.outcomes.keys().any(|outcome| outcome.ends_with(needed)) {
                faults.push(format!("nothing was {needed}"));
            }
        }
        faults
    }

    pub fn print(&self) {
        println!("{} commands, closed and audited: {:?}", self.outcomes.values().sum::<u64>(), self.outcomes);
        println!("{} starts of containers and lines of runbooks, each of one command", self.effects);
    }
}

/// Whether a command that ended so can have been done so many times.
fn is_true(command: &Told, times: usize) -> bool {
    let leaves_a_trace = command.name != "check";
    match command.outcome.as_str() {
        "verified" => times == usize::from(leaves_a_trace),
        "refused" | "expired" => times == 0,
        // It may have been stopped before, while or after it was done; if it never began it was not.
        "unverified" | "failed" | "cancelled" | "interrupted" => times <= usize::from(command.began_ms.is_some()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, outcome: &str) -> Told {
        Told {
            id: Uuid::nil(),
            name: name.into(),
            container: None,
            state: "finished".into(),
            outcome: outcome.into(),
            asked_ms: 0,
            began_ms: Some(10),
            ended_ms: Some(20),
            late: false,
            is_bulk: false,
            is_item: false,
            rows: 1,
            closings: 1,
            audited: Some(outcome.into()),
        }
    }

    fn wrong(command: &Told, done: &[Option<i64>]) -> bool {
        let mut verdict = Verdict::default();
        verdict.look_at(command, done);
        !verdict.wrong.is_empty()
    }

    #[test]
    fn what_was_done_twice_or_told_wrong_is_found() {
        let at = |count: usize| vec![Some(15); count];
        for (outcome, good) in [("verified", 1..=1), ("refused", 0..=0), ("expired", 0..=0), ("interrupted", 0..=1)] {
            for times in 0..3 {
                let found = wrong(&told("container.restart", outcome), &at(times));
                assert_eq!(found, !good.contains(&times), "{outcome}, done {times} times");
            }
        }
        let unbegun = Told { began_ms: None, ..told("runbook.run", "cancelled") };
        assert!(wrong(&unbegun, &[None]) && !wrong(&unbegun, &[]), "never begun, and done");
        assert!(wrong(&told("container.restart", "verified"), &[Some(25)]), "done after it had ended");
        assert!(!wrong(&told("check", "verified"), &[]), "a check leaves no trace");
        assert!(wrong(&told("check", "unknown"), &[]), "an outcome that none may have");
    }

    #[test]
    fn a_command_without_its_end_in_the_audit_log_is_found() {
        let good = || told("check", "verified");
        assert!(wrong(&Told { state: "sent".into(), ..good() }, &[]));
        assert!(wrong(&Told { audited: Some("open".into()), ..good() }, &[]));
        assert!(wrong(&Told { audited: Some("failed".into()), ..good() }, &[]));
        assert!(wrong(&Told { rows: 2, ..good() }, &[]) && wrong(&Told { closings: 2, ..good() }, &[]));
        assert!(wrong(&Told { is_bulk: true, ..good() }, &[]), "no item of the bulk has it");
        assert!(!wrong(&Told { closings: 2, late: true, ..good() }, &[]), "what comes late is added");
    }
}
