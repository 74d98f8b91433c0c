//! What all loops share: the clocks, the counts, and when it is enough.

use crate::points;
use anyhow::{Context, Result};
use fleetlight_tests::clock::FalseClock;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a run may last for each kill that is asked for, and beside.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(100));
const HOUR_MS: i64 = 3_600_000;
/// Beyond its end an hour stays open for five minutes.
const CLOSED_MS: i64 = 330_000;

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// So many kills, and every point hit.
    Kills(u64),
    Lasting(Duration),
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Samples,
    Commands,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Commands => "commands",
        }
    }

    /// Every point at which a process is to die.
    fn points(self) -> impl Iterator<Item = &'static str> {
        let groups = match self {
            Self::Samples => vec![points::AGENT, points::CONTROLLER],
            Self::Commands => vec![points::RESULTS, points::EXECUTOR, points::DISPATCH],
        };
        groups.into_iter().flatten().copied()
    }
}

#[derive(Debug)]
pub struct World {
    pub form: Form,
    pub seed: u64,
    folder: PathBuf,
    clock: FalseClock,
    wrong_clock: FalseClock,
    pub goal: Goal,
    began: Instant,
    /// Milliseconds that controller and hosts are ahead of the real clock.
    ahead_ms: AtomicI64,
    /// And as many more the host whose clock is wrong.
    wrong_ms: AtomicI64,
    kills: Mutex<BTreeMap<&'static str, u64>>,
    failed: AtomicBool,
}

impl World {
    pub fn new(folder: &Path, form: Form, seed: u64, goal: Goal) -> Result<Self> {
        let world = Self {
            form,
            seed,
            folder: folder.to_owned(),
            clock: FalseClock::new(&folder.join("clock")),
            wrong_clock: FalseClock::new(&folder.join("wrong-clock")),
            goal,
            began: Instant::now(),
            ahead_ms: AtomicI64::new(0),
            wrong_ms: AtomicI64::new(0),
            kills: Mutex::default(),
            failed: AtomicBool::new(false),
        };
        fs::create_dir_all(folder)?;
        world.set_clocks()?;
        Ok(world)
    }

    /// The environment of a process: its clock, and where it notes the point at which it dies.
    pub fn env(&self, is_wrong: bool) -> Result<Vec<(String, String)>> {
        let mut env = if is_wrong { &self.wrong_clock } else { &self.clock }.env()?;
        env.push(self.note());
        Ok(env)
    }

    /// Where a process notes the point at which it dies.
    pub fn note(&self) -> (String, String) {
        ("FLEETLIGHT_KILL_NOTE".into(), self.folder.join("kills").display().to_string())
    }

    /// How to repeat this run.
    pub fn again(&self) -> String {
        let (form, seed) = (self.form.name(), self.seed);
        match self.goal {
            Goal::Kills(kills) => format!("make test-faults FORM={form} SEED={seed} KILLS={kills}"),
            Goal::Lasting(time) => format!("make test-faults FORM={form} SEED={seed} DURATION={}", time.as_secs()),
        }
    }

    /// Sets all clocks so far ahead that the hour that runs is closed.
    pub fn end_the_hour(&self) -> Result<()> {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        let now_ms = fleetlight_agent::tick::wall_ms() + ahead_ms;
        let until_ms = HOUR_MS - (now_ms - CLOSED_MS).rem_euclid(HOUR_MS);
        self.ahead_ms.store(ahead_ms + until_ms, Ordering::Relaxed);
        self.set_clocks()
    }

    /// Sets one host's clock wrong.
    pub fn set_wrong(&self, by_ms: i64) -> Result<()> {
        self.wrong_ms.store(by_ms, Ordering::Relaxed);
        self.set_clocks()
    }

    fn set_clocks(&self) -> Result<()> {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        self.clock.set(ahead_ms)?;
        self.wrong_clock.set(ahead_ms + self.wrong_ms.load(Ordering::Relaxed))
    }

    /// A kill from outside.
    pub fn killed(&self, whom: &'static str) {
        *self.kills.lock().unwrap_or_else(PoisonError::into_inner).entry(whom).or_default() += 1;
    }

    pub fn kills(&self) -> BTreeMap<&'static str, u64> {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often processes died at each of their points, by what they noted before.
    pub fn hits(&self) -> BTreeMap<String, u64> {
        let mut hits: BTreeMap<String, u64> = self.form.points().map(|point| (point.to_owned(), 0)).collect();
        let noted = fs::read_to_string(self.folder.join("kills")).unwrap_or_default();
        noted.lines().for_each(|point| *hits.entry(point.to_owned()).or_default() += 1);
        hits
    }

    pub fn total(&self) -> u64 {
        self.kills().values().sum::<u64>() + self.hits().values().sum::<u64>()
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the loops are to end.
    pub fn is_over(&self) -> bool {
        let is_enough = match self.goal {
            Goal::Lasting(time) => self.elapsed() >= time,
            Goal::Kills(kills) => {
                let all_hit = || self.hits().values().all(|hits| *hits > 0);
                let patience = PATIENCE.0 * kills.min(u64::from(u32::MAX)) as u32 + PATIENCE.1;
                (self.total() >= kills && all_hit()) || self.elapsed() > patience
            }
        };
        is_enough || self.failed.load(Ordering::Relaxed)
    }

    /// Runs a loop; its failure ends the others.
    pub fn run(&self, what: &str, mut step: impl FnMut() -> Result<()>) -> Result<()> {
        while !self.is_over() {
            step().with_context(|| what.to_owned()).inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    }

    /// Lets time pass, unless the run is over.
    pub fn pass(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.is_over() {
            pause();
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "faults come at moments of their own")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
