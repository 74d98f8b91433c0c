//! What a run prints, on its way to whoever listens.

use crate::executor::actions::Report;
use crate::limits::RUN_LAST_OUTPUT_WAIT;
use fleetlight_protocol::command::OutputStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes of one read: masking as many takes some milliseconds at most.
const READ_BYTES: usize = 4 * 1024;

/// How long one run's output is worked on before all else gets as much.
const TURN: Duration = Duration::from_millis(5);

/// Reads pipes until they are closed; dropping it lets go of them.
#[derive(Debug)]
pub struct Output {
    report: Arc<dyn Report>,
    readers: JoinSet<()>,
    printed: Arc<AtomicU64>,
    most: u64,
    too_much: CancellationToken,
}

impl Output {
    pub fn new(report: Arc<dyn Report>, most: u64) -> Self {
        Self { report, readers: JoinSet::new(), printed: Arc::default(), most, too_much: CancellationToken::new() }
    }

    /// A pipe whose reading end is ours; the other one is for a run.
    ///
    /// # Errors
    /// In words: no descriptors are left.
    pub fn pipe(&mut self, stream: OutputStream) -> Result<OwnedFd, String> {
        let made = pipe::pipe().and_then(|(sender, receiver)| Ok((sender.into_blocking_fd()?, receiver)));
        let (sender, receiver) = made.map_err(|error| format!("no pipe for its output: {error}"))?;
        self.read(stream, receiver);
        Ok(sender)
    }

    fn read(&mut self, stream: OutputStream, mut pipe: impl AsyncRead + Unpin + Send + 'static) {
        let (report, printed) = (Arc::clone(&self.report), Arc::clone(&self.printed));
        let (most, too_much) = (self.most, self.too_much.clone());
        self.readers.spawn(async move {
            let (mut piece, mut owed) = (vec![0; READ_BYTES], Duration::ZERO);
            while let Ok(length @ 1..) = pipe.read(&mut piece).await {
                let began = Instant::now();
                report.output(stream, &piece[..length]);
                // One that prints without end gets half of the executor's time; its pipe makes it wait.
                owed += began.elapsed();
                if owed >= TURN {
                    tokio::time::sleep(std::mem::take(&mut owed)).await;
                }
                if printed.fetch_add(length as u64, Ordering::Relaxed) + length as u64 > most {
                    too_much.cancel();
                }
            }
        });
    }

    /// Returns once it has printed more than it may.
    pub async fn too_much(&self) {
        self.too_much.cancelled().await;
    }

    /// Takes what is still in the pipes; one that somebody keeps open is let go of.
    pub async fn finish(mut self) {
        let rest = async { while self.readers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(RUN_LAST_OUTPUT_WAIT, rest).await;
    }
}
