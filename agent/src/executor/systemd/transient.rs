//! Services that exist for one run.

use super::job::Job;
use super::{Systemd, SystemdError, UnitName, UnitState, explain};
use crate::limits::{RUN_GRACE, RUN_KILL_WAIT, RUN_LOOK};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;
use zbus::{Fd, Variant};

/// A run as systemd is asked for it, `systemd.exec(5)` and `systemd.service(5)`.
#[derive(Debug)]
pub struct Service {
    pub unit: UnitName,
    pub description: String,
    /// Programs with their arguments, one after the other while they end well.
    pub steps: Vec<Vec<String>>,
    pub user: String,
    pub working_dir: PathBuf,
    /// Anybody on the host may read these: no secrets.
    pub environment: Vec<String>,
    /// Read by systemd itself when a step begins.
    pub environment_file: Option<PathBuf>,
    pub timeout: Duration,
    pub memory_max_bytes: Option<u64>,
    pub new_privileges: bool,
    pub network: bool,
    /// Where it may write, if not everywhere.
    pub write: Option<Vec<String>>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// A service that was begun, looked at.
#[derive(Debug)]
pub struct Watched {
    systemd: Systemd,
    unit: UnitName,
}

impl Systemd {
    /// Begins a run. systemd keeps the unit's properties until this connection is closed.
    ///
    /// # Errors
    /// [`SystemdError`] in systemd's words.
    pub async fn begin(&self, service: Service) -> Result<(Watched, Job), SystemdError> {
        let unit = service.unit.clone();
        let removed = self.removals(&unit).await?;
        let properties = service.properties();
        let path = self.manager.start_transient_unit(unit.as_str(), "fail", &properties, &[]).await.map_err(explain)?;
        Ok((Watched { systemd: self.clone(), unit }, Job { path, removed }))
    }

    /// Ends a run, whoever began it: by SIGTERM, then by SIGKILL. `false`: there was none.
    ///
    /// # Errors
    /// [`SystemdError`]; also if it does not go.
    pub async fn end_run(&self, unit: &UnitName) -> Result<bool, SystemdError> {
        match self.loaded(unit).await? {
            None => return Ok(false),
            Some(state) if state.is_down() => return Ok(false),
            Some(_) => {}
        }
        match self.manager.stop_unit(unit.as_str(), "replace").await.map_err(explain) {
            Ok(_) => {}
            Err(SystemdError::NoSuchUnit(_)) => return Ok(true),
            Err(error) => return Err(error),
        }
        if self.wait_down(unit, RUN_GRACE + RUN_KILL_WAIT).await? {
            return Ok(true);
        }
        // systemd has killed it already; a signal of our own is all that is left to try.
        let _ = self.manager.kill_unit(unit.as_str(), "all", rustix::process::Signal::KILL.as_raw()).await;
        if self.wait_down(unit, RUN_KILL_WAIT).await? {
            return Ok(true);
        }
        Err(SystemdError::Refused(format!("{unit} does not end: a process of it is stuck in the kernel")))
    }

    async fn wait_down(&self, unit: &UnitName, within: Duration) -> Result<bool, SystemdError> {
        let until = Instant::now() + within;
        loop {
            if self.loaded(unit).await?.is_none_or(|state| state.is_down()) {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(RUN_LOOK).await;
        }
    }

    /// Of a unit that is in memory; a transient one that has ended and that nobody holds is not.
    async fn loaded(&self, unit: &UnitName) -> Result<Option<UnitState>, SystemdError> {
        let path = match self.manager.get_unit(unit.as_str()).await.map_err(explain) {
            Ok(path) => path,
            Err(SystemdError::NoSuchUnit(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        match self.state(&path, unit).await {
            Ok(state) if state.load == "not-found" => Ok(None),
            Ok(state) => Ok(Some(state)),
            // Gone between the two calls.
            Err(SystemdError::Refused(words)) if words.contains("Unknown object") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Watched {
    /// How it is now.
    ///
    /// # Errors
    /// [`SystemdError`]
    pub async fn state(&self) -> Result<UnitState, SystemdError> {
        let gone = || SystemdError::NoSuchUnit(self.unit.to_string());
        self.systemd.loaded(&self.unit).await?.ok_or_else(gone)
    }

    /// Waits until nothing of it runs, then says how it ended.
    ///
    /// # Errors
    /// [`SystemdError`]
    pub async fn outcome(&self) -> Result<UnitState, SystemdError> {
        self.systemd.wait_down(&self.unit, RUN_GRACE + RUN_KILL_WAIT).await?;
        self.state().await
    }
}

impl Service {
    fn properties(self) -> Vec<(&'static str, Variant<'static>)> {
        // In arguments `$` begins a variable; in a transient unit `%` means itself.
        let literal = |argument: String| argument.replace('$', "$$");
        let program = |step: Vec<String>| {
            let path = step.first()?.clone();
            Some((path, step.into_iter().map(literal).collect::<Vec<_>>(), false))
        };
        let programs: Vec<_> = self.steps.into_iter().filter_map(program).collect();
        let mut properties: Vec<(&str, Variant<'_>)> = vec![
            ("Description", self.description.into()),
            // The job lasts as long as the steps, and ends with their result; RuntimeMaxSec= is for other types.
            ("Type", "oneshot".into()),
            ("ExecStart", Variant::new(programs)),
            ("User", self.user.into()),
            ("WorkingDirectory", self.working_dir.to_string_lossy().into_owned().into()),
            ("Environment", Variant::new(self.environment)),
            ("TimeoutStartUSec", micros(self.timeout).into()),
            ("TimeoutStopUSec", micros(RUN_GRACE).into()),
            ("KillMode", "control-group".into()),
            ("CollectMode", "inactive-or-failed".into()),
            // Held by this connection until its result was read.
            ("AddRef", true.into()),
            ("NoNewPrivileges", (!self.new_privileges).into()),
            ("StandardOutputFileDescriptor", Variant::Fd(Fd::from(self.stdout))),
            ("StandardErrorFileDescriptor", Variant::Fd(Fd::from(self.stderr))),
        ];
        if let Some(file) = self.environment_file {
            let file = vec![(file.to_string_lossy().into_owned(), false)];
            properties.push(("EnvironmentFiles", Variant::new(file)));
        }
        if let Some(bytes) = self.memory_max_bytes {
            properties.push(("MemoryMax", bytes.into()));
        }
        if !self.network {
            properties.push(("PrivateNetwork", true.into()));
        }
        if let Some(write) = self.write {
            properties.push(("ProtectSystem", "strict".into()));
            properties.push(("ReadWritePaths", Variant::new(write)));
        }
        properties
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
