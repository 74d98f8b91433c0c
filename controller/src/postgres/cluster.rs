//! The folder: lock, data, socket; and initdb.

use super::process::output;
use super::{Account, Binaries, PostgresError, io_error};
use crate::limits::{POSTGRES_INITDB_WAIT, SOCKET_PATH_BYTES};
use rustix::fs::FlockOperation;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Superuser and database of the cluster.
pub const NAME: &str = "fleetlight";
/// Name of the socket's file: Postgres derives it from the port, which is nothing else here.
const SOCKET: &str = ".s.PGSQL.5432";

/// A folder that is locked and reachable, with or without data in it.
#[derive(Debug, Clone)]
pub struct Cluster {
    data: PathBuf,
    socket_folder: PathBuf,
    pub account: Account,
}

impl Cluster {
    /// Makes and locks the folder; the lock holds as long as the returned file.
    pub fn open(folder: &Path, account: Account) -> Result<(Self, File), PostgresError> {
        std::fs::create_dir_all(folder).map_err(io_error("making", folder))?;
        let folder = &folder.canonicalize().map_err(io_error("looking at", folder))?;
        let lock = lock(folder)?;
        account.own(folder)?;
        account.reach(folder)?;
        let socket_folder = socket_folder(folder, account)?;
        Ok((Self { data: folder.join("data"), socket_folder, account }, lock))
    }

    /// The cluster that another process serves on this folder: not locked, nothing made.
    pub fn of_running(folder: &Path, account: Account) -> Result<Self, PostgresError> {
        let folder = &folder.canonicalize().map_err(io_error("looking at", folder))?;
        let sockets = [folder.join("run"), elsewhere("/run", folder), elsewhere("/tmp", folder)];
        let found = sockets.into_iter().find(|sockets| sockets.join(SOCKET).exists());
        let socket_folder = found.ok_or_else(|| PostgresError::NotRunning { folder: folder.clone() })?;
        Ok(Self { data: folder.join("data"), socket_folder, account })
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The files in which a server writes its process number: that of the data, that of the socket.
    pub fn claims(&self) -> [PathBuf; 2] {
        [self.data.join("postmaster.pid"), self.socket_folder.join(format!("{SOCKET}.lock"))]
    }

    /// The server's setting: a list, in which quotes keep commas and spaces together.
    pub fn socket_setting(&self) -> OsString {
        let mut value = OsString::from("unix_socket_directories=\"");
        value.push(&self.socket_folder);
        value.push("\"");
        value
    }

    /// Major version that made the data; none if there is none yet.
    pub fn made_by(&self) -> Result<Option<u32>, PostgresError> {
        let file = self.data.join("PG_VERSION");
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("reading", &file)(error)),
        }
    }

    /// Runs initdb if there is no data: in a folder beside, so that a half-made cluster is never used.
    pub async fn make(&self, binaries: &Binaries) -> Result<(), PostgresError> {
        if self.data.exists() {
            return Ok(());
        }
        let new = self.data.with_extension("new");
        if new.exists() {
            std::fs::remove_dir_all(&new).map_err(io_error("removing", &new))?;
        }
        let mut command = Command::new(binaries.program("initdb"));
        command.arg("--pgdata").arg(&new).args(["--username", NAME, "--auth", "trust"]);
        command.args(["--encoding", "UTF8", "--locale", "C", "--data-checksums"]);
        self.account.apply(&mut command);
        output(command, POSTGRES_INITDB_WAIT).await?;
        std::fs::rename(&new, &self.data).map_err(io_error("naming", &self.data))
    }

    /// How to reach `database`.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.socket_folder).username(NAME).database(database)
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        let mut url = format!("postgresql:///{NAME}?user={NAME}&host=");
        for byte in self.socket_folder.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => url.push(char::from(*byte)),
                other => {
                    let _ = write!(url, "%{other:02X}");
                }
            }
        }
        url
    }
}

/// Takes the folder for this process, and writes down which one that is.
fn lock(folder: &Path) -> Result<File, PostgresError> {
    let path = folder.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("opening", &path))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let holder = std::fs::read_to_string(&path).unwrap_or_default();
        return Err(PostgresError::Locked { holder: holder.trim().to_owned(), folder: folder.to_owned() });
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io_error("writing", &path))?;
    Ok(file)
}

/// A folder of the account's own whose path leaves room for the socket's name.
fn socket_folder(folder: &Path, account: Account) -> Result<PathBuf, PostgresError> {
    let inside = folder.join("run");
    let mut last = PostgresError::SocketPath { most: SOCKET_PATH_BYTES - SOCKET.len() - "/run/".len() };
    for candidate in [inside, elsewhere("/run", folder), elsewhere("/tmp", folder)] {
        if candidate.as_os_str().len() + 1 + SOCKET.len() > SOCKET_PATH_BYTES {
            continue;
        }
        match own_folder(&candidate, account) {
            Ok(()) => return Ok(candidate),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A short name that belongs to this folder alone.
fn elsewhere(root: &str, folder: &Path) -> PathBuf {
    let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let mut name = "fleetlight-".to_owned();
    for byte in &hash[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    Path::new(root).join(name)
}

/// Makes the folder, or takes it if it is already the account's own: in /tmp anybody may have made it.
fn own_folder(folder: &Path, account: Account) -> Result<(), PostgresError> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => account.own(folder),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && account.owns(folder) => Ok(()),
        Err(error) => Err(io_error("making a folder for the socket,", folder)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_its_url() {
        let cluster = Cluster {
            data: PathBuf::new(),
            socket_folder: "/home/a b/ü&c/run".into(),
            account: Account::choose().expect("an account"),
        };
        let options: PgConnectOptions = cluster.url().parse().expect("a URL");
        assert_eq!(options.get_socket(), Some(&PathBuf::from("/home/a b/ü&c/run")));
        assert_eq!(options.get_database(), Some(NAME));
        assert_eq!(options.get_username(), NAME);
    }

    #[test]
    fn long_folders_get_a_short_name_of_their_own() {
        let (one, two) = (elsewhere("/tmp", Path::new("/a/long/path")), elsewhere("/tmp", Path::new("/a/longer/path")));
        assert_ne!(one, two);
        assert!(one.as_os_str().len() + 1 + SOCKET.len() <= SOCKET_PATH_BYTES);
    }
}
