//! Debian's node_exporter, scraped as Prometheus does.

use anyhow::{Context, Result, ensure};
use fleetlight_tests::account::Account;
use fleetlight_tests::measure::pss_bytes;
use fleetlight_tests::system::Process;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

pub struct NodeExporter {
    process: Process,
    account: Account,
    url: String,
    http: reqwest::Client,
}

/// What scraping cost over a window.
pub struct Scraped {
    pub cpu_percent: f64,
    pub pss_bytes: u64,
    /// Body bytes of the compressed exposition for each sample in it; headers, TCP and acks not counted.
    pub bytes_per_value: f64,
    pub values: usize,
}

impl NodeExporter {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// If Debian's `prometheus-node-exporter` is not installed or does not answer.
    pub async fn start(dir: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("prometheus-node-exporter");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdout(Stdio::null());
        let process = Process::start(&mut command, &dir.join("node-exporter.log"))
            .context("on Debian: apt-get install prometheus-node-exporter")?;
        let account = Account::open("exporter")?;
        account.adopt(process.pid())?;
        let exporter =
            Self { process, account, url: format!("http://127.0.0.1:{port}/metrics"), http: reqwest::Client::new() };
        for _ in 0..50 {
            if exporter.scrape(false).await.is_ok() {
                return Ok(exporter);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("node_exporter does not answer: {}", exporter.process.log())
    }

    async fn scrape(&self, compressed: bool) -> Result<Vec<u8>> {
        let mut request = self.http.get(&self.url);
        if compressed {
            request = request.header("Accept-Encoding", "gzip");
        }
        let response = request.send().await?;
        ensure!(response.status().is_success(), "{}", response.status());
        Ok(response.bytes().await?.to_vec())
    }

    /// Scrapes at each interval for a window.
    ///
    /// # Errors
    /// If a scrape fails.
    pub async fn scrape_every(&mut self, interval: Duration, window: Duration) -> Result<Scraped> {
        let plain = String::from_utf8(self.scrape(false).await?)?;
        let values = plain.lines().filter(|line| !line.starts_with('#')).count();
        let (began, before) = (Instant::now(), self.account.seconds()?);
        let (mut bytes, mut scrapes) = (0, 0);
        while began.elapsed() < window {
            bytes += self.scrape(true).await?.len();
            scrapes += 1;
            tokio::time::sleep_until(began + interval * scrapes).await;
        }
        let seconds = began.elapsed().as_secs_f64();
        Ok(Scraped {
            cpu_percent: (self.account.seconds()? - before) / seconds * 100.0,
            pss_bytes: pss_bytes(&[self.process.pid()])?,
            bytes_per_value: bytes as f64 / f64::from(scrapes) / values as f64,
            values,
        })
    }
}
