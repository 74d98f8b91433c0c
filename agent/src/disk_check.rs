//! `fleetlight-agent disk-check`: a gate for scripts, before a build or a backup fills the disk.
//!
//! File systems are asked by the mount worker, so that one that does not answer is named and not waited for.

use crate::collectors::mounts;
use crate::config::AgentConfig;
use crate::failure::Failure;
use crate::limits::{DISK_CHECK_LOOK, DISK_CHECK_WAIT};
use crate::workers::Worker;
use crate::workers::mounts::{Answer, Done, Probe, Question, Room, Target};
use std::fmt::{self, Display};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tokio::time::{Instant, sleep};

/// What is asked.
#[derive(Debug)]
pub struct Wish {
    /// Whatever holds these; empty: all mounts of the host that can be written.
    pub paths: Vec<PathBuf>,
    /// Full from here on, percent.
    pub limit: u8,
}

/// How full one file system is.
#[derive(Debug, PartialEq)]
struct Found {
    place: String,
    state: State,
    limit: u8,
}

#[derive(Debug, PartialEq)]
enum State {
    Room {
        bytes: Share,
        inodes: Option<Share>,
    },
    /// It holds no files, as some FUSE file systems say.
    Nothing,
    /// In words.
    Unknown(String),
}

/// Used of total.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Share {
    used: u64,
    total: u64,
}

/// Prints a line for each; gives whether all have room.
///
/// # Errors
/// [`Failure`] if the mounts cannot be listed or asked.
pub async fn run(config: &AgentConfig, wish: &Wish, worker: Worker) -> Result<bool, Failure> {
    let targets = if wish.paths.is_empty() { all(config)? } else { named(&wish.paths)? };
    let probes = ask(worker, Question { mounts: targets.clone() }).await?;
    let found: Vec<Found> =
        targets.iter().zip(&probes).map(|(target, probe)| judge(target, probe, wish.limit)).collect();
    for one in &found {
        if one.is_good() {
            println!("{one}");
        } else {
            eprintln!("{one}");
        }
    }
    Ok(found.iter().all(Found::is_good))
}

/// What can be written: an image that is full by design stops nobody.
fn all(config: &AgentConfig) -> Result<Vec<Target>, Failure> {
    let listed = mounts::watched(&config.proc_root).map_err(Failure::Other)?;
    Ok(listed.iter().filter(|mount| mount.is_writable()).map(mounts::target).collect())
}

/// Paths may lead anywhere, and over links: none of them is looked at here, and each is asked for by a thread of its own.
fn named(paths: &[PathBuf]) -> Result<Vec<Target>, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::Other(format!("the current folder: {error}")))?;
    let target = |(number, path): (usize, &PathBuf)| Target {
        id: number as u64,
        path: here.join(path).as_os_str().as_bytes().to_vec(),
        remote: true,
    };
    Ok(paths.iter().enumerate().map(target).collect())
}

/// What each has said by the time that it has.
async fn ask(mut worker: Worker, question: Question) -> Result<Vec<Probe>, Failure> {
    let until = Instant::now() + DISK_CHECK_WAIT;
    loop {
        let answer: Answer = worker
            .ask(&question, DISK_CHECK_WAIT)
            .await
            .map_err(|error| Failure::Other(format!("file systems cannot be asked: {error}")))?;
        if Instant::now() >= until || answer.mounts.iter().all(|probe| probe.last.is_some()) {
            return Ok(answer.mounts);
        }
        sleep(DISK_CHECK_LOOK).await;
    }
}

fn judge(target: &Target, probe: &Probe, limit: u8) -> Found {
    let silent = || format!("no answer within {} s; `mount` names its server or device", DISK_CHECK_WAIT.as_secs());
    let state = match probe.last {
        None if probe.crowded => State::Unknown("not asked: too many others do not answer".into()),
        None => State::Unknown(silent()),
        Some(Done { result: Err(errno), .. }) => State::Unknown(std::io::Error::from_raw_os_error(errno).to_string()),
        Some(Done { result: Ok(room), .. }) => state(room),
    };
    Found { place: Path::new(target.path()).display().to_string(), state, limit }
}

