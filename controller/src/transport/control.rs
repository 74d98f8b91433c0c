//! The control stream: frames in, frames out, acks gathered on their way.

use super::credit::Account;
use super::session::End;
use super::{Intervals, Stored};
use crate::limits::{ACK_DELAY, ACK_HOLD, ACK_INTERVALS, ACK_PAUSE, ACKS, CONTROL_WRITE_WAIT};
use fleetlight_protocol::control::ControllerControl;
use fleetlight_protocol::frame::{self, FrameError, HEAD_BYTES, Head};
use quinn::{ReadExactError, RecvStream, SendStream};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer reset the stream, or the connection is gone.
    #[error("{0}")]
    Lost(quinn::ReadError),
    #[error("the stream ends in the middle of a frame")]
    Cut,
}

/// Reads one frame; nothing at the stream's end.
pub(super) async fn read<M: DeserializeOwned>(stream: &mut RecvStream) -> Result<Option<M>, ReadError> {
    Ok(read_sized(stream).await?.map(|(message, _)| message))
}

/// As [`read`], with the bytes that the message took unpacked.
pub(super) async fn read_sized<M: DeserializeOwned>(stream: &mut RecvStream) -> Result<Option<(M, usize)>, ReadError> {
    let mut head = [0; HEAD_BYTES];
    match stream.read_exact(&mut head).await {
        Ok(()) => {}
        Err(ReadExactError::FinishedEarly(0)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let head = Head::parse(head)?;
    let mut payload = vec![0; head.length];
    stream.read_exact(&mut payload).await?;
    Ok(Some((frame::decode(head, &payload)?, frame::plain_bytes(head, &payload)?)))
}

impl From<ReadExactError> for ReadError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::FinishedEarly(_) => Self::Cut,
            ReadExactError::ReadError(error) => Self::Lost(error),
        }
    }
}

/// Writes one frame, with one write so that it shares a packet.
pub(super) async fn write(stream: &mut SendStream, message: &ControllerControl) -> Result<(), End> {
    write_bytes(stream, &encode(message)?).await
}

fn encode(message: &ControllerControl) -> Result<Vec<u8>, End> {
    frame::encode(message).map_err(|error| End::Broken(error.to_string()))
}

async fn write_bytes(stream: &mut SendStream, bytes: &[u8]) -> Result<(), End> {
    match timeout(CONTROL_WRITE_WAIT, stream.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::Lost(error.to_string())),
        Err(_) => Err(End::Lost("it does not read its control stream".into())),
    }
}

/// Writes answers as they come, and acks together with what goes to the agent anyway: an answer, or
/// QUIC's own ack of a batch that came, as `company` says. An ack alone would cost two packets, its own and
/// the agent's QUIC ack of it. Credit for history goes at once. Ends when the stream does.
pub(super) async fn write_all(
    stream: &mut SendStream,
    mut answers: mpsc::Receiver<ControllerControl>,
    mut stored: mpsc::Receiver<Stored>,
    company: &Company,
    account: &Account,
    epoch: Uuid,
) -> End {
    let mut acks = Acks::of(epoch);
    let mut gathered = Vec::with_capacity(ACKS);
    loop {
        let due = acks.due;
        let result = tokio::select! {
            biased;
            Some(answer) = answers.recv() => acks.write_after(Some(&answer), stream).await,
            count = stored.recv_many(&mut gathered, ACKS) => {
                if count == 0 {
                    return End::Lost("its session has ended".into());
                }
                account.stored(&gathered);
                gathered.drain(..).for_each(|stored| acks.add(stored));
                if company.hurries() { acks.go_soon() } else { acks.hold() }
                Ok(())
            }
            rows = account.granted() => acks.write_after(Some(&ControllerControl::Credit(rows)), stream).await,
            () = company.news.notified() => {
                acks.batch();
                if company.hurries() || acks.stored.is_some_and(|(first, _)| first.elapsed() >= ACK_PAUSE) {
                    acks.go_soon();
                }
                Ok(())
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => acks.write_after(None, stream).await,
        };
        if let Err(end) = result {
            return end;
        }
    }
}

/// What decides when acks go.
#[derive(Debug, Default)]
pub(super) struct Company {
    news: Notify,
    hurry: AtomicBool,
}

impl Company {
    /// A batch has come, which QUIC acknowledges soon.
    pub fn batch(&self) {
        self.news.notify_one();
    }

    /// Acks wait no more.
    pub fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
        self.news.notify_one();
    }

    fn hurries(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }
}

