//! What processes take, read from /proc, and figures.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// The process and all its descendants.
#[must_use]
pub fn tree(pid: u32) -> Vec<u32> {
    let numbers = |name: &std::ffi::OsStr| name.to_str().and_then(|name| name.parse::<u32>().ok());
    let all: Vec<u32> =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| numbers(&entry.file_name())).collect();
    let parents: Vec<(u32, u32)> = all.iter().filter_map(|pid| Some((*pid, parent(*pid)?))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
    }
    found
}

/// Fourth field of `/proc/<pid>/stat`; the second may hold spaces and ends with the last `)`.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Proportional set size of these processes, bytes.
///
/// # Errors
/// If a process has ended.
pub fn pss_bytes(pids: &[u32]) -> Result<u64> {
    let mut total = 0;
    for pid in pids {
        let rollup =
            fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).with_context(|| format!("process {pid}"))?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:")).context("no Pss")?;
        total += line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).context("no number")? * 1024;
    }
    Ok(total)
}

/// The value below which `share` of the sorted values lie.
#[must_use]
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// Bytes of all files in a folder; none of one that cannot be opened.
///
/// # Errors
/// If its listing breaks off.
pub fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    let Ok(entries) = fs::read_dir(folder) else { return Ok(0) };
    for entry in entries {
        let entry = entry?;
        // What is merged away meanwhile takes nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Adds figures to `target/bench/figures.json`, keeping those of other runs.
///
/// # Errors
/// If the file cannot be read or written.
pub fn write_figures(path: &Path, figures: serde_json::Map<String, serde_json::Value>) -> Result<()> {
    let mut all: serde_json::Map<_, _> = match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?,
        Err(_) => serde_json::Map::new(),
    };
    all.extend(figures);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}
