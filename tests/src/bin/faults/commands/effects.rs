//! What was really done, by records that Fleetlight has no part in.

use anyhow::{Context, Result};
use fleetlight_tests::docker::Docker;
use fleetlight_tests::system::Process;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use uuid::Uuid;

/// Every start of every container, as the daemon tells it while it happens.
#[derive(Debug)]
pub struct Starts {
    file: PathBuf,
    _recorder: Process,
}

impl Starts {
    pub fn record(docker: &Docker, file: &Path) -> Result<Self> {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("unix://{}", docker.socket().display())).env_remove("DOCKER_CONTEXT");
        command.args(["events", "--filter", "type=container", "--filter", "event=start"]);
        command.args(["--format", "{{.TimeNano}} {{.Actor.ID}}"]).stdout(File::create(file)?);
        let recorder = Process::start(&mut command, &file.with_extension("log"))?;
        Ok(Self { file: file.to_owned(), _recorder: recorder })
    }

    /// When each container was started, in milliseconds since the Unix epoch.
    pub fn read(&self) -> Result<BTreeMap<String, Vec<i64>>> {
        let mut starts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let text = fs::read_to_string(&self.file)?;
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let (nanoseconds, id) = line.split_once(' ').with_context(|| format!("not an event: {line}"))?;
            starts.entry(id.to_owned()).or_default().push(nanoseconds.parse::<i64>()? / 1_000_000);
        }
        Ok(starts)
    }
}

/// When Docker itself says that a container was started last, in milliseconds since the Unix epoch.
pub fn started_at(docker: &Docker, id: &str) -> Result<i64> {
    let text = docker.docker(&["inspect", "--format", "{{.State.StartedAt}}", id])?;
    Ok(text.parse::<jiff::Timestamp>().with_context(|| text.clone())?.as_millisecond())
}

/// The commands whose runbooks have left a line in a file: one for each run.
pub fn lines(file: &Path) -> Result<Vec<Uuid>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    text.lines().map(|line| line.parse().with_context(|| format!("not a command: {line}"))).collect()
}
