//! The door to the disk: every system call of the spool goes through it, so that a test can tear a
//! write, flip a bit, fill the disk, or cut the power between any two.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A folder of files. Names have no slash.
pub trait Disk: Debug + Send + Sync {
    /// Keeps other processes out until this one ends; makes the folder if it is not there. The second time it
    /// does nothing.
    ///
    /// # Errors
    /// [`InUse`] while another process keeps this one out.
    fn lock(&self) -> io::Result<()>;
    /// Names of all files; makes the folder if it is not there.
    ///
    /// # Errors
    /// As all here, those of the file system.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new file, to be appended to.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// At most `length` bytes from `offset` on; fewer only at the file's end.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// After this the names of files survive a power cut.
    fn sync_names(&self) -> io::Result<()>;
    /// Where it is, for people.
    fn place(&self) -> String;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Appends all of `bytes`; after an error, any beginning of them may be there.
    ///
    /// # Errors
    /// As all here, those of the file system.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// After this what was appended survives a power cut.
    fn sync(&self) -> io::Result<()>;
    /// Whether the file still has a name: one that was removed takes bytes and keeps none.
    fn is_named(&self) -> io::Result<bool>;
}

/// Another process has locked the folder.
#[derive(Debug, thiserror::Error)]
#[error("another agent uses it")]
pub struct InUse;

impl InUse {
    /// Whether that is what went wrong.
    #[must_use]
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|error| error.is::<Self>())
    }
}

/// A real folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked while it is open, thus no longer than the process lives.
    lock: OnceLock<File>,
}

/// The file that whoever uses the folder has locked.
const LOCK: &str = "lock";

impl Folder {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, lock: OnceLock::new() }
    }
}

impl Disk for Folder {
    fn lock(&self) -> io::Result<()> {
        if self.lock.get().is_some() {
            return Ok(());
        }
        fs::create_dir_all(&self.path)?;
        let file = OpenOptions::new().append(true).create(true).open(self.path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(InUse));
            }
            Err(TryLockError::Error(error)) => {
                let folder = self.path.display();
                tracing::warn!(%folder, %error, "the spool's file system knows no locks: see that no other agent uses it");
            }
        }
        let _ = self.lock.set(file);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        fs::create_dir_all(&self.path)?;
        let names = fs::read_dir(&self.path)?.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        fs::create_dir_all(&self.path)?;
        let file = OpenOptions::new().append(true).create_new(true).open(self.path.join(name))?;
        Ok(Arc::new(Opened(file)))
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let length = length.min(file.metadata()?.size().saturating_sub(offset) as usize);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path.join(name))?.set_len(length)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

#[derive(Debug)]
struct Opened(File);

impl DiskFile for Opened {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn is_named(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() > 0)
    }
}
