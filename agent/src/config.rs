//! The agent's configuration: TOML file, then `FLEETLIGHT_AGENT_*` from the environment.
//!
//! The only module that knows figment. Unknown keys and values out of range are refused with
//! their place and what is allowed.

use crate::limits::SPOOL_BYTES;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the configuration is read from when nobody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/fleetlight/agent.toml";

/// Everything that an operator may set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// Key and certificate, the last boot, the controller's last time. Owned by the agent's user, mode 700.
    pub state_dir: PathBuf,
    /// Sampling interval, 1,000–60,000 ms.
    pub interval_ms: u32,
    /// `/proc` of the host.
    pub proc_root: PathBuf,
    /// `/sys` of the host.
    pub sys_root: PathBuf,
    /// Where the executor listens and the agent asks it.
    pub executor_socket: PathBuf,
    /// The account of the agent: beside its own, the only one that the executor answers.
    pub agent_user: String,
    /// The Docker socket, of which the executor alone knows; absent from the host is no error.
    pub docker_socket: PathBuf,
    /// What this host does when it is asked to; owned by the executor's account, and writable by nobody else.
    pub policy_file: PathBuf,
    /// What may be run when the policy allows it: a runbook a file. As the policy, writable by nobody else.
    pub runbooks_dir: PathBuf,
    /// The executor's journal. Owned by its account, mode 700.
    pub executor_state_dir: PathBuf,
    /// Files that people may read as logs, each by a name.
    pub log_files: BTreeMap<String, PathBuf>,
    /// The NVML library: a file name for the loader's search path, or a path.
    pub nvml_library: String,
    /// Finds the user in a container's name: a regular expression with one group.
    pub user_pattern: Option<String>,
    /// Where batches are kept that the controller may still need.
    pub spool: SpoolConfig,
    /// A mount that answers later than this is slow, 50–60,000 ms.
    pub mount_slow_ms: u32,
    /// A mount that has not answered by then is hung, 500–60,000 ms.
    pub mount_hung_ms: u32,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/fleetlight-agent".into(),
            interval_ms: 5_000,
            proc_root: "/proc".into(),
            sys_root: "/sys".into(),
            executor_socket: "/run/fleetlight-executor/socket".into(),
            agent_user: "fleetlight-agent".into(),
            docker_socket: "/var/run/docker.sock".into(),
            policy_file: "/etc/fleetlight/policy.toml".into(),
            runbooks_dir: "/etc/fleetlight/runbooks".into(),
            executor_state_dir: "/var/lib/fleetlight-executor".into(),
            log_files: BTreeMap::new(),
            nvml_library: "libnvidia-ml.so.1".into(),
            user_pattern: None,
            spool: SpoolConfig::default(),
            mount_slow_ms: 1_000,
            mount_hung_ms: 5_000,
        }
    }
}

/// The spool on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// Its folder; without it `spool` in the state folder.
    pub path: Option<PathBuf>,
    /// The most that its files may take.
    pub bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { path: None, bytes: 512 * 1024 * 1024 }
    }
}

/// Why the configuration was refused; the message names file, key and what is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl AgentConfig {
    /// Reads `file` (or the default place, which may be missing) and the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key and the allowed values.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        if file.is_some() && !path.is_file() {
            return Err(ConfigError(format!("configuration file {} does not exist", path.display())));
        }
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        // Figment would refuse a missing one.
        if path.try_exists().unwrap_or(true) {
            figment = figment.merge(Toml::file_exact(path));
        }
        let figment = figment.merge(Env::prefixed("FLEETLIGHT_AGENT_"));
        let config: Self = figment.extract().map_err(|errors| explain(&errors))?;
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let ranges = [
            ("interval_ms", self.interval_ms, 1_000..=60_000),
            ("mount_slow_ms", self.mount_slow_ms, 50..=60_000),
            ("mount_hung_ms", self.mount_hung_ms, 500..=60_000),
        ];
        for (key, value, allowed) in ranges {
            if !allowed.contains(&value) {
                let (from, to) = (allowed.start(), allowed.end());
                let place = path.display();
                return Err(ConfigError(format!(
                    "{key} = {value} is out of range; allowed: {from} to {to} (set in {place} or FLEETLIGHT_AGENT_{})",
                    key.to_uppercase()
                )));
            }
        }
        if !SPOOL_BYTES.contains(&self.spool.bytes) {
            let (from, to) = (SPOOL_BYTES.start(), SPOOL_BYTES.end());
            let (bytes, place) = (self.spool.bytes, path.display());
            return Err(ConfigError(format!(
                "spool.bytes = {bytes} is out of range; allowed: {from} to {to} (set in {place})"
            )));
        }
        if let Some((name, file)) = self.log_files.iter().find(|(name, file)| !is_log_name(name) || !file.is_absolute())
        {
            return Err(ConfigError(format!(
                "log_files: {name:?} = {file:?}: a name has letters, digits, dots, dashes and underscores, 64 at most, and a file its whole path (set in {})",
                path.display()
            )));
        }
        if let Some(pattern) = &self.user_pattern {
            let groups = regex_lite::Regex::new(pattern).map(|regex| regex.captures_len());
            if !matches!(groups, Ok(2)) {
                return Err(ConfigError(format!(
                    "user_pattern = {pattern:?} is not a regular expression with exactly one group, such as \"^comfy-(user[0-9]+)$\" (set in {} or FLEETLIGHT_AGENT_USER_PATTERN)",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// The spool's folder.
    #[must_use]
    pub fn spool_path(&self) -> PathBuf {
        self.spool.path.clone().unwrap_or_else(|| self.state_dir.join("spool"))
    }

    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.interval_ms))
    }
}

/// A name that stands in an address as it is.
fn is_log_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// figment names key and kind of the fault; the place is its metadata.
fn explain(errors: &figment::Error) -> ConfigError {
    let lines = errors.clone().into_iter().map(|error| {
        let place = error.metadata.as_ref().and_then(|data| data.source.as_ref()).map_or_else(
            || error.metadata.as_ref().map_or_else(String::new, |data| format!(" in {}", data.name)),
            |source| format!(" in {source}"),
        );
        let key = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path.join(".")) };
        format!("{key}{}{place}", error.kind)
    });
    ConfigError(lines.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
