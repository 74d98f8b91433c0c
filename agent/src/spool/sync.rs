//! Asks the disk to keep what was written: on a thread of its own, since that takes milliseconds and
//! writing takes microseconds.

use super::disk::{Disk, DiskFile};
use crate::limits::SPOOL_SYNCS;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How syncing is done.
#[derive(Debug)]
pub(super) enum Syncer {
    /// At once: for tests.
    Inline,
    Thread {
        jobs: SyncSender<Job>,
        /// Why the last one failed.
        failed: Failed,
    },
}

type Failed = Arc<Mutex<Option<io::Error>>>;

/// One file to be synced.
#[derive(Debug)]
pub(super) struct Job {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    /// Its name is new, too.
    name: bool,
}

impl Job {
    pub fn run(&self) -> io::Result<()> {
        if !self.file.is_named()? {
            return Err(io::Error::new(io::ErrorKind::NotFound, "its file was removed"));
        }
        #[cfg(debug_assertions)]
        crate::kill_point::pass("spool.sync");
        self.file.sync()?;
        #[cfg(debug_assertions)]
        crate::kill_point::pass("spool.synced");
        if self.name { self.disk.sync_names() } else { Ok(()) }
    }
}

impl Syncer {
    /// A syncer whose jobs `serve` runs.
    pub fn thread() -> (Self, impl FnOnce()) {
        let (syncer, queue, said) = Self::queue();
        (syncer, move || serve(&queue, &said))
    }

    /// A syncer, its jobs, and where to say why one failed.
    pub fn queue() -> (Self, Receiver<Job>, Failed) {
        let (jobs, queue) = sync_channel(SPOOL_SYNCS);
        let failed = Failed::default();
        (Self::Thread { jobs, failed: Arc::clone(&failed) }, queue, failed)
    }

    /// Why a job failed since the last look.
    pub fn check(&self) -> io::Result<()> {
        let Self::Thread { failed, .. } = self else { return Ok(()) };
        failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// Asks for a file to be synced; false: too much is asked for already.
    pub fn sync(&self, disk: &Arc<dyn Disk>, file: &Arc<dyn DiskFile>, name: bool) -> io::Result<bool> {
        let job = Job { disk: Arc::clone(disk), file: Arc::clone(file), name };
        match self {
            Self::Inline => job.run().map(|()| true),
            Self::Thread { jobs, .. } => match jobs.try_send(job) {
                Ok(()) => Ok(true),
                Err(TrySendError::Full(_)) => Ok(false),
                Err(TrySendError::Disconnected(_)) => Err(io::Error::other("the thread that syncs has ended")),
            },
        }
    }

    /// Has a file synced that is written to no more: now, if too much is asked for already.
    pub fn seal(&self, disk: &Arc<dyn Disk>, file: &Arc<dyn DiskFile>, name: bool) -> io::Result<()> {
        if self.sync(disk, file, name)? {
            return Ok(());
        }
        Job { disk: Arc::clone(disk), file: Arc::clone(file), name }.run()
    }
}

fn serve(queue: &Receiver<Job>, failed: &Mutex<Option<io::Error>>) {
    while let Ok(job) = queue.recv() {
        if let Err(error) = job.run() {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}
