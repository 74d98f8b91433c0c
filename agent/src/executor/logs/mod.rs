//! Logs on demand: what a reader asks for, from this host's containers, journal and declared files.
//!
//! - [`serve`]: one reader, from its wish to its leaving. Nothing runs while nobody reads.
//! - `container`, `unit`, `file`: a source each, told by a task of its own (a file by a thread). `journal`: journalctl's
//!   answers. `follow`, `last`: a file that grows, is rotated, is truncated; where its last lines begin.
//! - `line`, `text`, `level`: from bytes to a line that may leave the host. `desk`: queues and merging.
//!
//! Invariants: a name that comes from outside selects from what this host has, and the policy judges the host's own
//! name; no line leaves unmasked; a reader costs bounded memory, and takes nothing from another.

mod container;
mod desk;
mod file;
mod follow;
mod journal;
mod last;
mod level;
mod line;
mod text;
mod unit;

use super::actions::Refused;
use super::policy;
use super::server::Executor;
use super::wire::{self, WireError};
use crate::limits::{LOG_FILES, LOG_GATHER, LOG_READERS, LOG_UNITS};
use desk::{Batch, Desk, Gone, Outlet};
use fleetlight_protocol::limits::{LOG_CONTAINS_CHARS, LOG_PAST_LINES, LOG_SOURCES};
use fleetlight_protocol::logs::{LogSource, LogsReport, LogsRequest};
use line::Dresser;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How much may be read at once.
#[derive(Debug)]
pub struct Room {
    readers: Semaphore,
    files: Arc<Semaphore>,
    units: Semaphore,
}

impl Default for Room {
    fn default() -> Self {
        let (readers, units) = (Semaphore::new(LOG_READERS), Semaphore::new(LOG_UNITS));
        Self { readers, files: Arc::new(Semaphore::new(LOG_FILES)), units }
    }
}

/// Why a source tells no more.
#[derive(Debug)]
enum End {
    Gone,
    Problem(String),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<String> for End {
    fn from(words: String) -> Self {
        Self::Problem(words)
    }
}

/// What a source works with.
#[derive(Debug)]
struct Source {
    executor: Arc<Executor>,
    wish: Arc<LogsRequest>,
    outlet: Outlet,
    dresser: Dresser,
}

impl Source {
    /// Asks the policy as it is now, by the name that this host knows.
    async fn allow(&self, name: &str) -> Result<(), End> {
        let refused = |refused: Refused| End::Problem(refused.reason);
        let policy = policy::load(&self.executor.config().policy_file).await.map_err(refused)?;
        policy.read_logs(name).map_err(refused)
    }

    fn conclude(&self, told: Result<(), End>) {
        if let Err(End::Problem(words)) = told {
            self.outlet.problem(words);
        }
    }
}

/// Tells a reader until its sources end, or it hangs up.
///
/// # Errors
/// The reader takes nothing any more.
pub async fn serve(stream: &mut UnixStream, executor: &Arc<Executor>, wish: LogsRequest) -> Result<(), WireError> {
    let (mut reader, mut writer) = stream.split();
    let refused = async |mut writer, message: &str| {
        let message = message.to_owned();
        wire::write(&mut writer, &LogsReport::Problem { source: 0, message }).await
    };
    if let Err(words) = judge(&wish) {
        return refused(&mut writer, &words).await;
    }
    let Ok(_place) = executor.log_room().readers.try_acquire() else {
        let words = format!("this host's logs have {LOG_READERS} readers already: close one of them");
        return refused(&mut writer, &words).await;
    };
    let (desk, outlets) = Desk::new(wish.sources.len());
    let wish = Arc::new(wish);
    // Ended with this reader.
    let mut tasks = JoinSet::new();
    for (outlet, number) in outlets.into_iter().zip(0_u16..) {
        let (executor, wish) = (Arc::clone(executor), Arc::clone(&wish));
        let dresser = Dresser::new(number, &wish);
        tasks.spawn(tell(usize::from(number), Source { executor, wish, outlet, dresser }));
    }
    let mut word = [0];
    tokio::select! {
        told = pass_on(&desk, &mut writer) => told,
        // It says nothing more: a byte or an end is a goodbye.
        _ = reader.read(&mut word) => Ok(()),
    }
}

fn judge(wish: &LogsRequest) -> Result<(), String> {
    if wish.sources.is_empty() || wish.sources.len() > LOG_SOURCES {
        return Err(format!("a reader may ask for 1 to {LOG_SOURCES} sources, not {}", wish.sources.len()));
    }
    if wish.lines > LOG_PAST_LINES {
        return Err(format!("a reader may ask for {LOG_PAST_LINES} lines of the past at most, not {}", wish.lines));
    }
    if wish.contains.as_ref().is_some_and(|text| text.chars().nth(LOG_CONTAINS_CHARS).is_some()) {
        return Err(format!("the text to look for has more than {LOG_CONTAINS_CHARS} characters"));
    }
    Ok(())
}

async fn tell(number: usize, mut source: Source) {
    let wish = Arc::clone(&source.wish);
    let told = match &wish.sources[number] {
        LogSource::Container { id } => container::tell(id, &mut source).await,
        LogSource::Unit { name } => unit::tell(name, &mut source).await,
        LogSource::File { name } => return file::tell(name, source).await,
    };
    source.conclude(told);
}

/// Writes what comes: at once when it is quiet, gathered when it is not.
async fn pass_on(desk: &Desk, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), WireError> {
    let mut not_before = Instant::now();
    while let Some(Batch { reports, is_full, is_live }) = desk.next().await {
        for report in reports {
            wire::write(writer, &report).await?;
        }
        if is_live && !is_full {
            sleep_until(not_before).await;
        }
        not_before = Instant::now() + LOG_GATHER;
    }
    Ok(())
}
