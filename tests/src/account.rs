//! CPU time of a group of processes, by the kernel's own account: a cgroup of theirs.
//!
//! It holds whatever ran, threads and children that have ended included, which a sum over the
//! processes that are left would miss.

use crate::measure::tree;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A cgroup; on drop its processes go back to where its parent is, and it is removed.
#[derive(Debug)]
pub struct Account {
    folder: PathBuf,
    unified: bool,
}

impl Account {
    /// An empty one.
    ///
    /// # Errors
    /// If cgroups are not at `/sys/fs/cgroup`, or not ours to make.
    pub fn open(name: &str) -> Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let unified = root.join("cgroup.controllers").exists();
        let parent = if unified { root.to_owned() } else { root.join("cpuacct") };
        let folder = parent.join(format!("fleetlight-{name}-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("{} (run as root)", folder.display()))?;
        Ok(Self { folder, unified })
    }

    /// Takes a process and its descendants in; what they start from now on is in it too.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn adopt(&self, pid: u32) -> Result<()> {
        let members = self.folder.join("cgroup.procs");
        fs::write(&members, pid.to_string()).with_context(|| format!("process {pid}"))?;
        for descendant in tree(pid) {
            // One that has ended meanwhile costs nothing more.
            let _ = fs::write(&members, descendant.to_string());
        }
        Ok(())
    }

    /// CPU seconds so far.
    ///
    /// # Errors
    /// If the kernel does not account for it.
    pub fn seconds(&self) -> Result<f64> {
        let file = self.folder.join(if self.unified { "cpu.stat" } else { "cpuacct.usage" });
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let number = if self.unified {
            text.lines().find_map(|line| line.strip_prefix("usage_usec ")).context("no usage_usec")?
        } else {
            text.trim()
        };
        Ok(number.parse::<f64>()? / if self.unified { 1e6 } else { 1e9 })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines() {
            let _ = fs::write(self.folder.with_file_name("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&self.folder);
    }
}
