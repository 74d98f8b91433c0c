//! What an agent has taken: every whole record that its spool ever held.
//!
//! A batch counts as taken once `write(2)` has put it into a segment file, so the files are the agent's own word, and
//! the kernel keeps them through any kill. Each file is linked into a folder of ours as soon as it appears: what the
//! agent removes later stays readable there. This reader shares no code with the agent's: the format is that of
//! `agent/src/spool/format.rs` and `payload.rs`, read anew. A tail that is no whole record was torn and not taken.

use crate::world::pause;
use anyhow::{Context, Result, ensure};
use crc::{CRC_32_ISCSI, Crc, Table};
use fleetlight_protocol::event::Event;
use fleetlight_protocol::frame::{self, HEAD_BYTES, Head};
use fleetlight_protocol::metric::{Column, Metric};
use fleetlight_protocol::samples::EntityKind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use uuid::Uuid;

const HEADER_BYTES: usize = 20;
const RECORD_HEAD_BYTES: usize = 16;
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// A record's payload.
#[derive(Debug, Deserialize)]
pub enum Kept {
    #[serde(rename = "s")]
    Samples(i64, Vec<(u8, String, Vec<Option<i64>>)>),
    #[serde(rename = "e")]
    Events(Vec<Event>),
    #[serde(rename = "i")]
    Inventory(#[allow(dead_code, reason = "its sequence number is what counts")] IgnoredAny),
}

/// A row as the tables hold it: kind, key, tick, values in catalogue order.
pub type Place = (EntityKind, String, i64);
pub type Values = Vec<Option<f64>>;

/// All that one agent took.
#[derive(Debug)]
pub struct Taken {
    links: Arc<Links>,
    watcher: Option<JoinHandle<()>>,
    /// How far each file is read.
    read: BTreeMap<String, usize>,
    pub batches: BTreeMap<(Uuid, u64), Kept>,
}

/// The folder of links, filled by a thread for as long as its owner lives.
#[derive(Debug)]
struct Links {
    spool: PathBuf,
    folder: PathBuf,
    known: Mutex<Known>,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    names: HashSet<OsString>,
    /// What could not be linked first, and why.
    failed: Option<String>,
}

impl Links {
    /// Links what is new.
    fn look(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The agent has not made it yet.
        for entry in fs::read_dir(&self.spool).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if Path::new(&name).extension().is_some_and(|ending| ending == "seg") && !known.names.contains(&name) {
                match fs::hard_link(self.spool.join(&name), self.folder.join(&name)) {
                    // Removed since it was listed, right after it was made: it was empty.
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        known.failed.get_or_insert_with(|| format!("{}: {error}", name.display()));
                    }
                    _ => {
                        known.names.insert(name);
                    }
                }
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.links.is_over.store(true, Ordering::Relaxed);
        self.watcher.take().map(JoinHandle::join);
    }
}

impl Taken {
    /// Of the agent whose spool is in `spool`; `folder` is on the same file system.
    pub fn new(spool: PathBuf, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let links = Arc::new(Links { spool, folder, known: Mutex::default(), is_over: AtomicBool::new(false) });
        let watching = Arc::clone(&links);
        let watcher = std::thread::spawn(move || {
            while !watching.is_over.load(Ordering::Relaxed) {
                watching.look();
                pause();
            }
        });
        Ok(Self { links, watcher: Some(watcher), read: BTreeMap::new(), batches: BTreeMap::new() })
    }

    /// Reads what has been added to all files. To be called between a kill and the next start, too: a start that
    /// cut a good record off would cut it from our link as well.
    pub fn harvest(&mut self) -> Result<()> {
        self.links.look();
        let failed = self.links.known.lock().unwrap_or_else(PoisonError::into_inner).failed.clone();
        ensure!(failed.is_none(), "what it took cannot be linked: {failed:?}");
        let files: Vec<_> = fs::read_dir(&self.links.folder)?.collect::<std::io::Result<_>>()?;
        for file in files {
            let name = file.file_name().to_string_lossy().into_owned();
            if self.read.get(&name).is_none_or(|read| *read as u64 != file.metadata().map_or(0, |of| of.len())) {
                let bytes = fs::read(file.path())?;
                self.read_file(&name, &bytes).with_context(|| name.clone())?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let epoch = name.trim_end_matches(".seg").rsplit('-').next().context("no epoch")?.parse::<Uuid>()?;
        let mut at = self.read.get(name).copied().unwrap_or(HEADER_BYTES);
        ensure!(bytes.len() >= at || at == HEADER_BYTES, "{} bytes are left of {at} that held records", bytes.len());
        while let Some((seq, payload)) = bytes.get(at..).and_then(record) {
            at += RECORD_HEAD_BYTES + payload.len();
            let (head, rest) = payload.split_first_chunk::<HEAD_BYTES>().context("a payload without a head")?;
            let kept = frame::decode(Head::parse(*head)?, rest)?;
            let before = self.batches.insert((epoch, seq), kept);
            ensure!(before.is_none(), "number {seq} was given twice");
        }
        self.read.insert(name.to_owned(), at);
        Ok(())
    }
}

/// The whole record that `bytes` begin with.
fn record(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let mut digest = CRC32C.digest();
    [&length[..], seq, payload].into_iter().for_each(|part| digest.update(part));
    (digest.finalize() == u32::from_le_bytes(*sum)).then(|| (u64::from_le_bytes(*seq), payload))
}

/// The rows of a tick, as the tables are to hold them.
pub fn rows(at_ms: i64, rows: &[(u8, String, Vec<Option<i64>>)]) -> impl Iterator<Item = (Place, Values)> {
    rows.iter().filter_map(move |(kind, key, codes)| {
        let kind = EntityKind::from_wire(*kind)?;
        let values = codes.iter().zip(kind.metrics()).map(|(code, metric)| Some(as_kept(metric, (*code)?))).collect();
        Some(((kind, key.clone(), at_ms), values))
    })
}

fn as_kept(metric: &Metric, code: i64) -> f64 {
    let value = metric.resolution.decode(code);
    match metric.column {
        Column::Real => f64::from(value as f32),
        Column::Int8 | Column::Int2 => value.round(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_cannot_be_linked_fails_the_run() {
        let place = std::env::temp_dir().join(format!("fl-taken-{}", std::process::id()));
        let (spool, folder) = (place.join("spool"), place.join("links"));
        // Its name there is in use.
        fs::create_dir_all(folder.join("1.seg")).expect("made");
        fs::create_dir_all(&spool).expect("made");
        fs::write(spool.join("1.seg"), []).expect("written");
        let harvested = Taken::new(spool, folder).expect("watches").harvest();
        fs::remove_dir_all(&place).expect("removed");
        let said = harvested.expect_err("it was not linked").to_string();
        assert!(said.contains("1.seg"), "{said}");
    }
}
