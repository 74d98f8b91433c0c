//! One life of the controller after the other, and what happens to its Postgres and to the wires meanwhile.

use crate::points;
use crate::random::{Random, Rounds};
use crate::world::{World, pause};
use anyhow::{Context, Result};
use fleetlight_tests::measure::tree;
use fleetlight_tests::relay::Counters;
use fleetlight_tests::system::System;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What becomes of a controller that does not come to the point at which it is to die.
const POINT_WITHIN: Duration = Duration::from_secs(12);

/// How it ends, or what happens before it is killed.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    Point(&'static str),
    Kill,
    Backends,
    Postmaster,
    Wires,
}

/// The controller's side of a run.
#[derive(Debug)]
pub struct Controller<'a> {
    world: &'a World,
    system: &'a mut System,
    wires: Vec<Arc<Counters>>,
    random: Random,
    fates: Vec<Fate>,
}

impl<'a> Controller<'a> {
    pub fn new(
        world: &'a World,
        system: &'a mut System,
        wires: Vec<Arc<Counters>>,
        points: &[&'static str],
        others: &[Fate],
    ) -> Self {
        let fates = points.iter().map(|point| Fate::Point(point)).chain(others.iter().copied()).collect();
        Self { world, system, wires, random: Random::new(world.seed, 0x63), fates }
    }

    /// Lives and dies until the run is over; leaves it dead.
    pub fn suffer(mut self) -> Result<()> {
        let (mut fates, world) = (Rounds::new(&self.fates), self.world);
        self.system.controller()?.kill()?;
        world.run("controller", || {
            let fate = fates.next(&mut self.random);
            self.live(fate).with_context(|| format!("{fate:?}"))
        })
    }

    fn live(&mut self, fate: Fate) -> Result<()> {
        self.system.env.retain(|(name, _)| name != points::ARMED);
        if let Fate::Point(point) = fate {
            // Rows are flushed all the time; hours end, and commands come, more seldom.
            let passages = match point.split('.').next() {
                Some("flush") => 8,
                Some("pack") => 3,
                _ => 2,
            };
            self.system.env.push(points::arm(point, passages, &mut self.random));
            if point.starts_with("pack") {
                self.world.end_the_hour()?;
            }
        }
        let hits = self.world.hits();
        match self.system.start_controller() {
            // It may come to its point before it is ready.
            Err(_) if self.world.hits() != hits => return Ok(()),
            started => started?,
        }
        match fate {
            Fate::Point(_) => return self.until_the_point(),
            Fate::Kill => self.world.pass(self.random.ms(100, 4_000)),
            Fate::Backends => self.kill_backends()?,
            Fate::Postmaster => {
                self.world.pass(self.random.ms(500, 2_000));
                self.kill_postgres(true)?;
                self.world.pass(self.random.ms(2_000, 5_000));
            }
            Fate::Wires => self.cut(),
        }
        self.kill()
    }

    fn kill(&mut self) -> Result<()> {
        self.world.killed("controller");
        self.system.controller()?.kill()
    }

    fn until_the_point(&mut self) -> Result<()> {
        let until = Instant::now() + POINT_WITHIN;
        while !self.system.controller()?.ended() {
            if Instant::now() > until {
                return self.kill();
            }
            pause();
        }
        Ok(())
    }

    fn kill_backends(&mut self) -> Result<()> {
        for _ in 0..self.random.within(2, 4) {
            self.world.pass(self.random.ms(500, 2_000));
            self.kill_postgres(false)?;
        }
        self.world.pass(self.random.ms(500, 3_000));
        Ok(())
    }

    /// Kills the postmaster, or one of the processes that it started.
    fn kill_postgres(&mut self, all: bool) -> Result<()> {
        let file = self.system.dir().join("controller/postgres/data/postmaster.pid");
        // Not back yet from the kill before.
        let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
        let Some(postmaster) = text.lines().next().and_then(|line| line.trim().parse().ok()) else { return Ok(()) };
        let backends: Vec<u32> = tree(postmaster).into_iter().filter(|pid| *pid != postmaster).collect();
        let victim = match backends.len() as u64 {
            _ if all => postmaster,
            0 => return Ok(()),
            some => backends[self.random.within(0, some - 1) as usize],
        };
        let pid = i32::try_from(victim).ok().and_then(Pid::from_raw).context("no process")?;
        if kill_process(pid, Signal::KILL).is_ok() {
            self.world.killed(if all { "postmaster" } else { "postgres_backend" });
        }
        Ok(())
    }

    /// Cuts all wires, or lets nothing come back over them, for a while.
    fn cut(&mut self) {
        let is_half = self.random.one_in(2);
        self.world.pass(self.random.ms(500, 2_000));
        for is_cut in [true, false] {
            for wire in &self.wires {
                let what = if is_half { &wire.half_open } else { &wire.cut };
                what.store(is_cut, Ordering::Relaxed);
            }
            self.world.pass(self.random.ms(1_000, 4_000));
        }
    }
}
