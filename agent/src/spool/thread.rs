//! The writer's thread and the syncer's.

use super::Spool;
use super::disk::InUse;
use super::index::Index;
use super::open::Read;
use super::sync::Syncer;
use super::writer::Writer;
use crate::limits::SPOOL_STOP_WAIT;
use std::io;
use std::sync::PoisonError;
use std::time::Instant;
use tokio::sync::oneshot;

/// The writer's buffers are on the heap; its calls are few and shallow.
const STACK_BYTES: usize = 256 * 1024;

/// Threads that write for a spool until they are stopped.
#[derive(Debug)]
pub struct Thread {
    spool: Spool,
    ended: oneshot::Receiver<()>,
}

impl Thread {
    /// Starts with `begin`, which reads what is there; the receiver hears when it has been.
    pub(super) fn start(
        spool: &Spool,
        begin: impl FnOnce() -> (Writer, Index, Option<io::Error>) + Send + 'static,
    ) -> io::Result<(Self, oneshot::Receiver<Read>)> {
        let (syncer, serve) = Syncer::thread(spool.0.synced.clone());
        let named = |name: &str| std::thread::Builder::new().name(name.into()).stack_size(STACK_BYTES);
        let syncing = named("spool-sync").spawn(serve)?;
        let (end, ended) = oneshot::channel();
        let (tell, read) = oneshot::channel();
        let writing = spool.clone();
        named("spool").spawn(move || {
            let (mut writer, found, trouble) = begin();
            writer.syncer = syncer;
            let any = writing.read(found, trouble.as_ref());
            let in_use = trouble.is_some_and(|error| InUse::is(&error));
            match tell.send(if in_use { Read::InUse } else { Read::Done }) {
                // Whoever opens it is told, and does without.
                Ok(()) if in_use => return,
                Err(_) if any => writing.0.found_late.notify_one(),
                _ => {}
            }
            run(&mut writer, &writing);
            // The syncer ends when nobody can ask it any more.
            drop(writer);
            let _ = syncing.join();
            let _ = end.send(());
        })?;
        Ok((Self { spool: spool.clone(), ended }, read))
    }

    /// Has the last batches written and synced, within [`SPOOL_STOP_WAIT`].
    pub async fn stop(self) {
        self.spool.lock().stopping = true;
        self.spool.0.work.notify_all();
        if tokio::time::timeout(SPOOL_STOP_WAIT, self.ended).await.is_err() {
            tracing::warn!("the spool's disk does not take the last batches in time");
        }
    }
}

fn run(writer: &mut Writer, spool: &Spool) {
    loop {
        let wait = writer.turn(spool, Instant::now());
        let retrying = writer.is_waiting();
        // While it waits to try the disk again, neither a batch nor a welcome is a reason to come back.
        let busy = |state: &super::State| !retrying && (state.settled || state.written < state.next);
        let idle = |state: &mut super::State| !state.stopping && !busy(state);
        let woken = spool.0.work.wait_timeout_while(spool.lock(), wait, idle);
        if woken.unwrap_or_else(PoisonError::into_inner).0.stopping {
            return writer.finish(spool, Instant::now());
        }
    }
}
