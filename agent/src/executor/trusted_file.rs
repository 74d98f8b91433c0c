//! Files that say what this host does: only root, or the executor's own account, may have written them.

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a file is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    #[error("{path} cannot be read: {error}")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{0} is not a plain file")]
    NoFile(PathBuf),
    #[error("{0} is, or goes through, a symbolic link: name its real place")]
    Link(PathBuf),
    #[error("{path} has {bytes} bytes, more than the {most} that such a file may have")]
    TooLong { path: PathBuf, bytes: u64, most: u64 },
    #[error("{path} belongs to account {owner}, who could change what this host does: chown root {path}")]
    Owner { path: PathBuf, owner: u32 },
    #[error("{path} can be written by others than its owner (mode {mode:o}): chmod go-w {path}")]
    Writable { path: PathBuf, mode: u32 },
}

/// The text of `path`, if nobody but root and the executor's account can have written it: neither the file nor a
/// folder above it. May block.
///
/// # Errors
/// [`Distrust`] names what is wrong and the command that mends it.
pub fn read(path: &Path, most: u64) -> Result<String, Distrust> {
    let unreadable = |error| Distrust::Unreadable { path: path.to_owned(), error };
    let folder = path.parent().unwrap_or(Path::new(""));
    // Whoever can write a link's folder could make it name another file that is believed.
    if folder.canonicalize().map_err(unreadable)? != folder {
        return Err(Distrust::Link(path.to_owned()));
    }
    let own = geteuid().as_raw();
    guarded(folder, own)?;
    let file =
        OpenOptions::new().read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32).open(path);
    let file = file.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => Distrust::Link(path.to_owned()),
        _ => unreadable(error),
    })?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(Distrust::NoFile(path.to_owned()));
    }
    judge(path, &found, own)?;
    if found.len() > most {
        return Err(Distrust::TooLong { path: path.to_owned(), bytes: found.len(), most });
    }
    let mut text = String::new();
    file.take(most).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// As [`read`]; none if there is no such file.
///
/// # Errors
/// As [`read`].
pub fn read_if_there(path: &Path, most: u64) -> Result<Option<String>, Distrust> {
    match read(path, most) {
        Err(Distrust::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Judges a path without links and every folder above it, since whoever can change one could put another file here:
/// nobody but root and `account` can have written them. May block.
///
/// # Errors
/// [`Distrust`] names what is wrong and the command that mends it.
pub fn guarded(path: &Path, account: u32) -> Result<(), Distrust> {
    for path in path.ancestors() {
        let found = path.symlink_metadata().map_err(|error| Distrust::Unreadable { path: path.to_owned(), error })?;
        judge(path, &found, account)?;
    }
    Ok(())
}

/// Judges a file that may be reached by links, at its real place and where it is looked for; one that is not there is
/// judged by its folder. May block.
///
/// # Errors
/// [`Distrust`] names what is wrong and the command that mends it.
pub fn guarded_by_links(path: &Path) -> Result<(), Distrust> {
    let own = geteuid().as_raw();
    for place in [path.parent().unwrap_or(Path::new("/")), path] {
        match place.canonicalize() {
            Ok(real) => guarded(&real, own)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Distrust::Unreadable { path: place.to_owned(), error }),
        }
    }
    Ok(())
}

fn judge(path: &Path, found: &Metadata, account: u32) -> Result<(), Distrust> {
    const STICKY: u32 = 0o1000;
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if owner != 0 && owner != account {
        return Err(Distrust::Owner { path: path.to_owned(), owner });
    }
    // In a sticky folder others can add entries, but neither remove nor rename ours.
    let guarded = found.is_dir() && mode & STICKY != 0;
    if mode & 0o022 != 0 && !guarded {
        return Err(Distrust::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("fleetlight-trust-{}", uuid::Uuid::new_v4()));
            fs::create_dir(&folder).expect("a folder");
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("a mode");
            Self(folder)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, "text").expect("writes");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_of_ours_is_believed_and_a_link_is_not() {
        let folder = Folder::new();
        let path = folder.file("rules", 0o644);
        assert_eq!(read(&path, 100).expect("is believed"), "text");
        let link = folder.0.join("link");
        symlink(&path, &link).expect("a link");
        assert!(matches!(read(&link, 100), Err(Distrust::Link(_))));
        let through = folder.0.join("elsewhere");
        symlink(&folder.0, &through).expect("a link");
        assert!(matches!(read(&through.join("rules"), 100), Err(Distrust::Link(_))));
    }

    #[test]
    fn what_others_could_have_written_is_not() {
        let folder = Folder::new();
        for mode in [0o666, 0o664, 0o622] {
            let error = read(&folder.file("open", mode), 100).expect_err("others may write");
            assert!(matches!(error, Distrust::Writable { .. }) && error.to_string().contains("chmod go-w"), "{error}");
        }
        let path = folder.file("rules", 0o600);
        fs::set_permissions(&folder.0, Permissions::from_mode(0o777)).expect("a mode");
        let error = read(&path, 100).expect_err("others may put another file here");
        assert!(error.to_string().starts_with(&*folder.0.to_string_lossy()), "{error}");
        fs::remove_file(&path).expect("removed");
        read_if_there(&path, 100).expect_err("others may have removed it");
    }

    #[test]
    fn a_file_behind_links_is_judged_where_it_is_and_where_it_is_looked_for() {
        let (folder, elsewhere) = (Folder::new(), Folder::new());
        let link = folder.0.join("agent.toml");
        guarded_by_links(&link).expect("nothing is there");
        guarded_by_links(&folder.0.join("no/folder")).expect("not even a folder");
        let file = elsewhere.file("real", 0o640);
        symlink(&file, &link).expect("a link");
        guarded_by_links(&link).expect("ours");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("a mode");
        let error = guarded_by_links(&link).expect_err("others may write it");
        assert!(error.to_string().contains("chmod go-w") && error.to_string().contains("real"), "{error}");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("a mode");
        fs::set_permissions(&folder.0, Permissions::from_mode(0o777)).expect("a mode");
        guarded_by_links(&link).expect_err("others may lead it elsewhere");
        fs::remove_file(&link).expect("removed");
        guarded_by_links(&link).expect_err("others may put one there");
    }

    #[test]
    fn a_file_of_another_account_is_not() {
        if !geteuid().is_root() {
            println!("SKIPPED: a file of another account: giving one away needs root");
            return;
        }
        let folder = Folder::new();
        let path = folder.file("foreign", 0o600);
        chown(&path, Some(12_345), None).expect("given away");
        assert!(matches!(read(&path, 100), Err(Distrust::Owner { owner: 12_345, .. })));
    }

    #[test]
    fn neither_a_long_file_nor_a_folder_is_read() {
        let folder = Folder::new();
        let path = folder.file("rules", 0o644);
        assert!(matches!(read(&path, 3), Err(Distrust::TooLong { bytes: 4, .. })));
        assert!(matches!(read(&folder.0, 100), Err(Distrust::NoFile(_))));
        assert!(matches!(read(&folder.0.join("none"), 100), Err(Distrust::Unreadable { .. })));
        assert!(matches!(read_if_there(&folder.0.join("none"), 100), Ok(None)));
        assert!(matches!(read_if_there(&folder.0.join("no/folder"), 100), Ok(None)));
    }
}
