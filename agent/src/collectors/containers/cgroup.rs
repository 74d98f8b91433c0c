//! A container's cgroup: where its folders are, and what their files say.
//!
//! Version 1 has a hierarchy of folders for each controller, version 2 one for all; hybrid hosts
//! have both, and then version 1's controllers hold the numbers. Parsing is pure and allocates
//! nothing; finding folders looks only under the configured roots.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where the hierarchies of this host are mounted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    /// By controller, version 1.
    by_controller: HashMap<String, PathBuf>,
    /// Version 2.
    unified: Option<PathBuf>,
}

impl Hierarchies {
    /// Looks at the usual place under `sys_root`, then at the mounts that `proc_root` names.
    #[must_use]
    pub fn find(proc_root: &Path, sys_root: &Path) -> Self {
        let usual = Self::at(&sys_root.join("fs/cgroup"));
        if usual != Self::default() {
            return usual;
        }
        let mounts = std::fs::read_to_string(proc_root.join("self/mountinfo")).unwrap_or_default();
        Self::from_mounts(&mounts)
    }

    /// One folder a controller, `cpu,cpuacct` for two that share one; or version 2 itself.
    fn at(root: &Path) -> Self {
        if root.join("cgroup.controllers").exists() {
            return Self { unified: Some(root.to_owned()), ..Self::default() };
        }
        let mut found = Self::default();
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            // A place for a mount that is not there, such as an init system in a container leaves behind.
            if std::fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none()) {
                continue;
            }
            let name = entry.file_name();
            match name.to_str() {
                Some("unified") => found.unified = Some(entry.path()),
                Some(name) => found.add(name, &entry.path()),
                None => {}
            }
        }
        found
    }

    /// Of `/proc/self/mountinfo`: `… root point options … - type source options`.
    fn from_mounts(mounts: &str) -> Self {
        let mut found = Self::default();
        for line in mounts.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let point = before.split(' ').nth(4).map(PathBuf::from);
            let mut after = after.split(' ');
            let (Some(point), Some(kind), Some(options)) = (point, after.next(), after.nth(1)) else { continue };
            match kind {
                "cgroup2" => found.unified = Some(point),
                "cgroup" => found.add(options, &point),
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, controllers: &str, path: &Path) {
        for controller in controllers.split(',') {
            self.by_controller.entry(controller.to_owned()).or_insert_with(|| path.to_owned());
        }
    }

    /// The folder that holds the files of `controller` (empty: version 2) for the container `id`.
    ///
    /// `membership` is the text of `/proc/<pid>/cgroup`. Where its paths cannot be followed (an
    /// agent in a cgroup namespace of its own sees `/../<id>`), the places are tried where
    /// Docker's two drivers put containers.
    #[must_use]
    pub fn folder(&self, membership: &str, controller: &str, id: &str) -> Option<PathBuf> {
        let root = if controller.is_empty() { self.unified.as_ref() } else { self.by_controller.get(controller) }?;
        let stated = path_of(membership, controller)
            .and_then(|path| through(path, id))
            .filter(|path| !path.split('/').any(|part| part == ".."));
        let usual = [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")];
        stated
            .into_iter()
            .map(|path| root.join(path.trim_start_matches('/')))
            .chain(usual.iter().map(|path| root.join(path)))
            .find(|folder| folder.is_dir())
    }
}

/// The path in the line of `controller`: `4:memory:/docker/<id>`; version 2 is `0::/…`.
fn path_of<'a>(membership: &'a str, controller: &str) -> Option<&'a str> {
    membership.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then_some(path)
    })
}

/// The path up to the part that names the container: an init system in it may have moved its
/// processes further down.
fn through<'a>(path: &'a str, id: &str) -> Option<&'a str> {
    let found = path.find(id)?;
    let end = path[found..].find('/').map_or(path.len(), |slash| found + slash);
    Some(&path[..end])
}

/// Whether a process with this `/proc/<pid>/cgroup` belongs to the container: a number of a process
/// may be another's by now.
#[must_use]
pub fn belongs(membership: &str, id: &str) -> bool {
    membership.lines().any(|line| through(line, id).is_some())
}

/// A decimal number; anything else (`max`) is `None`.
#[must_use]
pub fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// The number behind `key` in a file of lines `key number`.
#[must_use]
pub fn field(text: &[u8], key: &str) -> Option<u64> {
    let line = text.split(|byte| *byte == b'\n').find(|line| {
        line.strip_prefix(key.as_bytes()).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace))
    })?;
    number(&line[key.len()..])
}

/// Bytes read and written, all devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Io {
    pub read: u64,
    pub written: u64,
}

/// Version 1's `blkio.throttle.io_service_bytes`: lines `8:0 Read 4096`. Without a line of a device
/// there is no number: recent kernels count there only once a limit has been set, and say
/// `Total 0` whatever the container reads and writes.
#[must_use]
pub fn blkio(text: &[u8]) -> Option<Io> {
    let mut sum: Option<Io> = None;
    for line in text.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(_), Some(what), Some(Some(bytes))) = (words.next(), words.next(), words.next().map(number)) else {
            continue;
        };
        let io = sum.get_or_insert_default();
        match what {
            b"Read" => io.read = io.read.saturating_add(bytes),
            b"Write" => io.written = io.written.saturating_add(bytes),
            _ => {}
        }
    }
    sum
}

/// Version 2's `io.stat`: lines `8:0 rbytes=4096 wbytes=0 rios=1 …`. No device yet is zero.
#[must_use]
pub fn io_stat(text: &[u8]) -> Io {
    let mut io = Io::default();
    for word in text.split(u8::is_ascii_whitespace) {
        if let Some(bytes) = word.strip_prefix(b"rbytes=").and_then(number) {
            io.read = io.read.saturating_add(bytes);
        } else if let Some(bytes) = word.strip_prefix(b"wbytes=").and_then(number) {
            io.written = io.written.saturating_add(bytes);
        }
    }
    io
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