/// As df has it: what is kept for root alone is neither used nor there to be used.
fn state(room: Room) -> State {
    if room.blocks == 0 {
        return State::Nothing;
    }
    let used = room.blocks.saturating_sub(room.blocks_free);
    let bytes = |blocks: u64| blocks.saturating_mul(room.block_bytes);
    let inodes = Share { used: room.inodes.saturating_sub(room.inodes_free), total: room.inodes };
    State::Room {
        bytes: Share { used: bytes(used), total: bytes(used.saturating_add(room.blocks_available)) },
        inodes: (room.inodes > 0).then_some(inodes),
    }
}

impl Share {
    fn reaches(self, limit: u8) -> bool {
        u128::from(self.used) * 100 >= u128::from(self.total) * u128::from(limit)
    }

    fn percent(self) -> f64 {
        if self.total == 0 { 100.0 } else { self.used as f64 / self.total as f64 * 100.0 }
    }
}

impl Found {
    /// What cannot be judged is not good: whoever asks would rely on it.
    fn is_good(&self) -> bool {
        match &self.state {
            State::Room { bytes, inodes } => {
                !bytes.reaches(self.limit) && !inodes.is_some_and(|inodes| inodes.reaches(self.limit))
            }
            State::Nothing => true,
            State::Unknown(_) => false,
        }
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, limit, .. } = self;
        match &self.state {
            State::Room { bytes, inodes: Some(inodes) } if inodes.reaches(*limit) && !bytes.reaches(*limit) => {
                write!(
                    f,
                    "{place}: {:.1} % of its inodes are used, {} are left; limit {limit} %: remove small files",
                    inodes.percent(),
                    inodes.total - inodes.used
                )
            }
            State::Room { bytes, .. } => {
                let left = (bytes.total - bytes.used) as f64 / 1e9;
                write!(f, "{place}: {:.1} % full, {left:.1} GB left", bytes.percent())?;
                if bytes.reaches(*limit) { write!(f, "; limit {limit} %: make room first") } else { Ok(()) }
            }
            State::Nothing => write!(f, "{place}: holds no files of its own"),
            State::Unknown(why) => write!(f, "{place}: cannot be judged: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(limit: u8, blocks: u64, free: u64, available: u64, inodes: (u64, u64)) -> Found {
        let (inodes, inodes_free) = inodes;
        let room =
            Room { block_bytes: 4096, blocks, blocks_free: free, blocks_available: available, inodes, inodes_free };
        Found { place: "/data".into(), state: state(room), limit }
    }

    #[test]
    fn the_limit_is_judged_as_df_counts_and_inodes_count_too() {
        // 5 % are kept for root: 855 of 950 are used.
        assert!(!found(90, 1_000, 145, 95, (0, 0)).is_good());
        assert!(found(90, 1_000, 146, 96, (0, 0)).is_good());
        assert!(found(90, 1_000, 900, 900, (100, 11)).is_good());
        let inodes = found(90, 1_000, 900, 900, (100, 10));
        assert!(!inodes.is_good());
        assert!(inodes.to_string().contains("90.0 % of its inodes"), "{inodes}");
        assert!(found(90, 0, 0, 0, (0, 0)).is_good(), "nothing can be full of nothing");
        let full = found(100, 1_000, 50, 0, (0, 0));
        assert!(!full.is_good());
        assert_eq!(full.to_string(), "/data: 100.0 % full, 0.0 GB left; limit 100 %: make room first");
    }

    #[test]
    fn what_does_not_answer_is_not_good() {
        let target = Target { id: 1, path: b"/mnt/nfs".to_vec(), remote: true };
        let silent = judge(&target, &Probe { out_ms: Some(5_000), ..Probe::default() }, 90);
        assert!(!silent.is_good());
        assert!(silent.to_string().starts_with("/mnt/nfs: cannot be judged: no answer within 5 s"), "{silent}");
        let missing = Probe { last: Some(Done { took_us: 1, result: Err(2) }), ..Probe::default() };
        assert!(judge(&target, &missing, 90).to_string().contains("No such file"));
    }
}
