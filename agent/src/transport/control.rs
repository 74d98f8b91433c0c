//! The control stream: acks in, pings out, renewal.

use super::Link;
use super::history::History;
use super::in_flight::InFlight;
use super::session::Ended;
use super::streams::Road;
use crate::identity::NewKey;
use crate::limits::{CONTROL_QUEUE, PING_COMPANY_WAIT, PING_EVERY, RENEWAL_RETRY};
use crate::random::Random;
use fleetlight_protocol::control::{AgentControl, ControllerControl, Ping};
use fleetlight_protocol::frame::{self, HEAD_BYTES, Head};
use quinn::{RecvStream, SendStream};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Reads one frame.
pub(super) async fn read<M: DeserializeOwned>(stream: &mut RecvStream) -> Result<M, Ended> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.map_err(Ended::lost)?;
    let head = Head::parse(head).map_err(Ended::lost)?;
    let mut payload = vec![0; head.length];
    stream.read_exact(&mut payload).await.map_err(Ended::lost)?;
    frame::decode(head, &payload).map_err(Ended::lost)
}

/// Writes one frame, with one write so that it shares a packet.
pub(super) async fn write<M: Serialize>(stream: &mut SendStream, message: &M) -> Result<(), Ended> {
    let bytes = frame::encode(message).map_err(Ended::lost)?;
    stream.write_all(&bytes).await.map_err(Ended::lost)
}

/// Runs the stream until it ends.
pub(super) async fn run(
    send: &mut SendStream,
    recv: RecvStream,
    link: &Link,
    Road { in_flight, history, .. }: Road<'_>,
    renew_at: Option<Instant>,
    stop: &CancellationToken,
) -> Ended {
    let (answers, answers_out) = mpsc::channel(CONTROL_QUEUE);
    let mut talk = Talk {
        link,
        in_flight,
        history,
        stop,
        stopping: false,
        nonce: 0,
        asked: None,
        measured: None,
        ping_at: Instant::now(),
        renew_at,
        pending: None,
    };
    tokio::select! {
        biased;
        ended = listen(recv, link, in_flight, history, answers) => ended,
        ended = talk.run(send, answers_out) => ended,
    }
}

/// Takes acks and credit; passes on the rest.
async fn listen(
    mut recv: RecvStream,
    link: &Link,
    in_flight: &InFlight,
    history: &History,
    answers: mpsc::Sender<ControllerControl>,
) -> Ended {
    loop {
        match read(&mut recv).await {
            Ok(ControllerControl::Ack(epoch, intervals)) => {
                // Without one, of this start's.
                let epoch = epoch.unwrap_or_else(|| link.spool.epoch());
                for (first, last) in intervals {
                    link.spool.acked(epoch, first, last);
                    in_flight.acked(epoch, first, last);
                }
            }
            Ok(ControllerControl::Credit(rows)) => history.grant(rows),
            Ok(ControllerControl::Superseded) => return Ended::Superseded,
            Ok(answer) => {
                if answers.send(answer).await.is_err() {
                    return Ended::lost("its control stream has ended");
                }
            }
            Err(ended) => return ended,
        }
    }
}

/// What is said on the stream besides acks.
struct Talk<'a> {
    link: &'a Link,
    in_flight: &'a InFlight,
    history: &'a History,
    stop: &'a CancellationToken,
    /// It has been said.
    stopping: bool,
    nonce: u64,
    /// The ping that awaits its pong: when it went by both clocks.
    asked: Option<(Instant, i64)>,
    /// Clock offset and round trip, milliseconds.
    measured: Option<(i64, u32)>,
    ping_at: Instant,
    renew_at: Option<Instant>,
    /// The key of a renewal under way.
    pending: Option<NewKey>,
}

