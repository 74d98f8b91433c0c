//! `make test-faults`: whether anything is lost or doubled while everything is killed.
//!
//! Two forms, `FORM=samples` and `FORM=commands` ([`commands`]); without, one after the other. Here is the first.
//!
//! `SEED=7 KILLS=40 faults`, or `DURATION=1500`: real agents, a real controller and its private Postgres. The
//! controller, one agent, and processes of Postgres are killed at random moments and at named points; wires are cut;
//! hours end and are packed. Meanwhile other hosts' disks are full, clocks wrong, and spools too small. Then all heals,
//! and Postgres must hold what the agents took. The report goes to `target/faults/report.json`.

mod commands;
mod controller;
mod hosts;
mod points;
mod random;
mod report;
mod small_disk;
mod stored;
mod taken;
mod verdict;
mod world;

use anyhow::{Context, Result, anyhow, ensure};
use controller::{Controller, Fate};
use fleetlight_tests::system::{Options, System};
use hosts::Host;
use report::Report;
use std::fs;
use std::path::Path;
use std::time::Duration;
use verdict::{Allowed, judge};
use world::{Form, Goal, World};

/// All of the short form.
const KILLS: u64 = 40;
const HOSTS: [(&str, Allowed); 4] = [
    ("killed", Allowed::Nothing),
    ("full-disk", Allowed::NotOnDisk),
    ("wrong-clock", Allowed::RefusedForTime),
    ("away", Allowed::Evicted),
];
/// Ticks that all take in peace before they are judged.
const PEACE: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> Result<()> {
    let number =
        |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().context(name.to_owned())).transpose();
    let seed = number("SEED")?.unwrap_or_else(|| fleetlight_agent::tick::wall_ms() as u64 % 1_000_000);
    let goal = match (number("KILLS")?, number("DURATION")?) {
        (None, Some(seconds)) => Goal::Lasting(Duration::from_secs(seconds)),
        (kills, _) => Goal::Kills(kills.unwrap_or(KILLS)),
    };
    let asked = std::env::var("FORM").ok();
    let forms = [Form::Samples, Form::Commands];
    let forms: Vec<_> =
        forms.into_iter().filter(|form| asked.as_deref().is_none_or(|name| name == form.name())).collect();
    ensure!(!forms.is_empty(), "FORM is neither samples nor commands");
    for form in forms {
        let folder = std::env::temp_dir().join(format!("fl-faults-world-{}", std::process::id()));
        let world = World::new(&folder, form, seed, goal)?;
        println!("faults: {}", world.again());
        let concluded = match form {
            Form::Samples => run(&world).await.and_then(|report| report.conclude()),
            Form::Commands => commands::run(&world).await,
        };
        let _ = fs::remove_dir_all(&folder);
        concluded?;
    }
    Ok(())
}

async fn run(world: &World) -> Result<Report> {
    // Clocks leap from hour to hour: nothing is to grow too old.
    let extra = "[retention]\nraw_days = 3650\nminute_days = 3650\nquarter_days = 3650\n".to_owned();
    let options = Options { extra, env: world.env(false)?, ..Options::default() };
    let mut system = System::start("faults", &options)?;
    let (mut hosts, mut skipped) = (Vec::new(), Vec::new());
    for (name, allowed) in HOSTS {
        if allowed == Allowed::NotOnDisk && !rustix::process::geteuid().is_root() {
            println!("SKIPPED: a host whose disk is full: only root may mount a small one");
            ensure!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "in CI no host may be skipped: run as root");
            skipped.push(name);
            continue;
        }
        hosts.push(Host::enrol(world, &system, name, allowed).await?);
    }
    let suffered = tokio::task::block_in_place(|| suffer(world, &mut system, &mut hosts));
    let judged = match suffered.and_then(|()| heal(world, &mut system, &mut hosts)) {
        Ok(()) => judged(world, &system, &mut hosts, skipped).await,
        Err(error) => Err(error),
    };
    if !judged.as_ref().is_ok_and(Report::is_good) {
        keep_logs(system.dir())?;
    }
    judged
}

async fn judged(world: &World, system: &System, hosts: &mut [Host], skipped: Vec<&'static str>) -> Result<Report> {
    let mut report = Report::new(world, skipped);
    tokio::time::sleep(PEACE).await;
    let url = system.database_url()?;
    for host in hosts {
        let mut verdict = judge(&url, host.name, &mut host.taken, host.allowed).await?;
        verdict.expect(host.met_full_disk(), || "its disk was never full for it".to_owned());
        report.hosts.insert(host.name, verdict);
    }
    Ok(report)
}

/// The processes' words on a run that went wrong, beside the report.
fn keep_logs(from: &Path) -> Result<()> {
    let folder = report::folder()?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let (Some("log"), Some(name)) = (path.extension().and_then(|ending| ending.to_str()), path.file_name()) {
            fs::copy(&path, folder.join(name))?;
        }
    }
    println!("the processes' logs are in {}", folder.display());
    Ok(())
}

/// All that happens, at the same time.
fn suffer(world: &World, system: &mut System, hosts: &mut [Host]) -> Result<()> {
    let wires = hosts.iter().filter(|host| host.allowed != Allowed::Evicted).map(Host::wire).collect();
    let others = [Fate::Kill, Fate::Kill, Fate::Backends, Fate::Postmaster, Fate::Wires];
    let controller = Controller::new(world, system, wires, points::CONTROLLER, &others);
    std::thread::scope(|scope| {
        let mut loops: Vec<_> = hosts.iter_mut().map(|host| scope.spawn(|| host.suffer(world))).collect();
        loops.push(scope.spawn(|| controller.suffer()));
        let ended: Vec<Result<()>> =
            loops.into_iter().map(|one| one.join().map_err(|_| anyhow!("a loop of the suite panicked"))?).collect();
        ended.into_iter().collect()
    })
}

fn heal(world: &World, system: &mut System, hosts: &mut [Host]) -> Result<()> {
    system.env.retain(|(name, _)| name != points::ARMED);
    // What has not been packed is, with a last hour's end.
    world.end_the_hour()?;
    system.start_controller()?;
    hosts.iter_mut().try_for_each(|host| host.heal(world))
}
