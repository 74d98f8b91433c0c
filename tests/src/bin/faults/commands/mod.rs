//! Whether any command is done twice, or told wrong, while everything is killed.
//!
//! People ask hosts for restarts of containers, runbooks and checks at a steady pace; some are cancelled, some have
//! short deadlines, some the host refuses. Meanwhile the controller, the agents and their executors are killed at
//! random moments and at named points. Then all heals, and every command must be closed, with a word that is true by
//! Docker's own record of starts and by the lines that runbooks have written. The report goes to
//! `target/faults/commands.json`.

mod asker;
mod effects;
mod host;
mod verdict;

use crate::controller::{Controller, Fate};
use crate::points;
use crate::report::{self, Deaths};
use crate::world::World;
use anyhow::{Context, Result, anyhow, ensure};
use asker::Asker;
use effects::Starts;
use fleetlight_tests::client::Client;
use fleetlight_tests::docker::Docker;
use fleetlight_tests::system::{Options, System};
use futures_util::future::join_all;
use host::Host;
use serde::Serialize;
use std::fs;
use std::time::{Duration, Instant};
use verdict::Verdict;

const HOSTS: [&str; 3] = ["hands-a", "hands-b", "hands-c"];
/// The longest that a command may stay open once all is well again, and that a host may take to connect.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    deaths: Deaths,
    /// From the peace on until the last command was closed.
    closed_after_ms: u128,
    #[serde(flatten)]
    verdict: Verdict,
}

pub async fn run(world: &World) -> Result<()> {
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => {
            println!("SKIPPED: faults of commands: {why:#}");
            ensure!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "in CI nothing may be skipped: {why:#}");
            return Ok(());
        }
    };
    let options = Options { env: vec![world.note()], ..Options::default() };
    let mut system = System::start("hands", &options)?;
    let starts = Starts::record(&docker, &system.dir().join("starts"))?;
    let client = system.set_up().await?;
    let mut hosts = Vec::new();
    for name in HOSTS {
        hosts.push(Host::enrol(world, &system, &docker, name)?);
    }
    let judged = judged(world, &mut system, &mut hosts, &client, &docker, &starts).await;
    if !judged.as_ref().is_ok_and(|report| faults(report).is_empty()) {
        crate::keep_logs(system.dir())?;
        hosts.iter().try_for_each(|host| {
            let log = host.agent.executor_folder().join("log");
            fs::copy(log, report::folder()?.join(format!("{}-executor.log", host.name)))
                .map(drop)
                .map_err(anyhow::Error::from)
        })?;
    }
    conclude(&judged?)
}

async fn judged(
    world: &World,
    system: &mut System,
    hosts: &mut [Host],
    client: &Client,
    docker: &Docker,
    starts: &Starts,
) -> Result<Report> {
    let mut askers = Vec::new();
    for host in hosts.iter() {
        let named = |list: &serde_json::Value| {
            let mut hosts = list.as_array()?.iter();
            hosts.find(|one| one["name"] == host.name && one["connected_since_ms"].is_i64())?["id"].as_i64()
        };
        let id = client.wait("hosts", CLOSED_WITHIN, named).await.context(host.name)?;
        askers.extend(host.wishes().into_iter().map(|wish| Asker::new(world, client, starts, id, wish)));
    }
    tokio::task::block_in_place(|| suffer(world, system, hosts, askers))?;
    system.env.retain(|(name, _)| name != points::ARMED);
    system.start_controller()?;
    hosts.iter_mut().try_for_each(|host| host.heal(world))?;
    let peace = Instant::now();
    let closed = |open: &serde_json::Value| open.as_array()?.is_empty().then_some(());
    let ended =
        |bulks: &serde_json::Value| bulks.as_array()?.iter().all(|bulk| bulk["state"] != "running").then_some(());
    client.wait("bulks", CLOSED_WITHIN, ended).await.context("bulks go on in peace")?;
    client.wait("commands?open=true", CLOSED_WITHIN, closed).await.context("commands stay open in peace")?;
    let closed_after_ms = peace.elapsed().as_millis();
    let verdict = verdict::judge(&system.database_url()?, hosts, docker, starts).await?;
    Ok(Report { deaths: Deaths::of(world), closed_after_ms, verdict })
}

/// All that happens, at the same time.
fn suffer(world: &World, system: &mut System, hosts: &mut [Host], mut askers: Vec<Asker<'_>>) -> Result<()> {
    let others = [Fate::Kill, Fate::Backends, Fate::Postmaster];
    let controller = Controller::new(world, system, Vec::new(), points::DISPATCH, &others);
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        let mut loops: Vec<_> = hosts.iter_mut().map(|host| scope.spawn(|| host.suffer(world))).collect();
        loops.push(scope.spawn(|| controller.suffer()));
        loops.push(scope.spawn(|| {
            runtime.block_on(join_all(askers.iter_mut().map(Asker::ask)));
            Ok(())
        }));
        let ended: Vec<Result<()>> =
            loops.into_iter().map(|one| one.join().map_err(|_| anyhow!("a loop of the suite panicked"))?).collect();
        ended.into_iter().collect()
    })
}

fn faults(report: &Report) -> Vec<String> {
    [report.deaths.faults(), report.verdict.faults()].concat()
}

fn conclude(report: &Report) -> Result<()> {
    fs::write(report::folder()?.join("commands.json"), serde_json::to_string_pretty(report)?)?;
    report.deaths.print();
    println!("  the last command was closed {} ms after the last kill", report.closed_after_ms);
    report.verdict.print();
    report.deaths.conclude(&faults(report))
}
