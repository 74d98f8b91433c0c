//! A disk in memory that fails as it is told to.

use super::disk::{Disk, DiskFile, InUse};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a test wants to happen.
#[derive(Debug, Default)]
pub struct Faults {
    /// System calls until the process dies; the one that dies may have done a part of its work.
    pub calls_left: Option<usize>,
    /// Of the write that dies, so many bytes are done.
    pub torn: usize,
    /// Bytes that there is room for.
    pub room: Option<usize>,
    /// The room is the user's, not the disk's.
    pub is_quota: bool,
    /// Every call is refused.
    pub refuses: bool,
    /// Another process has locked it.
    pub in_use: bool,
    /// A sync is done only when the test says so, and covers what was there when it began.
    pub syncs_take_time: bool,
}

#[derive(Debug, Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    /// So many survive a power cut.
    synced: usize,
}

/// What a sync that has begun will have made certain.
#[derive(Debug)]
enum Syncing {
    File(u64, usize),
    Names(BTreeMap<String, u64>),
}

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    /// Names that survive a power cut.
    synced_names: BTreeMap<String, u64>,
    next: u64,
    faults: Faults,
    syncing: Vec<Syncing>,
}

#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<World>>);

impl SimDisk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// The process was killed: what it wrote stays.
    pub fn killed(&self) {
        self.set(Faults::default());
    }

    /// The syncs that have begun are done.
    pub fn synced(&self) {
        let mut world = self.world();
        for syncing in std::mem::take(&mut world.syncing) {
            world.synced(syncing);
        }
    }

    /// The power was cut: of each file, what was synced stays, and `kept` bytes beyond that.
    pub fn cut(&self, kept: usize) {
        let mut world = self.world();
        world.names = world.synced_names.clone();
        for content in world.files.values_mut() {
            let stays = (content.synced + kept).min(content.bytes.len());
            content.bytes.truncate(stays);
        }
        world.faults = Faults::default();
        world.syncing.clear();
    }

    pub fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    pub fn bytes(&self) -> usize {
        self.world().used()
    }

    /// Changes a file's bytes behind the spool's back.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let file = world.names[name];
        change(&mut world.files.get_mut(&file).expect("it is there").bytes);
    }

    pub fn lock_remove(&self, name: &str) {
        self.world().names.remove(name);
    }

    pub fn remove_all(&self) {
        self.world().names.clear();
    }
}

impl World {
    /// One system call begins.
    fn call(&mut self) -> io::Result<()> {
        if self.faults.refuses {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match &mut self.faults.calls_left {
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut Content> {
        let file = *self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        self.files.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A sync of this begins.
    fn sync(&mut self, syncing: Syncing) {
        if self.faults.syncs_take_time { self.syncing.push(syncing) } else { self.synced(syncing) }
    }

    fn synced(&mut self, syncing: Syncing) {
        match syncing {
            Syncing::File(file, bytes) => {
                if let Some(content) = self.files.get_mut(&file) {
                    content.synced = bytes.min(content.bytes.len()).max(content.synced);
                }
            }
            Syncing::Names(names) => self.synced_names = names,
        }
    }

    fn used(&self) -> usize {
        self.names.values().filter_map(|file| self.files.get(file)).map(|content| content.bytes.len()).sum()
    }
}

impl Disk for SimDisk {
    fn lock(&self) -> io::Result<()> {
        let in_use = self.world().faults.in_use;
        if in_use { Err(io::Error::other(InUse)) } else { Ok(()) }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.world().call()?;
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.call()?;
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.next += 1;
        let file = world.next;
        world.files.insert(file, Content::default());
        world.names.insert(name.into(), file);
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut world = self.world();
        world.call()?;
        let bytes = &world.file(name)?.bytes;
        let from = (offset as usize).min(bytes.len());
        Ok(bytes[from..(from + length).min(bytes.len())].to_vec())
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let content = world.file(name)?;
        content.bytes.truncate(length as usize);
        content.synced = content.synced.min(length as usize);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let file = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        world.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut world = self.world();
        world.call()?;
        let names = world.names.clone();
        world.sync(Syncing::Names(names));
        Ok(())
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: u64,
}

impl DiskFile for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        let alive = world.call();
        let mut most = if alive.is_ok() { bytes.len() } else { world.faults.torn.min(bytes.len()) };
        if world.faults.refuses {
            most = 0;
        }
        let room = world.faults.room.map(|room| room.saturating_sub(world.used()));
        let fits = room.is_none_or(|room| room >= most);
        most = most.min(room.unwrap_or(most));
        // A process dies once: the torn part is written at most once.
        world.faults.torn = 0;
        if let Some(content) = world.files.get_mut(&self.file) {
            content.bytes.extend_from_slice(&bytes[..most]);
        }
        alive?;
        let full = if world.faults.is_quota { io::ErrorKind::QuotaExceeded } else { io::ErrorKind::StorageFull };
        if fits { Ok(()) } else { Err(full.into()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.call()?;
        let bytes = world.files.get(&self.file).map_or(0, |content| content.bytes.len());
        world.sync(Syncing::File(self.file, bytes));
        Ok(())
    }

    fn is_named(&self) -> io::Result<bool> {
        let world = self.disk.world();
        Ok(world.names.values().any(|file| *file == self.file))
    }
}
