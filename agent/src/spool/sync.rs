//! Asks the disk to keep what was written: on a thread of its own, since that takes milliseconds and
//! writing takes microseconds.

use super::Synced;
use super::disk::{Disk, DiskFile};
use crate::limits::SPOOL_SYNCS;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How syncing is done.
#[derive(Debug)]
pub(super) enum Syncer {
    /// At once: for tests.
    Inline(watch::Sender<Synced>),
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
    pub disk: Arc<dyn Disk>,
    pub file: Arc<dyn DiskFile>,
    /// Its name is new, too.
    pub name: bool,
    /// All facts below this number are in it, or in files that were asked for before.
    pub facts_below: Option<u64>,
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
    /// A syncer whose jobs `serve` runs; `synced` hears of them.
    pub fn thread(synced: watch::Sender<Synced>) -> (Self, impl FnOnce()) {
        let (syncer, queue, said) = Self::queue();
        (syncer, move || serve(&queue, &said, &synced))
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

    /// Asks for a file to be synced; gives the job back if too much is asked for already.
    pub fn sync(&self, job: Job) -> io::Result<Option<Job>> {
        match self {
            Self::Inline(synced) => {
                job.run()?;
                tell(synced, job.facts_below);
                Ok(None)
            }
            Self::Thread { jobs, .. } => match jobs.try_send(job) {
                Ok(()) => Ok(None),
                Err(TrySendError::Full(job)) => Ok(Some(job)),
                Err(TrySendError::Disconnected(_)) => Err(io::Error::other("the thread that syncs has ended")),
            },
        }
    }

    /// Has a file synced that is written to no more: now, if too much is asked for already.
    pub fn seal(&self, job: Job) -> io::Result<()> {
        match self.sync(job)? {
            None => Ok(()),
            // What was asked for before is not synced yet: the next job will tell of it.
            Some(job) => job.run(),
        }
    }
}

fn serve(queue: &Receiver<Job>, failed: &Mutex<Option<io::Error>>, synced: &watch::Sender<Synced>) {
    while let Ok(job) = queue.recv() {
        match job.run() {
            Ok(()) => tell(synced, job.facts_below),
            Err(error) => {
                // At once: a later job must not seem to have synced what this one has not.
                synced.send_modify(|synced| synced.failures += 1);
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    }
}

fn tell(synced: &watch::Sender<Synced>, facts_below: Option<u64>) {
    synced.send_if_modified(|synced| {
        let rises = facts_below.is_some_and(|below| below > synced.below);
        synced.below = synced.below.max(facts_below.unwrap_or(0));
        rises
    });
}
