//! Which compose this host has.

use crate::executor::actions::Refused;
use crate::limits::COMPOSE_ASK;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Where programs are looked for, here and by compose itself: only root writes there.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Docker's plugin: `docker compose`.
    Plugin(PathBuf),
    /// A program of its own, in Python (1.x) or not (2.x): `docker-compose`.
    Own(PathBuf),
}

/// # Errors
/// There is none.
pub async fn find(docker_socket: &Path) -> Result<Program, Refused> {
    let plugin = installed("docker").map(Program::Plugin);
    for program in plugin.into_iter().chain(installed("docker-compose").map(Program::Own)) {
        if works(&program, docker_socket).await {
            return Ok(program);
        }
    }
    Err(Refused::new(
        "this host has neither `docker compose` nor `docker-compose`: install one of them (apt-get install docker-compose)",
    ))
}

fn installed(name: &str) -> Option<PathBuf> {
    FOLDERS.split(':').map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

async fn works(program: &Program, docker_socket: &Path) -> bool {
    let mut command = program.command(docker_socket);
    command.arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(COMPOSE_ASK, command.status())
        .await
        .is_ok_and(|ended| ended.is_ok_and(|status| status.success()))
}

impl Program {
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plugin(_) => "docker compose",
            Self::Own(_) => "docker-compose",
        }
    }

    /// With nothing in its environment but what it needs: where the daemon is, and where its account keeps its log-ins to
    /// registries.
    #[must_use]
    pub fn command(&self, docker_socket: &Path) -> Command {
        let mut command = match self {
            Self::Plugin(path) => {
                let mut command = Command::new(path);
                command.arg("compose");
                command
            }
            Self::Own(path) => Command::new(path),
        };
        command.env_clear().env("PATH", FOLDERS).env("LANG", "C.UTF-8");
        command.env("DOCKER_HOST", format!("unix://{}", docker_socket.display()));
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        command
    }
}
