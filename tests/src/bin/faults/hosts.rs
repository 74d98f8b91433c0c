//! The hosts: one whose agent is killed, and three that other things happen to.

use crate::points;
use crate::random::{Random, Rounds};
use crate::small_disk::SmallDisk;
use crate::taken::Taken;
use crate::verdict::Allowed;
use crate::world::{World, pause};
use anyhow::{Context, Result};
use fleetlight_tests::relay::{Counters, Relay};
use fleetlight_tests::system::{Agent, AgentOptions, System};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const HOUR_MS: i64 = 3_600_000;
const TEN_YEARS_MS: i64 = 87_660 * HOUR_MS;
/// What becomes of an agent that does not come to the point at which it is to die.
const POINT_WITHIN: Duration = Duration::from_secs(5);
/// By how much the wrong clock is wrong. Only the last is refused for sure.
const WRONG_MS: [i64; 4] = [HOUR_MS, -HOUR_MS, -TEN_YEARS_MS, TEN_YEARS_MS];
/// What an agent says of its full disk.
const NO_SPACE: &str = "No space left on device";

/// An agent, the wire to the controller, and what was taken.
#[derive(Debug)]
pub struct Host {
    pub name: &'static str,
    pub allowed: Allowed,
    agent: Agent,
    relay: Relay,
    pub taken: Taken,
    env: Vec<(String, String)>,
    // Goes last: files in it are open until then.
    disk: Option<SmallDisk>,
}

/// Bounds of a host's spool: bytes on disk, of a segment, in memory.
fn bounds(allowed: Allowed) -> &'static str {
    match allowed {
        // Segments are rolled and removed within seconds; what the controller lacks always fits.
        Allowed::Nothing => "98304:1024:1048576",
        // A few ticks.
        Allowed::Evicted => "8192:1024:65536",
        Allowed::NotOnDisk | Allowed::RefusedForTime => "16777216:16384:16777216",
    }
}

impl Host {
    pub async fn enrol(world: &World, system: &System, name: &'static str, allowed: Allowed) -> Result<Self> {
        let relay = Relay::start(([127, 0, 0, 1], 0).into(), system.session).await?;
        let folder = system.dir().join(name).join("disk");
        fs::create_dir_all(&folder)?;
        let disk = (allowed == Allowed::NotOnDisk).then(|| SmallDisk::mount(&folder)).transpose()?;
        let (spool, links, docker) =
            (folder.join("spool"), folder.join("links"), Some(system.dir().join("no-docker.sock")));
        let config = format!("interval_ms = 1000\n[spool]\npath = {spool:?}");
        let mut env = world.env(allowed == Allowed::RefusedForTime)?;
        env.push(("FLEETLIGHT_SPOOL_BOUNDS".into(), bounds(allowed).into()));
        let session_endpoint = Some(relay.address);
        let options = AgentOptions { config, docker, env: env.clone(), session_endpoint, ..AgentOptions::default() };
        let agent = system.agent(name, &options)?;
        Ok(Self { name, allowed, agent, relay, taken: Taken::new(spool, links)?, env, disk })
    }

    /// The wire to the controller.
    pub fn wire(&self) -> Arc<Counters> {
        Arc::clone(&self.relay.counters)
    }

    /// What happens to it, again and again.
    pub fn suffer(&mut self, world: &World) -> Result<()> {
        let mut random = Random::new(world.seed, self.allowed as u64);
        let (mut points, mut steps) = (Rounds::new(points::AGENT), Rounds::new(&WRONG_MS));
        world.run(self.name, || {
            match self.allowed {
                Allowed::Nothing => self.die(world, &mut random, &mut points)?,
                Allowed::NotOnDisk => self.fill(world, &mut random)?,
                Allowed::RefusedForTime => self.step(world, &mut random, &mut steps)?,
                Allowed::Evicted => self.part(world, &mut random),
            }
            self.taken.harvest()
        })
    }

    /// One life of the agent: it dies at a point of its own, or at any moment.
    fn die(&mut self, world: &World, random: &mut Random, points: &mut Rounds<&'static str>) -> Result<()> {
        let mut within = random.ms(200, 3_000);
        if !random.one_in(3) {
            self.env.push(points::arm(points.next(random), 2, random));
            within = POINT_WITHIN;
        }
        self.agent.process()?.kill()?;
        self.taken.harvest()?;
        self.agent.start_with(&self.env)?;
        self.env.retain(|(name, _)| name != points::ARMED);
        let until = Instant::now() + within;
        while !self.agent.process()?.ended() && !world.is_over() {
            if Instant::now() > until {
                self.agent.process()?.kill()?;
                world.killed("agent");
                break;
            }
            pause();
        }
        self.taken.harvest()
    }

    /// Its disk is full for a while.
    fn fill(&mut self, world: &World, random: &mut Random) -> Result<()> {
        let disk = self.disk.as_ref().context("no small disk")?;
        world.pass(random.ms(2_000, 4_000));
        let until = Instant::now() + random.ms(3_000, 6_000);
        // What the agent gives back goes, too.
        while Instant::now() < until && !world.is_over() {
            disk.fill()?;
            pause();
        }
        disk.free()?;
        // A disk that refused is tried again after ten seconds.
        world.pass(random.ms(11_000, 14_000));
        Ok(())
    }

    /// Its clock is wrong for a while.
    fn step(&mut self, world: &World, random: &mut Random, steps: &mut Rounds<i64>) -> Result<()> {
        world.set_wrong(steps.next(random))?;
        world.pass(random.ms(2_000, 4_000));
        world.set_wrong(0)?;
        world.pass(random.ms(2_000, 4_000));
        Ok(())
    }

    /// The controller is away for longer than its spool holds.
    fn part(&mut self, world: &World, random: &mut Random) {
        self.relay.counters.cut.store(true, Ordering::Relaxed);
        world.pass(random.ms(20_000, 30_000));
        self.relay.counters.cut.store(false, Ordering::Relaxed);
        world.pass(random.ms(8_000, 12_000));
    }

    /// Whether its agent has met the full disk, if one was to be met.
    pub fn met_full_disk(&self) -> bool {
        self.disk.is_none() || self.agent.log().contains(NO_SPACE)
    }

    /// All is well from now on.
    pub fn heal(&mut self, world: &World) -> Result<()> {
        self.relay.counters.cut.store(false, Ordering::Relaxed);
        self.relay.counters.half_open.store(false, Ordering::Relaxed);
        match self.allowed {
            Allowed::Nothing => {
                self.agent.process()?.kill()?;
                self.taken.harvest()?;
                self.agent.start()
            }
            Allowed::RefusedForTime => world.set_wrong(0),
            _ => self.disk.as_ref().map_or(Ok(()), SmallDisk::free),
        }
    }
}
