//! How many log lines a second reach a reader, what that costs, and what a silent log does.

use crate::latency;
use anyhow::{Context, Result, ensure};
use fleetlight_agent::mask;
use fleetlight_tests::account::Account;
use fleetlight_tests::client::{Client, Stream};
use fleetlight_tests::docker::Docker;
use fleetlight_tests::figures::Figures;
use fleetlight_tests::measure::pss_bytes;
use fleetlight_tests::system::{AgentOptions, System};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Lines of a run: some ten seconds at the aim.
const LINES: usize = 500_000;
/// What the product aims at.
const AIM: f64 = 50_000.0;
const WITHIN: Duration = Duration::from_secs(120);
/// Memory is looked at whenever so many lines have come.
const LOOK_EVERY: usize = 25_000;
/// How long a silent log is followed.
const SILENCE: Duration = Duration::from_secs(20);

/// The number of a line that a web server may have written, first in it.
fn line(number: usize) -> String {
    let (host, job, took) = (number % 250, number % 937, number % 613);
    format!("{number} INFO 10.0.0.{host}:51234 - \"GET /api/jobs/{job}/status HTTP/1.1\" 200 OK in {took} ms")
}

/// A process whose lines pass it, and its CPU by the kernel's own account.
struct Watched {
    pid: u32,
    account: Account,
}

impl Watched {
    fn new(name: &str, pid: u32) -> Result<Self> {
        let account = Account::open(&format!("tail-{name}"))?;
        account.adopt(pid)?;
        Ok(Self { pid, account })
    }
}

/// What a reader was told.
struct Told {
    lines: usize,
    dropped: usize,
    seconds: f64,
    /// The most that each process had.
    bytes: Vec<u64>,
    /// CPU that each process took for a line.
    microseconds: Vec<f64>,
}

impl Told {
    fn per_second(&self) -> f64 {
        self.lines as f64 / self.seconds
    }
}

/// One reader of server-sent events follows a container, then a declared file, that say all at once; then both are silent.
///
/// # Errors
/// If a line is neither told nor counted, or out of order.
pub async fn measure(docker: &Docker, system: &mut System, client: &Client, figures: &mut Figures) -> Result<()> {
    let folder = system.dir().join("tail");
    fs::create_dir_all(&folder)?;
    let lines = (0..LINES).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{}", line(number));
        text
    });
    fs::write(folder.join("lines"), lines)?;
    fs::write(folder.join("log"), "")?;
    let config = format!("interval_ms = 5000\nlog_files = {{ tail = {:?} }}", folder.join("log"));
    let options = AgentOptions { config, docker: Some(docker.socket().to_owned()), ..AgentOptions::default() };
    let mut agent = system.agent("bench", &options)?;
    let processes = [
        Watched::new("executor", agent.executor()?.pid())?,
        Watched::new("agent", agent.process()?.pid())?,
        Watched::new("controller", system.controller()?.pid())?,
    ];
    let host = latency::host_id(client).await?;
    let id = container(docker, client, host, &folder).await?;
    let nobody = cpu_percent(&processes[0]).await?;
    let before = memory(&processes)?;

    let mut of_container = open(client, &format!("container={id}")).await?;
    fs::write(folder.join("go"), "")?;
    let container = read(&mut of_container, &processes).await?;
    let container_silent = cpu_percent(&processes[0]).await? - nobody;
    drop(of_container);
    let mut of_file = open(client, &format!("host={host}&file=tail")).await?;
    fs::copy(folder.join("lines"), folder.join("log"))?;
    let file = read(&mut of_file, &processes).await?;
    let file_silent = cpu_percent(&processes[0]).await? - nobody;
    docker.remove("tail")?;

    note_speed(&container, &file, figures);
    note_memory(&before, &container, &file, figures);
    let how = format!(
        "CPU of the executor over {} s while one reader follows a container that says nothing, less that without a reader ({nobody:.3}); the same for a file, which is looked at ten times a second: {file_silent:.3}. Without readers nothing runs",
        SILENCE.as_secs()
    );
    figures.note("tail_silent_cpu_percent", "percent of a core", container_silent, None, &how);
    note_mask(figures)
}

/// Waits to be told, says all lines at once, and then nothing.
async fn container(docker: &Docker, client: &Client, host: i64, folder: &Path) -> Result<String> {
    let mount = format!("{}:/data", folder.display());
    let script = "while [ ! -e /data/go ]; do sleep 0.1; done; cat /data/lines; sleep 86400";
    let id = docker.run("tail", &["-v", &mount], script)?;
    let known = |detail: &Value| detail["documents"].as_array()?.iter().any(|one| one["key"] == *id).then_some(());
    client.wait(&format!("hosts/{host}"), Duration::from_secs(20), known).await?;
    Ok(id)
}

/// A reader of what comes from now on.
async fn open(client: &Client, query: &str) -> Result<Stream> {
    let mut stream = client.events(&format!("logs/stream?{query}&lines=0")).await?;
    stream.wait(Duration::from_secs(10), |name, _| (name == "live").then_some(())).await?;
    Ok(stream)
}

