//! A peer's server on loopback: started, asked by HTTP, gone with its owner.

use anyhow::{Context, Result, ensure};
use fleetlight_tests::account::Account;
use fleetlight_tests::system::Process;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub struct Server {
    process: Process,
    account: Account,
    http: reqwest::Client,
    url: String,
}

impl Server {
    /// Runs `program` with the arguments that `arguments` gives for `host:port`.
    pub async fn start(
        program: &str,
        dir: &Path,
        arguments: impl FnOnce(&str) -> Vec<String>,
        health: &str,
    ) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        // A benchmark that is killed must not leave it behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", program]).args(arguments(&address)).stdout(Stdio::null());
        let process = Process::start(&mut command, &dir.join(format!("{program}.log")))?;
        let account = Account::open(program)?;
        account.adopt(process.pid())?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(300)).build()?;
        let server = Self { process, account, http, url: format!("http://{address}") };
        for _ in 0..300 {
            if server.get(health).await.is_ok() {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("{program} does not answer (on Debian: apt-get install {program}): {}", server.process.log())
    }

    /// CPU seconds so far.
    pub fn cpu(&self) -> Result<f64> {
        self.account.seconds()
    }

    pub async fn get(&self, path: &str) -> Result<String> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(text)
    }

    pub async fn post(&self, path: &str, body: String) -> Result<()> {
        let response = self.http.post(format!("{}{path}", self.url)).body(body).send().await?;
        ensure!(response.status().is_success(), "{path} answered {}", response.status());
        Ok(())
    }

    /// A number of its own metrics, summed over labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("/metrics").await?;
        let lines =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        lines.filter_map(|line| line.rsplit(' ').next()).map(|number| number.parse::<f64>().context("a number")).sum()
    }

    /// Asks a Prometheus query; how many series the answer has.
    pub async fn ask(&self, query: &Query) -> Result<usize> {
        let mut series = 0;
        for promql in &query.promql {
            let text = self.get(&query.path(promql)).await?;
            series += text.matches("\"metric\"").count();
        }
        Ok(series)
    }
}

/// Questions of one kind in PromQL, asked one after the other.
pub struct Query {
    pub promql: Vec<String>,
    pub from_ms: i64,
    pub to_ms: i64,
    /// Zero: at one moment.
    pub step_s: i64,
}

impl Query {
    fn path(&self, promql: &str) -> String {
        let query = percent_encoded(promql);
        let (from, to) = (self.from_ms / 1_000, self.to_ms / 1_000);
        if self.step_s == 0 {
            return format!("/api/v1/query?query={query}&time={to}&nocache=1");
        }
        format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={}&nocache=1", self.step_s)
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
