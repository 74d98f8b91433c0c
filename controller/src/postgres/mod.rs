//! A private Postgres: the machine's own binaries, a data folder, a Unix socket, no TCP.
//!
//! ```text
//! <folder>/lock   held by the one controller that uses this folder
//! <folder>/data   the cluster; made whole under data.new and renamed
//! <folder>/run    the socket; elsewhere if that path is too long for a socket
//! ```
//!
//! Whoever may enter the socket's folder (mode 700, owned by the account that runs Postgres; root
//! passes) is let in without a password: there is no other way in.
//!
//! Invariants:
//! - One controller a folder: the lock is taken before anything else, and dies with its holder.
//! - Postgres never outlives the controller for long: a guard process sees the controller's end of
//!   a pipe close and asks for a fast shutdown; what is left all the same is stopped at the next start.
//! - A Ctrl-C on the terminal reaches the controller only: Postgres has a process group of its own,
//!   and goes when [`PrivatePostgres::stop`] says so, after ingest has flushed.

mod account;
mod binaries;
mod cluster;
mod left_over;
mod process;

use account::Account;
use binaries::Binaries;
use cluster::Cluster;
use std::path::{Path, PathBuf};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Why there is no private Postgres; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error(
        "no PostgreSQL on this machine (looked in {looked}): install it (Debian, Ubuntu: apt-get install postgresql), \
         or set database_url to a server of your own"
    )]
    Missing { looked: String },
    #[error(
        "PostgreSQL {found} in {folder} is too old: Fleetlight needs {minimum} or later (multiranges); install a newer \
         one, or set database_url to a server of your own"
    )]
    TooOld { found: u32, folder: PathBuf, minimum: u32 },
    #[error(
        "the data in {data} was made by PostgreSQL {wanted}, and this machine has {found}: install postgresql-{wanted}, \
         or carry the data over with pg_upgrade"
    )]
    OtherVersion { data: PathBuf, wanted: u32, found: String },
    #[error(
        "Postgres refuses to run as root, and this machine has no account `postgres`: install the postgresql package, \
         run `useradd --system postgres`, or start the controller as an ordinary user"
    )]
    NoAccount,
    #[error(
        "the account {account} that runs Postgres may not pass through {folder}: run `chmod o+x {folder}`, or set \
         state_dir to a folder that it can reach, for instance /var/lib/fleetlight"
    )]
    Unreachable { account: String, folder: PathBuf },
    #[error("another controller (process {holder}) uses {folder}: stop it, or set state_dir to another folder")]
    Locked { holder: String, folder: PathBuf },
    #[error("nothing serves the private Postgres in {folder}: start the controller first")]
    NotRunning { folder: PathBuf },
    #[error("no folder is short enough for a Unix socket: set state_dir to a path of fewer than {most} bytes")]
    SocketPath { most: usize },
    #[error("{doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{program} failed ({how}): {said}")]
    Failed { program: String, how: String, said: String },
    #[error("Postgres does not accept connections after {seconds} s; it last said: {said}")]
    Silent { seconds: u64, said: String },
    #[error("asking the private Postgres for its database: {0}")]
    Sql(#[from] sqlx::Error),
}

/// Attaches what was done to what.
pub(crate) fn io_error<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> PostgresError + use<'a> {
    move |source| PostgresError::Io { doing, path: path.to_owned(), source }
}

/// A running private Postgres, restarted when it dies. Dropping it stops the server in the
/// background; [`PrivatePostgres::stop`] waits for that.
#[derive(Debug)]
pub struct PrivatePostgres {
    url: String,
    stop: DropGuard,
    supervisor: JoinHandle<()>,
    /// Freed last: the next controller may only start once Postgres is down.
    lock: std::fs::File,
}

impl PrivatePostgres {
    /// Starts the server on `folder`, which is made if it does not exist.
    ///
    /// # Errors
    /// Any [`PostgresError`]; nothing is left running.
    pub async fn start(folder: &Path) -> Result<Self, PostgresError> {
        let account = Account::choose()?;
        let (cluster, lock) = Cluster::open(folder, account)?;
        let binaries = Binaries::find(cluster.made_by()?, cluster.data()).await?;
        left_over::stop_left_over(&cluster).await?;
        cluster.make(&binaries).await?;
        let server = process::Server::start(&binaries, &cluster).await?;
        let url = cluster.url();
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(process::supervise(server, binaries, cluster, stop.clone()));
        Ok(Self { url, stop: stop.drop_guard(), supervisor, lock })
    }

    /// How to reach the server that a running controller keeps on `folder`.
    ///
    /// # Errors
    /// [`PostgresError::NotRunning`].
    pub fn url_of_running(folder: &Path) -> Result<String, PostgresError> {
        Ok(Cluster::of_running(folder, Account::choose()?)?.url())
    }

    /// For [`crate::store::Store::connect`].
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fast shutdown: open transactions are rolled back, a checkpoint is written.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "the task that watches Postgres failed");
        }
        drop(self.lock);
    }
}
