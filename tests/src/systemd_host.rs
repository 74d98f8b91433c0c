//! A host with systemd, as a container of [`Docker`]: a small Debian whose first process is systemd, with an executor in it.
//!
//! Its tree is made once (`scripts/systemd-tree.sh`) and kept in `/var/tmp/fleetlight-tests`.

use crate::docker::Docker;
use crate::system::{binary, pause};
use anyhow::{Context, Result, ensure};
use fleetlight_agent::executor::Client;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const IMAGE: &str = "fleetlight/systemd";

/// How long systemd may take to start its units.
const START: Duration = Duration::from_secs(60);

/// The container goes with the daemon.
#[derive(Debug)]
pub struct SystemdHost<'a> {
    docker: &'a Docker,
    name: String,
    pid: String,
}

impl<'a> SystemdHost<'a> {
    /// Starts it and waits until systemd says that it runs.
    ///
    /// # Errors
    /// What lacks: debootstrap, or a kernel on which systemd runs in a container.
    pub fn start(docker: &'a Docker) -> Result<Self> {
        let tar = tree()?;
        docker.docker(&["import", &tar.to_string_lossy(), IMAGE])?;
        let agent = format!("{}:/usr/bin/fleetlight-agent:ro", binary("fleetlight-agent")?.display());
        let name = docker.name("systemd");
        let options = ["run", "-d", "--name", &name, "--network", "none", "-e", "container=docker"];
        // systemd mounts and makes control groups; in a container of its own it has no one else's to spoil.
        let rights =
            ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"];
        let mounts =
            ["--tmpfs", "/run", "--tmpfs", "/run/lock", "--cgroupns=host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup"];
        let program = ["-v", &agent, IMAGE, "/lib/systemd/systemd"];
        docker.docker(&[&options[..], &rights, &mounts, &program].concat())?;
        let pid = docker.docker(&["inspect", "-f", "{{.State.Pid}}", &name])?;
        let host = Self { docker, name, pid };
        host.wait()?;
        Ok(host)
    }

    fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        // Degraded: a unit failed that a container cannot have.
        while !matches!(self.sh("systemctl is-system-running || true")?.as_str(), "running" | "degraded") {
            ensure!(Instant::now() < deadline, "systemd does not start: {}", self.sh("systemctl list-jobs || true")?);
            pause();
        }
        Ok(())
    }

    /// Runs a script on it; gives its standard output.
    ///
    /// # Errors
    /// With its words, if it fails.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.docker.docker(&["exec", &self.name, "/bin/sh", "-c", script])
    }

    /// Writes a file on it.
    ///
    /// # Errors
    /// If it cannot.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let there = self.path(path);
        if let Some(folder) = there.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&there, text).with_context(|| format!("writing {}", there.display()))
    }

    /// How a path of it is called here.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(&self.pid).join("root").join(path.trim_start_matches('/'))
    }

    /// Starts the executor as the unit that we ship, with this policy.
    ///
    /// # Errors
    /// With systemd's words.
    pub fn start_executor(&self, policy: &str) -> Result<Client> {
        let unit = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/fleetlight-executor.service"),
        )?;
        self.write("/etc/systemd/system/fleetlight-executor.service", &unit)?;
        self.write("/etc/fleetlight/policy.toml", policy)?;
        self.sh("systemctl daemon-reload && systemctl start fleetlight-executor")
            .with_context(|| self.sh("journalctl -u fleetlight-executor --no-pager").unwrap_or_default())?;
        let socket = self.path("/run/fleetlight-executor/socket");
        let deadline = Instant::now() + START;
        while !socket.exists() {
            ensure!(Instant::now() < deadline, "{}", self.sh("journalctl -u fleetlight-executor --no-pager")?);
            pause();
        }
        Ok(Client::new(socket))
    }
}

fn tree() -> Result<PathBuf> {
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("unknown");
    let tar = PathBuf::from(format!("/var/tmp/fleetlight-tests/systemd-{codename}.tar"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/systemd-tree.sh");
    let made = Command::new(script).arg(&tar).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr).trim());
    Ok(tar)
}
