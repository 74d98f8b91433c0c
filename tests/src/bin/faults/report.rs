//! What a run found, in words and as JSON.

use crate::again;
use crate::verdict::Verdict;
use crate::world::World;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Serialize)]
pub struct Report {
    seed: u64,
    again: String,
    seconds: u64,
    kills: u64,
    /// From outside, by victim.
    random_kills: BTreeMap<&'static str, u64>,
    /// Deaths at each point.
    points: BTreeMap<String, u64>,
    pub hosts: BTreeMap<&'static str, Verdict>,
}

impl Report {
    pub fn new(world: &World) -> Self {
        Self {
            seed: world.seed,
            again: again(world.seed, world.goal),
            seconds: world.elapsed().as_secs(),
            kills: world.total(),
            random_kills: world.kills(),
            points: world.hits(),
            hosts: BTreeMap::new(),
        }
    }

    fn never(&self) -> Vec<&String> {
        self.points.iter().filter(|(_, hits)| **hits == 0).map(|(point, _)| point).collect()
    }

    pub fn is_good(&self) -> bool {
        self.never().is_empty() && self.hosts.iter().all(|(name, host)| host.check(name).is_ok())
    }

    /// Writes and prints it.
    ///
    /// # Errors
    /// Something was lost or doubled, or a point was never hit.
    pub fn conclude(&self) -> Result<()> {
        fs::write(folder()?.join("report.json"), serde_json::to_string_pretty(self)?)?;
        println!("{} kills in {} s (seed {}):", self.kills, self.seconds, self.seed);
        println!("  at random moments: {:?}", self.random_kills);
        println!("  at points: {:?}", self.points);
        for (name, host) in &self.hosts {
            println!(
                "host {name}: {} ticks of {} starts taken; {} rows there once, with their values ({} packed); {} events; {} ticks missing, counted: {:?}",
                host.ticks, host.starts, host.rows, host.packed_rows, host.events, host.missing, host.refused
            );
        }
        let again = || format!("the same faults again: {}", self.again);
        let wrong: Vec<_> = self.hosts.iter().filter_map(|(name, host)| host.check(name).err()).collect();
        ensure!(wrong.is_empty(), "{wrong:#?}\n{}", again());
        let never = self.never();
        ensure!(never.is_empty(), "never hit: {never:?}; {}", again());
        println!("nothing lost, nothing twice; {}", again());
        Ok(())
    }
}

/// Where reports go.
pub fn folder() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/faults");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
