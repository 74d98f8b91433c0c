//! Files of procfs that are read at every tick.
//!
//! procfs never waits for a device or a server, so these reads may happen on an async worker. A
//! file stays open and is read again from its start: that saves the path walk, which costs more
//! than many of the files themselves.

use crate::limits::PROC_FILE_BYTES;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// One file, kept open between reads.
#[derive(Debug)]
pub struct ProcFile {
    path: PathBuf,
    file: Option<File>,
}

/// Room for the contents of one file at a time; it grows to the largest and is never cleared.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        // Most files are below 4 KiB; /proc/stat of a large host has some 20 KiB.
        Self(vec![0; 16 * 1024])
    }
}

impl ProcFile {
    /// The file at `path`; it is opened by the first read.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's contents now. After an error the next read opens it anew.
    ///
    /// # Errors
    /// As of open(2) and read(2); [`io::ErrorKind::FileTooLarge`] beyond [`PROC_FILE_BYTES`].
    pub fn read<'buffer>(&mut self, buffer: &'buffer mut Buffer) -> io::Result<&'buffer [u8]> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        let filled = read_whole(&file, &mut buffer.0)?;
        self.file = Some(file);
        Ok(&buffer.0[..filled])
    }
}

fn read_whole(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            if filled >= PROC_FILE_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            buffer.resize((filled * 2).min(PROC_FILE_BYTES), 0);
        }
        // A short read is no end: procfs hands out records a page at a time.
        match file.read_at(&mut buffer[filled..], filled as u64) {
            Ok(0) => return Ok(filled),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The lines that are text; others say nothing that we could name.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &str> {
    text.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_gives_its_contents_of_now() {
        let path = std::env::temp_dir().join(format!("fleetlight-procfile-{}", std::process::id()));
        std::fs::write(&path, "first").expect("temp folder is writable");
        let (mut file, mut buffer) = (ProcFile::new(path.clone()), Buffer(vec![0; 2]));
        assert_eq!(file.read(&mut buffer).expect("there"), b"first");
        std::fs::write(&path, "2nd").expect("temp folder is writable");
        assert_eq!(file.read(&mut buffer).expect("there"), b"2nd");
        std::fs::remove_file(&path).expect("removes");
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut zero = ProcFile::new("/dev/zero".into());
        let error = zero.read(&mut Buffer::default()).expect_err("endless");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_real_procfs_file_is_whole() {
        let mut file = ProcFile::new("/proc/filesystems".into());
        let mut buffer = Buffer(vec![0; 64]);
        let kept = file.read(&mut buffer).expect("procfs").to_vec();
        assert_eq!(kept, std::fs::read("/proc/filesystems").expect("procfs"));
    }
}
