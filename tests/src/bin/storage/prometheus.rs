//! Prometheus with the same values: blocks made by `promtool`, compacted by the server itself.

use crate::columns::Columns;
use crate::http::{Query, Server};
use anyhow::{Context, Result, ensure};
use fleetlight_tests::measure::folder_bytes;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

pub const NAME: &str = "Prometheus (Debian)";
/// Hours of a block that `promtool` makes: what the server's first compaction would make of those of two hours.
pub const BLOCK_HOURS: i64 = 6;
/// The longest that compaction is waited for. The server looks once a minute.
const SETTLE_WAIT: Duration = Duration::from_secs(240);
/// Nothing compacted for this long: it is done.
const SETTLED_AFTER: Duration = Duration::from_secs(75);

pub struct Prometheus {
    dir: PathBuf,
    /// What is no block yet.
    piece: Option<File>,
    server: Option<Server>,
}

impl Prometheus {
    pub fn new(dir: &Path) -> Result<Self> {
        let dir = dir.join("prometheus");
        std::fs::create_dir_all(dir.join("data"))?;
        std::fs::write(dir.join("prometheus.yml"), "scrape_configs: []\n")?;
        Ok(Self { dir, piece: None, server: None })
    }

    pub fn take(&mut self, columns: &Columns) -> Result<()> {
        if self.piece.is_none() {
            self.piece = Some(File::create(self.dir.join("piece"))?);
        }
        let mut text = String::new();
        columns.open_metrics(&mut text);
        Ok(self.piece.as_mut().context("just made")?.write_all(text.as_bytes())?)
    }

    /// What was taken becomes blocks; to be called where a block ends.
    pub fn make_blocks(&mut self) -> Result<()> {
        let Some(mut piece) = self.piece.take() else { return Ok(()) };
        piece.write_all(b"# EOF\n")?;
        let file = self.dir.join("piece");
        let mut command = Command::new("promtool");
        command.args([
            "tsdb",
            "create-blocks-from",
            &format!("--max-block-duration={BLOCK_HOURS}h"),
            "openmetrics",
            "-q",
        ]);
        command.arg(&file).arg(self.dir.join("data"));
        let output =
            command.stdin(Stdio::null()).output().context("promtool (on Debian: apt-get install prometheus)")?;
        ensure!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stderr));
        Ok(std::fs::remove_file(&file)?)
    }

    /// Serves the blocks that there are.
    pub async fn serve(&mut self) -> Result<&Server> {
        self.server = None;
        let arguments = |address: &str| {
            vec![
                format!("--config.file={}", self.dir.join("prometheus.yml").display()),
                format!("--storage.tsdb.path={}", self.dir.join("data").display()),
                "--storage.tsdb.retention.time=1y".to_owned(),
                format!("--web.listen-address={address}"),
                "--log.level=error".to_owned(),
            ]
        };
        let server = Server::start("prometheus", &self.dir, arguments, "/-/ready").await?;
        Ok(self.server.insert(server))
    }

    /// Serves the blocks and waits until the server compacts no more; bytes on disk then.
    pub async fn settle(&mut self) -> Result<f64> {
        let server = self.serve().await?;
        let (began, mut quiet_since, mut compactions) = (Instant::now(), Instant::now(), 0.0);
        while began.elapsed() < SETTLE_WAIT && quiet_since.elapsed() < SETTLED_AFTER {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = server.metric("prometheus_tsdb_compactions_total").await?;
            if now > compactions {
                (compactions, quiet_since) = (now, Instant::now());
            }
        }
        self.block_bytes()
    }

    fn block_bytes(&self) -> Result<f64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.dir.join("data"))? {
            let path = entry?.path();
            if path.join("meta.json").exists() {
                bytes += folder_bytes(&path)?;
            }
        }
        Ok(bytes as f64)
    }

    pub async fn ask(&self, query: &Query) -> Result<usize> {
        self.server.as_ref().context("it does not run")?.ask(query).await
    }
}
