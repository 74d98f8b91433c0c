//! A Docker daemon for tests, with an image made of this machine's busybox: no registry is needed.
//!
//! `FLEETLIGHT_TEST_DOCKER=unix:///path` uses a daemon that runs; otherwise one is started in a
//! folder of its own, with its own containerd, bridge and socket, and stopped on drop by its
//! process id. That needs root, `dockerd` and a static busybox; [`Docker::start`] says what lacks.

use crate::system::Process;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The image that [`Docker::start`] makes: busybox with its shell and a few tools.
pub const IMAGE: &str = "fleetlight/busybox";

/// Names of busybox that the image has.
const TOOLS: [&str; 13] =
    ["sh", "sleep", "echo", "printf", "dd", "cat", "true", "false", "yes", "head", "ping", "nc", "seq"];

/// How long a daemon may take to answer after its start.
const START: Duration = Duration::from_secs(30);

/// A daemon, and the way to its CLI.
#[derive(Debug)]
pub struct Docker {
    socket: PathBuf,
    /// Containers of this process, removed on drop: a daemon that we found keeps no trace.
    prefix: String,
    ours: Option<Ours>,
}

impl Docker {
    /// A daemon with [`IMAGE`].
    ///
    /// # Errors
    /// Why there is none: not root, no `dockerd`, no busybox, or the daemon's own words.
    pub fn start() -> Result<Self> {
        let prefix = format!("fleetlight-{}", std::process::id());
        let docker = match std::env::var("FLEETLIGHT_TEST_DOCKER") {
            Ok(address) => {
                let socket = address.trim_start_matches("unix://").into();
                Self { socket, prefix, ours: None }
            }
            Err(_) => Self::start_daemon(prefix)?,
        };
        docker.make_image()?;
        Ok(docker)
    }

    fn start_daemon(prefix: String) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "starting a Docker daemon needs root");
        // Paths of sockets are short, so the folder is not under the target folder.
        let dir = std::env::temp_dir().join(&prefix);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let socket = dir.join("docker.sock");
        // In a mount namespace of its own, so that what it mounts goes with it.
        let mut command = Command::new("unshare");
        command.args(["--mount", "dockerd", "--storage-driver=vfs", "--iptables=false", "--ip6tables=false"]);
        for (option, path) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "docker.pid")] {
            command.arg(option).arg(dir.join(path));
        }
        let bridge = Bridge::new()?;
        command.arg("-H").arg(format!("unix://{}", socket.display())).arg("--bridge").arg(&bridge.name);
        let process = Process::start(command.stdout(Stdio::null()), &dir.join("dockerd.log"))
            .context("dockerd cannot be started (on Debian: apt-get install docker.io)")?;
        let mut docker = Self { socket, prefix, ours: Some(Ours { process, dir, _bridge: bridge }) };
        docker.wait()?;
        Ok(docker)
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        while self.docker(&["version"]).is_err() {
            let Some(Ours { process, .. }) = &mut self.ours else { bail!("no daemon answers") };
            if Instant::now() > deadline || process.ended() {
                bail!("dockerd does not answer: {}", process.log().lines().last().unwrap_or("it says nothing"));
            }
            crate::system::pause();
        }
        Ok(())
    }

    /// Imports a tree of a static busybox and links to it.
    fn make_image(&self) -> Result<()> {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.exists());
        let busybox = busybox.context("there is no busybox (on Debian: apt-get install busybox-static)")?;
        let tree = std::env::temp_dir().join(format!("{}-image", self.prefix));
        let bin = tree.join("bin");
        fs::create_dir_all(&bin)?;
        fs::copy(busybox, bin.join("busybox"))?;
        for tool in TOOLS {
            symlink("busybox", bin.join(tool)).or_else(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            })?;
        }
        let tar = tree.with_extension("tar");
        let packed = Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&tar).arg("bin").status()?;
        ensure!(packed.success(), "tar of busybox: {packed}");
        let imported = self.docker(&["import", &tar.to_string_lossy(), IMAGE]);
        fs::remove_dir_all(&tree)?;
        fs::remove_file(&tar)?;
        imported.map(drop)
    }

    /// Path of the daemon's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Process id of the daemon that we started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.ours.as_ref().map(|ours| ours.process.pid())
    }

    /// A container's name that is this process's own.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Runs the CLI; gives its standard output without the line's end.
    ///
    /// # Errors
    /// With the CLI's words.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        let address = format!("unix://{}", self.socket.display());
        let output = Command::new("docker")
            .env("DOCKER_HOST", address)
            .env_remove("DOCKER_CONTEXT")
            .args(arguments)
            .output()
            .context("there is no docker CLI (on Debian: apt-get install docker.io)")?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker {}: {}", arguments.join(" "), words.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Starts a container `name` of [`IMAGE`] that runs a shell script, with more options of
    /// `docker run`; gives its id.
    ///
    /// # Errors
    /// With the CLI's words.
    pub fn run(&self, name: &str, options: &[&str], script: &str) -> Result<String> {
        let name = self.name(name);
        let mut arguments = vec!["run", "-d", "--name", &name];
        arguments.extend(options);
        arguments.extend([IMAGE, "/bin/sh", "-c", script]);
        self.docker(&arguments)
    }

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// With the CLI's words.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.docker(&["rm", "-f", &self.name(name)]).map(drop)
    }
}

/// A daemon that we started.
#[derive(Debug)]
struct Ours {
    process: Process,
    dir: PathBuf,
    _bridge: Bridge,
}

/// A bridge of this process's own: daemons would quarrel about `docker0`. Deleted on drop.
#[derive(Debug)]
struct Bridge {
    name: String,
}

impl Bridge {
    /// With an address by this process's number: 172.16.0.0/12 in pieces of 256.
    fn new() -> Result<Self> {
        let number = std::process::id();
        let place = number % 0x0f00;
        let address = format!("172.{}.{}.1/24", 16 + place / 256, place % 256);
        let bridge = Self { name: format!("fl{number}") };
        ip(&["link", "add", &bridge.name, "type", "bridge"])?;
        ip(&["address", "add", &address, "dev", &bridge.name])?;
        ip(&["link", "set", &bridge.name, "up"])?;
        Ok(bridge)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = ip(&["link", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("there is no `ip` (apt-get install iproute2)")?;
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

impl Drop for Docker {
    fn drop(&mut self) {
        let filter = format!("name=^{}-", self.prefix);
        if let Ok(ids) = self.docker(&["ps", "-aq", "--filter", &filter])
            && !ids.is_empty()
        {
            let mut arguments = vec!["rm", "-f"];
            arguments.extend(ids.lines());
            let _ = self.docker(&arguments);
        }
        if let Some(mut ours) = self.ours.take() {
            let _ = ours.process.stop();
            let _ = fs::remove_dir_all(&ours.dir);
        }
    }
}
