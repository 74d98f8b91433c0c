//! A file system of a megabyte or two, which can be filled.

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const SIZE: &std::ffi::CStr = c"size=2m";

/// Unmounted on drop.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// # Errors
    /// Only root may mount.
    pub fn mount(place: &Path) -> Result<Self> {
        mount("tmpfs", place, "tmpfs", MountFlags::empty(), Some(SIZE))
            .context("mounting a small disk (run as root)")?;
        Ok(Self(place.to_owned()))
    }

    /// Leaves no page free.
    pub fn fill(&self) -> Result<()> {
        let mut ballast = fs::File::options().append(true).create(true).open(self.0.join("ballast"))?;
        loop {
            match ballast.write_all(&[1; 4_096]) {
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                written => written?,
            }
        }
    }

    /// Gives all of it back.
    pub fn free(&self) -> Result<()> {
        match fs::remove_file(self.0.join("ballast")) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}
