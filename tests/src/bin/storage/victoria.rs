//! VictoriaMetrics with the same values.

use crate::columns::Columns;
use crate::http::{Query, Server};
use anyhow::{Result, ensure};
use fleetlight_tests::measure::folder_bytes;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

pub const NAME: &str = "VictoriaMetrics (Debian)";
/// The longest that merges are waited for.
const SETTLE_WAIT: Duration = Duration::from_secs(300);
/// Nothing merged for this long: it is done.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

pub struct Victoria {
    server: Server,
    dir: PathBuf,
    /// CPU seconds of imports.
    pub import_cpu: f64,
}

impl Victoria {
    pub async fn start(dir: &Path) -> Result<Self> {
        let dir = dir.join("victoria-metrics");
        std::fs::create_dir_all(&dir)?;
        let arguments = |address: &str| {
            vec![
                format!("-httpListenAddr={address}"),
                format!("-storageDataPath={}", dir.join("data").display()),
                "-retentionPeriod=12".to_owned(),
                "-loggerLevel=ERROR".to_owned(),
            ]
        };
        let server = Server::start("victoria-metrics", &dir, arguments, "/health").await?;
        Ok(Self { server, dir, import_cpu: 0.0 })
    }

    /// Imports some hours, and waits until they are on disk.
    pub async fn import(&mut self, columns: &Columns) -> Result<()> {
        let bodies = columns.json_bodies();
        let before = self.server.cpu()?;
        for body in bodies {
            self.server.post("/api/v1/import", body).await?;
        }
        self.server.get("/internal/force_flush").await?;
        self.import_cpu += self.server.cpu()? - before;
        Ok(())
    }

    /// Merges all parts; bytes on disk then.
    pub async fn settle(&self) -> Result<f64> {
        self.server.get("/internal/force_flush").await?;
        self.server.get("/internal/force_merge").await?;
        // It merges in the background and counts who does; between two merges nobody does.
        let (began, mut quiet_since) = (Instant::now(), Instant::now());
        while quiet_since.elapsed() < SETTLED_AFTER {
            ensure!(began.elapsed() < SETTLE_WAIT, "it still merges after {SETTLE_WAIT:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
            let merging =
                self.server.metric("vm_active_force_merges").await? + self.server.metric("vm_active_merges").await?;
            if merging > 0.0 {
                quiet_since = Instant::now();
            }
        }
        let data = self.dir.join("data");
        Ok((folder_bytes(&data.join("data"))? + folder_bytes(&data.join("indexdb"))?) as f64)
    }

    pub async fn ask(&self, query: &Query) -> Result<usize> {
        self.server.ask(query).await
    }
}
