//! The host's document, and the event of a boot: a task beside the collector, which never waits for it.

use super::{meminfo, virtualization};
use crate::collectors::{Outbox, Reading};
use crate::config::AgentConfig;
use crate::limits::IDENTITY_REFRESH;
use crate::tick::wall_ms;
use fleetlight_protocol::document::{Body, Document, HostDocument};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::EntityKind;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Says what is known of the host, now and whenever it changes, until nobody listens.
pub async fn tell(config: Arc<AgentConfig>, outbox: Outbox) {
    let mut identity = Identity::new(config);
    while identity.look(&outbox).await.is_ok() {
        tokio::time::sleep(IDENTITY_REFRESH).await;
    }
}

/// What was said of the host.
#[derive(Debug)]
struct Identity {
    config: Arc<AgentConfig>,
    said: Option<HostDocument>,
}

/// Nobody listens any more.
#[derive(Debug)]
struct Unheard;

impl Identity {
    fn new(config: Arc<AgentConfig>) -> Self {
        Self { config, said: None }
    }

    /// Looks, and sends what is new. On a blocking thread: /proc/cpuinfo of a large host takes
    /// milliseconds to make, and a state folder on a file system that hangs takes for ever.
    async fn look(&mut self, outbox: &Outbox) -> Result<(), Unheard> {
        let (config, before) = (self.config.clone(), self.said.clone());
        let read = move || (read(&config, before.as_ref()), fs::read_to_string(config.state_dir.join("boot_id")).ok());
        let Ok((document, last_boot)) = tokio::task::spawn_blocking(read).await else { return Ok(()) };
        let last_boot = last_boot.as_deref().map(str::trim);
        if self.said.is_none() && !document.boot_id.is_empty() && last_boot != Some(&document.boot_id) {
            if last_boot.is_some() {
                say(outbox, Reading::Events(vec![booted(&document)])).await?;
            }
            self.remember(document.boot_id.clone()).await;
        }
        if self.said.as_ref() != Some(&document) {
            let body = Some(Body::Host(document.clone()));
            let document_now = Document { kind: EntityKind::Host, key: String::new(), observed_ms: wall_ms(), body };
            say(outbox, Reading::Documents(vec![document_now])).await?;
            self.said = Some(document);
        }
        Ok(())
    }

    /// Only once the event of the boot is out.
    async fn remember(&self, boot_id: String) {
        let config = self.config.clone();
        let kept = tokio::task::spawn_blocking(move || remember_boot(&config.state_dir, &boot_id)).await;
        if let Ok(Err(error)) = kept {
            let file = self.config.state_dir.join("boot_id");
            tracing::warn!(file = %file.display(), %error, "boot id not kept; the next start may report this boot again");
        }
    }
}

async fn say(outbox: &Outbox, reading: Reading) -> Result<(), Unheard> {
    outbox.send(reading).await.map_err(|_| Unheard)
}

/// The host as it is. What cannot change within a boot is taken from `before`: reading cpuinfo of
/// a large host costs milliseconds, and the kernel derives the boot time from the clock, so that
/// it moves whenever the clock is set.
fn read(config: &AgentConfig, before: Option<&HostDocument>) -> HostDocument {
    let proc_text = |name: &str| fs::read_to_string(config.proc_root.join(name)).unwrap_or_default();
    let line = |name: &str| Some(proc_text(name).trim().to_owned()).filter(|line| !line.is_empty());
    let boot_id = line("sys/kernel/random/boot_id").unwrap_or_default();
    let stat = proc_text("stat");
    let same_boot = before.filter(|before| before.boot_id == boot_id);
    HostDocument {
        hostname: line("sys/kernel/hostname").or_else(|| sysinfo::System::host_name().ok()).unwrap_or_default(),
        os: sysinfo::System::name().ok(),
        os_version: sysinfo::System::os_version().ok(),
        kernel: line("sys/kernel/osrelease"),
        architecture: sysinfo::System::cpu_arch(),
        boot_time_ms: same_boot.map_or_else(|| boot_time_ms(&stat), |before| before.boot_time_ms),
        boot_id,
        virtualization: same_boot.map_or_else(
            || virtualization::detect(&config.proc_root, &config.sys_root),
            |before| before.virtualization.clone(),
        ),
        cpu_model: same_boot.map_or_else(cpu_model, |before| before.cpu_model.clone()),
        cpu_count: cpu_count(&stat),
        memory_total_bytes: meminfo::total_bytes(proc_text("meminfo").as_bytes()).unwrap_or(0),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        interval_ms: config.interval_ms,
    }
}

/// `btime` of `/proc/stat`, seconds since the Unix epoch.
fn boot_time_ms(stat: &str) -> i64 {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok());
    seconds.and_then(|seconds| seconds.checked_mul(1_000)).unwrap_or(0)
}

/// Logical CPUs online: the lines `cpu0`, `cpu1` … of `/proc/stat`.
fn cpu_count(stat: &str) -> u32 {
    let numbered =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    stat.lines().filter(numbered).count() as u32
}

/// sysinfo also knows the names of Arm cores, whose cpuinfo has numbers only.
fn cpu_model() -> Option<String> {
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
    let brand = system.cpus().first()?.brand().trim().to_owned();
    (!brand.is_empty()).then_some(brand)
}

fn booted(document: &HostDocument) -> Event {
    let at_ms = if document.boot_time_ms > 0 { document.boot_time_ms } else { wall_ms() };
    Event {
        id: Uuid::now_v7(),
        at_ms,
        kind: EntityKind::Host,
        key: String::new(),
        subject: document.hostname.clone(),
        severity: Severity::Warn,
        fact: Fact::HostBooted { boot_time_ms: document.boot_time_ms },
    }
}

/// Written beside and renamed, so that a crash leaves the old id or the new one.
fn remember_boot(state_dir: &Path, boot_id: &str) -> std::io::Result<()> {
    let fresh = state_dir.join("boot_id.new");
    fs::write(&fresh, format!("{boot_id}\n"))?;
    fs::rename(fresh, state_dir.join("boot_id"))
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
