//! What a run found, in words and as JSON.

use crate::verdict::Verdict;
use crate::world::{Goal, World};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How many processes died where.
#[derive(Debug, Serialize)]
pub struct Deaths {
    seed: u64,
    again: String,
    seconds: u64,
    kills: u64,
    /// As many at least were asked for.
    wanted: u64,
    /// From outside, by victim.
    random_kills: BTreeMap<&'static str, u64>,
    /// Deaths at each point.
    points: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    deaths: Deaths,
    pub hosts: BTreeMap<&'static str, Verdict>,
    /// Hosts that this run is without.
    skipped: Vec<&'static str>,
}

impl Deaths {
    pub fn of(world: &World) -> Self {
        Self {
            seed: world.seed,
            again: world.again(),
            seconds: world.elapsed().as_secs(),
            kills: world.total(),
            wanted: match world.goal {
                Goal::Kills(kills) => kills,
                Goal::Lasting(_) => 0,
            },
            random_kills: world.kills(),
            points: world.hits(),
        }
    }

    /// What is lacking.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let never: Vec<_> = self.points.iter().filter(|(_, hits)| **hits == 0).map(|(point, _)| point).collect();
        if !never.is_empty() {
            faults.push(format!("never hit: {never:?}"));
        }
        if self.kills < self.wanted {
            faults.push(format!("time ran out after {} kills of {}", self.kills, self.wanted));
        }
        faults
    }

    /// Prints them.
    pub fn print(&self) {
        println!("{} kills in {} s (seed {}):", self.kills, self.seconds, self.seed);
        println!("  at random moments: {:?}", self.random_kills);
        println!("  at points: {:?}", self.points);
    }

    /// The last word on a run.
    ///
    /// # Errors
    /// These are its faults.
    pub fn conclude(&self, faults: &[String]) -> Result<()> {
        ensure!(faults.is_empty(), "{faults:#?}\nthe same faults again: {}", self.again);
        println!("nothing lost, nothing twice; the same faults again: {}", self.again);
        Ok(())
    }
}

impl Report {
    pub fn new(world: &World, skipped: Vec<&'static str>) -> Self {
        Self { deaths: Deaths::of(world), hosts: BTreeMap::new(), skipped }
    }

    /// All that is wrong.
    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = self
            .hosts
            .iter()
            .filter_map(|(name, host)| host.check(name).err())
            .map(|error| error.to_string())
            .collect();
        faults.extend(self.deaths.faults());
        if self.hosts.values().all(|host| host.packed_rows == 0) {
            faults.push("no row was packed".to_owned());
        }
        faults
    }

    pub fn is_good(&self) -> bool {
        self.faults().is_empty()
    }

    /// Writes and prints it.
    ///
    /// # Errors
    /// Something was lost or doubled, a point was never hit, or kills are lacking.
    pub fn conclude(&self) -> Result<()> {
        fs::write(folder()?.join("report.json"), serde_json::to_string_pretty(self)?)?;
        self.deaths.print();
        for (name, host) in &self.hosts {
            println!(
                "host {name}: {} ticks of {} starts taken; {} rows there once, with their values ({} packed); {} events; {} ticks missing, counted: {:?}",
                host.ticks, host.starts, host.rows, host.packed_rows, host.events, host.missing, host.refused
            );
        }
        if !self.skipped.is_empty() {
            println!("without the hosts {:?}", self.skipped);
        }
        self.deaths.conclude(&self.faults())
    }
}

/// Where reports go.
pub fn folder() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/faults");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Form;
    use std::time::Duration;

    #[test]
    fn a_run_out_of_time_with_fewer_kills_than_asked_for_fails() {
        let folder = std::env::temp_dir().join(format!("fl-report-{}", std::process::id()));
        let faults = |goal| {
            Report::new(&World::new(&folder, Form::Samples, 7, goal).expect("a world"), Vec::new()).faults().join("\n")
        };
        let (short, lasting) = (faults(Goal::Kills(2)), faults(Goal::Lasting(Duration::ZERO)));
        fs::remove_dir_all(&folder).expect("removed");
        assert!(short.contains("0 kills of 2"), "{short}");
        assert!(!lasting.contains("kills of"), "{lasting}");
    }
}