/// Until all lines are told or counted.
async fn read(stream: &mut Stream, processes: &[Watched]) -> Result<Told> {
    let bytes = vec![0; processes.len()];
    let mut told = Told { lines: 0, dropped: 0, seconds: 0.0, bytes, microseconds: Vec::new() };
    let before = cpu_seconds(processes)?;
    let (mut began, mut look) = (None, 0);
    let all = async {
        while told.lines + told.dropped < LINES {
            let (name, data) = stream.next().await?;
            ensure!(!matches!(&*name, "problem" | "end"), "{name}: {data}, after {} lines", told.lines);
            told.dropped += if name == "dropped" { data["lines"].as_u64().context("a number")? as usize } else { 0 };
            let Some(lines) = data["lines"].as_array() else { continue };
            began.get_or_insert_with(Instant::now);
            for line in lines {
                let text = line["text"].as_str().context("a text")?;
                let number: usize = text.split(' ').next().context("a number")?.parse()?;
                ensure!(number == told.lines + told.dropped, "{number} came after {} lines", told.lines);
                told.lines += 1;
            }
            if told.lines >= look {
                look = told.lines + LOOK_EVERY;
                let most = memory(processes)?.into_iter().zip(&told.bytes).map(|(now, most)| now.max(*most));
                told.bytes = most.collect();
            }
        }
        Ok(())
    };
    timeout(WITHIN, all).await.context("the lines take too long")??;
    told.seconds = began.context("no lines")?.elapsed().as_secs_f64();
    let after = cpu_seconds(processes)?;
    told.microseconds = after.iter().zip(before).map(|(after, before)| (after - before) / LINES as f64 * 1e6).collect();
    Ok(told)
}

fn memory(processes: &[Watched]) -> Result<Vec<u64>> {
    processes.iter().map(|process| pss_bytes(&[process.pid])).collect()
}

fn cpu_seconds(processes: &[Watched]) -> Result<Vec<f64>> {
    processes.iter().map(|process| process.account.seconds()).collect()
}

async fn cpu_percent(process: &Watched) -> Result<f64> {
    let (before, began) = (process.account.seconds()?, Instant::now());
    tokio::time::sleep(SILENCE).await;
    Ok((process.account.seconds()? - before) / began.elapsed().as_secs_f64() * 100.0)
}

fn microseconds(told: &Told) -> String {
    told.microseconds.iter().map(|took| format!("{took:.1}")).collect::<Vec<_>>().join(", ")
}

fn note_speed(container: &Told, file: &Told, figures: &mut Figures) {
    let profile = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    let how = format!(
        "{LINES} lines of some 90 bytes, printed by a container as fast as it can and followed by one reader of server-sent events, which parses them as a page does: Docker → executor, which masks → agent → controller → reader, {profile}, all on one machine; every line is told in order or counted; CPU a line in µs of executor, agent, controller: {}",
        microseconds(container)
    );
    figures.beside("tail_lines_per_second", "lines/s", container.per_second(), Some(AIM), &[], &how);
    let how = format!(
        "the same lines, appended at once to a declared file: without Docker; CPU a line in µs of executor, agent, controller: {}",
        microseconds(file)
    );
    figures.beside("tail_file_lines_per_second", "lines/s", file.per_second(), Some(AIM), &[], &how);
    let percent = container.dropped as f64 / LINES as f64 * 100.0;
    let how = format!("of the container's lines; of the file's, {} of {LINES}", file.dropped);
    figures.note("tail_dropped_percent", "percent", percent, None, &how);
}

fn note_memory(before: &[u64], container: &Told, file: &Told, figures: &mut Figures) {
    let list =
        |bytes: &[u64]| bytes.iter().map(|bytes| format!("{:.1}", *bytes as f64 / 1e6)).collect::<Vec<_>>().join(", ");
    let most = container.bytes.iter().zip(&file.bytes).zip(before);
    let growth: u64 = most.map(|((container, file), before)| (*container).max(*file).saturating_sub(*before)).sum();
    let how = format!(
        "what executor, agent and controller have more at most while one reader takes lines as fast as he can, looked at every {LOOK_EVERY} lines; their PSS in MB: {} before, {} with the container, {} with the file",
        list(before),
        list(&container.bytes),
        list(&file.bytes)
    );
    figures.note("tail_pss_growth_bytes", "bytes", growth as f64, None, &how);
}

/// CPU seconds that the calling thread has run for.
fn thread_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().and_then(|run| run.parse::<f64>().ok()).context("schedstat")? / 1e9)
}

/// What masking alone takes, of one core.
fn note_mask(figures: &mut Figures) -> Result<()> {
    const MASKED: usize = 100_000;
    let digest = "0123456789abcdef".repeat(4);
    let numbers = 0..MASKED;
    let with_digest = numbers.clone().map(|number| format!("{number} INFO pulled sha256:{digest}"));
    let with_secret = numbers.clone().map(|number| format!("{number} INFO login password=hunter{number} accepted"));
    let kinds: [(&str, Vec<String>); 3] = [
        ("those above", numbers.map(line).collect()),
        ("with a digest of 64 characters", with_digest.collect()),
        ("with a password", with_secret.collect()),
    ];
    let mut speeds = Vec::new();
    for (what, lines) in kinds {
        let before = thread_seconds()?;
        let shown: usize = lines.iter().map(|line| mask::secretless(line).len()).sum();
        ensure!(shown > 0, "nothing is left of the lines");
        speeds.push((what, MASKED as f64 / (thread_seconds()? - before)));
    }
    let all = speeds.iter().map(|(what, speed)| format!("{speed:.0} {what}")).collect::<Vec<_>>().join(", ");
    let how = format!("lines masked in a second of one core, nothing else done: {all}");
    figures.note("mask_lines_per_second", "lines/s", speeds[0].1, None, &how);
    Ok(())
}
