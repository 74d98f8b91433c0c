//! Taking the socket: one executor has it, and nobody's is stolen.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use tokio::net::{UnixListener, UnixStream};

/// The socket, as long as this lives.
#[derive(Debug)]
pub struct Listening {
    pub(super) socket: UnixListener,
    /// Held by this process alone; the kernel lets it go when the process ends, however it ends.
    _lock: File,
}

/// Listens on `socket`, which an earlier start may have left behind. Makes its folder if only that is missing.
///
/// # Errors
/// In words: another executor or program has it, what is there is no socket, or the folder cannot be written.
pub async fn listen(socket: &Path) -> Result<Listening, String> {
    let place = socket.display();
    let failed = |error: io::Error| format!("executor_socket: {place}: {error}");
    make_folder(socket).map_err(failed)?;
    let lock = lock(socket)?;
    remove_stale(socket).await?;
    let listener = UnixListener::bind(socket).map_err(failed)?;
    // Any account may connect: who it is says the kernel, and `Peers` answers two. A mode could name one group at most,
    // and giving the socket to the agent's account would need a capability that the executor does without.
    fs::set_permissions(socket, Permissions::from_mode(0o666)).map_err(failed)?;
    Ok(Listening { socket: listener, _lock: lock })
}

/// The agent's account must be able to enter it.
fn make_folder(socket: &Path) -> io::Result<()> {
    let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) else {
        return Ok(());
    };
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// A file beside the socket, locked: two that start at once do not both find the socket stale.
fn lock(socket: &Path) -> Result<File, String> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let failed = |error: io::Error| format!("executor_socket: {}: {error}", Path::new(&path).display());
    let opened = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
    let mut file = opened.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let _ = file.take(16).read_to_string(&mut process);
            return Err(format!(
                "executor_socket: another executor (process {}) listens on {}; stop that one first",
                process.trim(),
                socket.display()
            ));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note(&mut file).map_err(failed)?;
    Ok(file)
}

/// Removes a socket on which nobody listens; anything else stays, and is named.
async fn remove_stale(socket: &Path) -> Result<(), String> {
    let place = socket.display();
    let is_socket = match fs::symlink_metadata(socket) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("executor_socket: {place}: {error}")),
        Ok(found) => found.file_type().is_socket(),
    };
    if !is_socket {
        return Err(format!("executor_socket: {place} is there and is no socket; name another place, or remove it"));
    }
    match UnixStream::connect(socket).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        _ => {
            return Err(format!("executor_socket: another program listens on {place}; stop it, or name another place"));
        }
    }
    fs::remove_file(socket).map_err(|error| format!("executor_socket: {place} cannot be made anew: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder of its own, removed with it.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            let place = Self(std::env::temp_dir().join(format!("fleetlight-{}", uuid::Uuid::new_v4())));
            fs::create_dir(&place.0).expect("made");
            place
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_second_one_is_refused_and_names_the_first_and_a_stale_socket_is_taken_over() {
        let place = Place::new();
        let socket = place.0.join("made").join("socket");
        let first = listen(&socket).await.expect("listens");
        let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode(socket.parent().expect("a folder")), mode(&socket)), (0o755, 0o666));
        let refused = listen(&socket).await.expect_err("is refused");
        let named = format!("another executor (process {}) listens on", std::process::id());
        assert!(refused.contains(&named) && refused.contains("stop that one"), "{refused}");
        UnixStream::connect(&socket).await.expect("the first one's is whole");
        drop(first);
        assert!(socket.exists(), "left behind");
        listen(&socket).await.expect("takes over");
    }

    #[tokio::test]
    async fn what_is_not_ours_stays() {
        let place = Place::new();
        let other = place.0.join("docker.sock");
        let _docker = UnixListener::bind(&other).expect("binds");
        let file = place.0.join("file");
        fs::write(&file, "precious").expect("written");
        for (socket, why) in [(&other, "another program listens on"), (&file, "is no socket")] {
            let refused = listen(socket).await.expect_err("is refused");
            assert!(refused.contains(why) && refused.contains(&socket.display().to_string()), "{refused}");
        }
        UnixStream::connect(&other).await.expect("still there");
        assert_eq!(fs::read_to_string(&file).expect("still there"), "precious");
    }
}
