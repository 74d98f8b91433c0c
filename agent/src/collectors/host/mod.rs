//! Collector of the host: CPU, load, pressure, memory, network, disks, temperatures, identity.
//!
//! One file for each source, named after it: a read under the configured root, then a pure parse.
//! Rates and shares are of the time since the previous read, by the monotonic clock; the first
//! read has none, and neither has a counter that went backwards.

mod diskstats;
mod identity;
mod loadavg;
mod meminfo;
mod netdev;
mod pressure;
mod rates;
mod sensors;
mod stat;
mod virtualization;

use super::procfile::{Buffer, ProcFile};
use super::{Collector, Outbox, Unavailable};
use crate::config::AgentConfig;
use crate::tick::Tick;
use fleetlight_protocol::document::CollectorState;
use fleetlight_protocol::samples::{HostSample, Row, Sample};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The host as a whole and its parts.
#[derive(Debug)]
pub struct Host {
    stat: stat::Stat,
    loadavg: ProcFile,
    meminfo: ProcFile,
    pressure: pressure::Pressure,
    interfaces: netdev::NetDev,
    disks: diskstats::DiskStats,
    sensors: sensors::Sensors,
    config: Arc<AgentConfig>,
    /// Begins with the first tick and ends with the collector.
    identity: Option<AbortOnDropHandle<()>>,
    /// Room for one file after the other.
    buffer: Buffer,
    outbox: Outbox,
}

impl Host {
    #[must_use]
    pub fn new(config: &AgentConfig, outbox: Outbox) -> Self {
        let proc_root = &config.proc_root;
        Self {
            stat: stat::Stat::new(proc_root),
            loadavg: ProcFile::new(proc_root.join("loadavg")),
            meminfo: ProcFile::new(proc_root.join("meminfo")),
            pressure: pressure::Pressure::new(proc_root),
            interfaces: netdev::NetDev::new(proc_root),
            disks: diskstats::DiskStats::new(proc_root, &config.sys_root),
            sensors: sensors::Sensors::new(&config.sys_root),
            config: Arc::new(config.clone()),
            identity: None,
            buffer: Buffer::default(),
            outbox,
        }
    }

    /// Everything that procfs says. Only `/proc/stat` must be there: without it the root is wrong.
    fn read_proc(&mut self, now: Instant) -> Result<Vec<Row>, Unavailable> {
        let (mut host, mut rows) = (HostSample::default(), Vec::new());
        let buffer = &mut self.buffer;
        self.stat.read(buffer, now, &mut host, &mut rows).map_err(|error| Unavailable {
            state: CollectorState::Failing,
            reason: format!(
                "cannot read {}: {error}; check proc_root in the configuration",
                self.stat.path().display()
            ),
        })?;
        if let Ok(text) = self.loadavg.read(buffer) {
            loadavg::parse(text, &mut host);
        }
        if let Ok(text) = self.meminfo.read(buffer) {
            meminfo::parse(text, &mut host);
        }
        self.pressure.read(buffer, now, &mut host);
        self.interfaces.read(buffer, now, &mut rows);
        self.disks.read(buffer, now, &mut rows);
        rows.push(host.row(""));
        Ok(rows)
    }
}

impl Collector for Host {
    const NAME: &'static str = "host";

    async fn collect(&mut self, _tick: Tick) -> Result<Vec<Row>, Unavailable> {
        let now = Instant::now();
        let mut rows = self.read_proc(now)?;
        self.sensors.read(now, &mut rows).await;
        self.identity.get_or_insert_with(|| {
            AbortOnDropHandle::new(tokio::spawn(identity::tell(self.config.clone(), self.outbox.clone())))
        });
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::samples::EntityKind;
    use std::time::Duration;
    use tokio::sync::mpsc;

    fn host(config: &AgentConfig) -> Host {
        Host::new(config, mpsc::channel(8).0)
    }

    fn value(rows: &[Row], metric: &str) -> Option<f64> {
        let row = rows.iter().find(|row| row.kind == EntityKind::Host).expect("the host's row");
        let index = HostSample::METRICS.iter().position(|known| known.name == metric).expect("a metric");
        row.values[index]
    }

    #[test]
    fn this_machine_answers_and_rates_come_with_the_second_read() {
        let mut host = host(&AgentConfig::default());
        let start = Instant::now();
        let first = host.read_proc(start).expect("Linux");
        assert!(value(&first, "memory_total_bytes").is_some_and(|bytes| bytes > 0.0));
        assert!(value(&first, "load1").is_some() && value(&first, "processes").is_some());
        for row in first.iter().filter(|row| row.kind != EntityKind::Host) {
            assert!(row.values.iter().all(Option::is_none), "no rate yet: {row:?}");
        }
        assert!(first.iter().any(|row| row.kind == EntityKind::Core && row.key == "cpu0"));
        let second = host.read_proc(start + Duration::from_secs(1)).expect("Linux");
        for row in second.iter().filter(|row| row.kind == EntityKind::Interface) {
            assert!(row.values.iter().all(Option::is_some), "{row:?}");
        }
    }

    #[tokio::test]
    async fn a_state_folder_that_hangs_delays_no_tick() {
        let state_dir = std::env::temp_dir().join(format!("fleetlight-hangs-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&state_dir).expect("temp folder is writable");
        // Reading a pipe that nobody writes to waits for ever.
        let pipe = state_dir.join("boot_id");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("makes a pipe");
        let config = AgentConfig { state_dir: state_dir.clone(), ..AgentConfig::default() };
        let (outbox, mut inbox) = mpsc::channel(8);
        let mut host = Host::new(&config, outbox);
        for _ in 0..20 {
            let tick = Tick { at_ms: 0, due: tokio::time::Instant::now() };
            let rows = tokio::time::timeout(Duration::from_secs(5), host.collect(tick)).await;
            assert!(!rows.expect("it does not wait").expect("Linux").is_empty());
            tokio::task::yield_now().await;
        }
        assert!(inbox.try_recv().is_err(), "nothing is known yet");
        let written = tokio::task::spawn_blocking(move || std::fs::write(pipe, "another boot\n")).await;
        written.expect("runs").expect("its reader waits");
        let told = tokio::time::timeout(Duration::from_secs(5), inbox.recv()).await;
        assert!(matches!(told, Ok(Some(crate::collectors::Reading::Events(_)))), "{told:?}");
        // This boot's id may be on its way into the folder at this moment.
        let _ = std::fs::remove_dir_all(state_dir);
    }

    #[test]
    fn a_wrong_root_says_which_setting_to_check() {
        let config = AgentConfig { proc_root: "/nonexistent".into(), ..AgentConfig::default() };
        let refused = host(&config).read_proc(Instant::now()).expect_err("nothing there");
        assert_eq!(refused.state, CollectorState::Failing);
        assert!(refused.reason.contains("/nonexistent/stat") && refused.reason.contains("proc_root"), "{refused}");
    }
}