impl Talk<'_> {
    async fn run(&mut self, send: &mut SendStream, mut answers: mpsc::Receiver<ControllerControl>) -> Ended {
        loop {
            let renew_at = self.renew_at;
            let result = tokio::select! {
                biased;
                answer = answers.recv() => match answer {
                    Some(answer) => self.take(answer).await,
                    None => return Ended::lost("its control stream has ended"),
                },
                () = self.stop.cancelled(), if !self.stopping => {
                    self.stopping = true;
                    write(send, &AgentControl::Stopping).await
                }
                batches = self.history.news() => write(send, &AgentControl::History { batches }).await,
                () = self.ping_due() => self.ping(send).await,
                () = sleep_until(renew_at.unwrap_or_else(Instant::now)), if renew_at.is_some() => self.renew(send).await,
            };
            if let Err(ended) = result {
                return ended;
            }
        }
    }

    /// Waits until the next ping is due, and then for a batch whose packet it can share.
    async fn ping_due(&self) {
        sleep_until(self.ping_at).await;
        // The first two go at once, so that offset and round trip are known from the start.
        if self.nonce > 1 {
            let _ = timeout(PING_COMPANY_WAIT, self.in_flight.sending()).await;
        }
    }

    async fn ping(&mut self, send: &mut SendStream) -> Result<(), Ended> {
        self.nonce += 1;
        self.asked = Some((Instant::now(), self.link.clock.wall_ms()));
        self.ping_at = Instant::now() + PING_EVERY;
        let ping = Ping {
            nonce: self.nonce,
            clock_offset_ms: self.measured.map(|(offset, _)| offset),
            round_trip_ms: self.measured.map(|(_, round_trip)| round_trip),
        };
        write(send, &AgentControl::Ping(ping)).await
    }

    async fn renew(&mut self, send: &mut SendStream) -> Result<(), Ended> {
        self.renew_at = Some(Instant::now() + RENEWAL_RETRY);
        match NewKey::generate().and_then(|key| key.request().map(|csr| (key, csr))) {
            Ok((key, csr)) => {
                self.pending = Some(key);
                write(send, &AgentControl::Renew { csr }).await
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate cannot be renewed yet");
                Ok(())
            }
        }
    }

    async fn take(&mut self, answer: ControllerControl) -> Result<(), Ended> {
        match answer {
            ControllerControl::Pong { nonce, wall_ms } if nonce == self.nonce => self.pong(wall_ms).await,
            ControllerControl::Pong { .. } => {}
            ControllerControl::Renewed { chain } => self.renewed(&chain).await,
            ControllerControl::Refused(refusal) => {
                if self.pending.take().is_none() {
                    return Err(Ended::Refused(refusal));
                }
                tracing::warn!(reason = %refusal, "the controller does not renew the certificate; the agent will ask again");
            }
            ControllerControl::Welcome(_)
            | ControllerControl::Ack(..)
            | ControllerControl::Credit(_)
            | ControllerControl::Superseded => {
                return Err(Ended::lost("the controller breaks the protocol: a second welcome"));
            }
        }
        Ok(())
    }

    async fn pong(&mut self, controller_ms: i64) {
        let Some((sent, sent_ms)) = self.asked.take() else { return };
        let round_trip = sent.elapsed();
        let half_ms = (round_trip / 2).as_millis() as i64;
        // The pong's time is that of the middle of the exchange.
        self.measured = Some((sent_ms + half_ms - controller_ms, round_trip.as_millis() as u32));
        if self.nonce == 1 {
            // What was measured reaches the controller with the next ping.
            self.ping_at = Instant::now();
        }
        self.link.clock.learn(controller_ms + half_ms);
        self.link.clock.note().await;
    }

    async fn renewed(&mut self, chain: &[Vec<u8>]) {
        let Some(key) = self.pending.take() else { return };
        let renewed = self.link.identity.current().renewed(&key, chain, self.link.clock.controller_ms());
        let stored = match renewed {
            Ok(identity) => self.link.identity.replace(identity).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(()) => {
                self.renew_at = renewal(self.link);
                tracing::info!("certificate renewed with a new key");
            }
            Err(error) => tracing::warn!(%error, "the renewed certificate cannot be used; the agent will ask again"),
        }
    }
}

/// When to renew: at 50–67 % of the certificate's life, by the best known time.
pub(super) fn renewal(link: &Link) -> Option<Instant> {
    let (begins_ms, ends_ms) = link.identity.current().validity_ms().ok()?;
    let share = 0.50 + 0.17 * Random(link.seed ^ begins_ms as u64).unit();
    let at_ms = begins_ms + ((ends_ms - begins_ms) as f64 * share) as i64;
    Some(Instant::now() + Duration::from_millis((at_ms - link.clock.now_ms()).max(0) as u64))
}