/// Intervals that wait to be said, merged.
#[derive(Debug)]
struct Acks {
    /// The agent's own, which an ack need not name.
    epoch: Uuid,
    held: BTreeMap<Uuid, BTreeMap<u64, u64>>,
    /// When the first and the last batch came for which no ack has gone. The agent's patience begins then, and
    /// not with the commit.
    came: Option<(Instant, Instant)>,
    /// When the first and the last of them were stored.
    stored: Option<(Instant, Instant)>,
    /// When they go.
    due: Option<Instant>,
}

impl Acks {
    fn of(epoch: Uuid) -> Self {
        Self { epoch, held: BTreeMap::new(), came: None, stored: None, due: None }
    }

    /// A batch has come.
    fn batch(&mut self) {
        let now = Instant::now();
        self.came = Some((self.came.map_or(now, |(first, _)| first), now));
    }

    fn add(&mut self, stored: Stored) {
        let now = Instant::now();
        self.stored = Some((self.stored.map_or(now, |(first, _)| first), now));
        let Stored { epoch, mut first, mut last } = stored;
        let intervals = self.held.entry(epoch).or_default();
        // Whatever touches the new interval becomes part of it.
        while let Some((&from, &to)) = intervals.range(..=last.saturating_add(1)).next_back() {
            if to.saturating_add(1) < first {
                break;
            }
            intervals.remove(&from);
            (first, last) = (first.min(from), last.max(to));
        }
        intervals.insert(first, last);
    }

    /// What is held waits for company.
    fn hold(&mut self) {
        self.go_by(self.came.map_or_else(Instant::now, |(first, _)| first) + ACK_HOLD);
    }

    /// What is held goes as soon as company may have come.
    fn go_soon(&mut self) {
        self.go_by(Instant::now() + ACK_DELAY);
    }

    fn go_by(&mut self, goes: Instant) {
        if !self.held.is_empty() {
            self.due = Some(self.due.map_or(goes, |due| due.min(goes)));
        }
    }

    /// Writes an answer, and behind it whatever is held: one write, so that it is one packet.
    async fn write_after(&mut self, answer: Option<&ControllerControl>, stream: &mut SendStream) -> Result<(), End> {
        let mut frames = answer.map_or(Ok(Vec::new()), encode)?;
        for (epoch, intervals) in self.take() {
            let named = (epoch != self.epoch).then_some(epoch);
            for part in intervals.chunks(ACK_INTERVALS) {
                frames.extend(encode(&ControllerControl::Ack(named, part.to_vec()))?);
            }
        }
        write_bytes(stream, &frames).await
    }

    fn take(&mut self) -> impl Iterator<Item = (Uuid, Intervals)> + use<> {
        if let Some((_, stored)) = self.stored.take() {
            // What came after it is still to be stored.
            self.came = self.came.filter(|(_, last)| *last > stored).map(|(_, last)| (last, last));
            self.due = None;
        }
        std::mem::take(&mut self.held).into_iter().map(|(epoch, intervals)| (epoch, intervals.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn merged_intervals_hold_the_same_numbers(parts in proptest::collection::vec((1_u64..60, 0_u64..6), 0..40)) {
            let mut acks = Acks::of(Uuid::nil());
            let mut numbers = BTreeSet::new();
            for (first, more) in parts {
                acks.add(Stored { epoch: Uuid::nil(), first, last: first + more });
                numbers.extend(first..=first + more);
            }
            let merged: Intervals = acks.take().flat_map(|(_, intervals)| intervals).collect();
            prop_assert!(merged.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "ascending, not touching");
            let held: BTreeSet<u64> = merged.into_iter().flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(held, numbers);
        }
    }
}
