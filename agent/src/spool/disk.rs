//! The door to the disk: every system call of the spool goes through it, so that a test can tear a
//! write, flip a bit, fill the disk, or cut the power between any two.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

/// A folder of files. Names have no slash.
pub trait Disk: Debug + Send + Sync {
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

/// A real folder.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::create_dir_all(&self.0)?;
        let names = fs::read_dir(&self.0)?.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        fs::create_dir_all(&self.0)?;
        let file = OpenOptions::new().append(true).create_new(true).open(self.0.join(name))?;
        Ok(Arc::new(Opened(file)))
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.0.join(name))?;
        let length = length.min(file.metadata()?.size().saturating_sub(offset) as usize);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.0.join(name))?.set_len(length)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn place(&self) -> String {
        self.0.display().to_string()
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
