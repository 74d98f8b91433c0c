//! One host: an agent and an executor that are killed, two containers, and runbooks that leave a line for each run.

use super::asker::Wish;
use crate::points;
use crate::random::{Random, Rounds};
use crate::world::{World, pause};
use anyhow::Result;
use fleetlight_protocol::command::ContainerTarget;
use fleetlight_tests::docker::{Docker, IMAGE};
use fleetlight_tests::system::{Agent, AgentOptions, System};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a process that is to die at a point is left alone; if it has not come to it, it lives on.
const POINT_WITHIN: Duration = Duration::from_secs(6);
/// Times that a process comes to its point at most before it dies there: soon, or after some commands.
const SOON: u64 = 3;
const LATER: u64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Agent,
    Executor,
}

impl Who {
    const BOTH: [Self; 2] = [Self::Executor, Self::Agent];

    fn points(self) -> &'static [&'static str] {
        match self {
            Self::Agent => points::RESULTS,
            Self::Executor => points::EXECUTOR,
        }
    }

    /// Every life is to end at a point, unless a kill comes first.
    fn arm(self, random: &mut Random) -> (String, String) {
        let points = self.points();
        let point = points[random.within(0, points.len() as u64 - 1) as usize];
        points::arm(point, LATER, random)
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Point(Who, &'static str),
    Kill(Who),
    /// One after the other, at once.
    Both,
}

impl Fate {
    /// Whether it is this process that it ends, and starts anew.
    fn is_of(self, whom: Who) -> bool {
        match self {
            Self::Point(who, _) | Self::Kill(who) => who == whom,
            Self::Both => true,
        }
    }
}

#[derive(Debug)]
pub struct Host {
    pub name: &'static str,
    pub agent: Agent,
    pub containers: Vec<ContainerTarget>,
    /// Two that are restarted one after the other, and their pattern.
    pub bulk: Vec<ContainerTarget>,
    pattern: String,
    /// The container that the policy keeps from being restarted.
    pub denied: ContainerTarget,
    /// Where runbooks leave their lines.
    pub lines: PathBuf,
}

impl Host {
    pub fn enrol(world: &World, system: &System, docker: &Docker, name: &'static str) -> Result<Self> {
        let runbooks = system.dir().join(format!("{name}-runbooks"));
        let lines = system.dir().join(format!("{name}-lines"));
        fs::DirBuilder::new().mode(0o755).create(&runbooks)?;
        for (runbook, then) in [("quick", ""), ("slow", "; sleep 1; true")] {
            let script = format!("echo \"$FLEETLIGHT_COMMAND\" >> {}{then}", lines.display());
            let text = format!(
                "description = 'leaves a line'\nuser = '{}'\nsteps = [['/bin/sh', '-c', '''{script}''']]\n",
                own_name()?
            );
            write(&runbooks.join(format!("{runbook}.toml")), &text)?;
        }
        let config = format!("interval_ms = 1000\nrunbooks_dir = {runbooks:?}");
        let docker_socket = Some(docker.socket().to_owned());
        let options =
            AgentOptions { config, docker: docker_socket, env: vec![world.note()], ..AgentOptions::default() };
        let agent = system.agent(name, &options)?;
        let policy = "[[allow]]\nactions = [\"container.restart\"]\nnames = [\"*\"]\n\
                      [[allow]]\nactions = [\"runbook.run\"]\nnames = [\"quick\", \"slow\"]\n\
                      [[deny]]\nactions = [\"*\"]\nnames = [\"*-denied\"]\n";
        write(&agent.executor_folder().join("policy.toml"), policy)?;
        let container = |what: &str| -> Result<ContainerTarget> {
            let own = format!("{name}-{what}");
            let id = docker.run(&own, &["--stop-signal=KILL"], "exec sleep 100000")?;
            Ok(ContainerTarget { id, name: docker.name(&own), image: IMAGE.into() })
        };
        let containers = vec![container("one")?, container("two")?];
        let (bulk, pattern) =
            (vec![container("bulk-1")?, container("bulk-2")?], docker.name(&format!("{name}-bulk-*")));
        Ok(Self { name, agent, containers, bulk, pattern, denied: container("denied")?, lines })
    }

    /// What people ask of it, each again and again.
    pub fn wishes(&self) -> Vec<Wish> {
        let mut wishes: Vec<_> = self.containers.iter().cloned().map(Wish::Restart).collect();
        // Two ask for the same runbook, so that one of them may find it busy.
        wishes.extend([Wish::Runbook("quick"), Wish::Runbook("slow"), Wish::Runbook("slow")]);
        wishes.extend([Wish::Restart(self.denied.clone()), Wish::Check, Wish::Bulk(self.pattern.clone())]);
        wishes
    }

    /// Its processes die, again and again.
    pub fn suffer(&mut self, world: &World) -> Result<()> {
        let stream = self.name.bytes().fold(0, |sum: u64, byte| sum * 31 + u64::from(byte));
        let mut random = Random::new(world.seed, stream);
        let points = Who::BOTH.map(|who| who.points().iter().map(move |point| Fate::Point(who, point)));
        let others = [Fate::Kill(Who::Executor), Fate::Kill(Who::Executor), Fate::Kill(Who::Agent), Fate::Both];
        let fates: Vec<Fate> = points.into_iter().flatten().chain(others).collect();
        let mut fates = Rounds::new(&fates);
        world.run(self.name, || {
            let fate = fates.next(&mut random);
            self.live(world, fate, &mut random)
        })
    }

    fn live(&mut self, world: &World, fate: Fate, random: &mut Random) -> Result<()> {
        for who in Who::BOTH {
            if self.ended(who) && !fate.is_of(who) {
                self.start(world, who, &[who.arm(random)])?;
            }
        }
        match fate {
            Fate::Point(who, point) => {
                world.pass(random.ms(0, 1_000));
                self.kill(world, who)?;
                self.start(world, who, &[points::arm(point, SOON, random)])?;
                let until = Instant::now() + POINT_WITHIN;
                while !self.ended(who) && Instant::now() < until && !world.is_over() {
                    pause();
                }
                Ok(())
            }
            Fate::Kill(who) => {
                world.pass(random.ms(100, 2_500));
                self.kill(world, who)?;
                world.pass(random.ms(0, 500));
                self.start(world, who, &[who.arm(random)])
            }
            Fate::Both => {
                world.pass(random.ms(100, 2_500));
                self.kill(world, Who::Agent)?;
                self.kill(world, Who::Executor)?;
                self.start(world, Who::Executor, &[Who::Executor.arm(random)])?;
                self.start(world, Who::Agent, &[Who::Agent.arm(random)])
            }
        }
    }

    fn ended(&mut self, who: Who) -> bool {
        let process = match who {
            Who::Agent => self.agent.process(),
            Who::Executor => self.agent.executor(),
        };
        process.is_ok_and(|process| process.ended())
    }

    /// Kills it, if it has not died by itself.
    fn kill(&mut self, world: &World, who: Who) -> Result<()> {
        if self.ended(who) {
            return Ok(());
        }
        match who {
            Who::Agent => {
                world.killed("agent");
                self.agent.process()?.kill()
            }
            Who::Executor => {
                world.killed("executor");
                self.agent.executor()?.kill()
            }
        }
    }

    fn start(&mut self, world: &World, who: Who, env: &[(String, String)]) -> Result<()> {
        let env = [env, &[world.note()]].concat();
        match who {
            Who::Agent => self.agent.start_with(&env),
            Who::Executor => {
                let hits = world.hits();
                match self.agent.start_executor(&env) {
                    // It may come to its point before it is seen to listen.
                    Err(_) if world.hits() != hits => Ok(()),
                    started => started,
                }
            }
        }
    }

    /// Both run from now on.
    pub fn heal(&mut self, world: &World) -> Result<()> {
        for who in Who::BOTH {
            self.kill(world, who)?;
            self.start(world, who, &[])?;
        }
        Ok(())
    }
}

/// A file that nobody else can write, whatever the umask.
fn write(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o644).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn own_name() -> Result<String> {
    Ok(String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?.trim().to_owned())
}
