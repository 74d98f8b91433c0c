//! Keeps one session up: pauses between dials, a fresh connection beside a stalled one.

use super::Link;
use super::backoff::Backoff;
use super::connection::{DialError, Welcomed, dial, renew};
use super::in_flight::InFlight;
use super::session::{self, Ended};
use crate::limits::{FINAL_RETRY, STABLE_AFTER, STALL_WAIT, STALL_WAIT_CAP};
use fleetlight_protocol::control::RefusalCode;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The welcomed session.
struct Current<'a> {
    task: Task<'a, Ended>,
    in_flight: Arc<InFlight>,
    since: Instant,
}

/// A dial under way. Nothing welcomed means that the certificate was renewed.
type Dial<'a> = Task<'a, Result<Option<Box<Welcomed>>, DialError>>;

/// What the supervisor waits for.
enum News {
    Ended(Ended),
    Stalled,
    /// There is more to send than the controller was asked about.
    Found,
    Dialled(Result<Option<Box<Welcomed>>, DialError>),
    /// To stop, and there is nobody to say goodbye to.
    Stop,
}

/// Keeps a session with the controller up until `stop`, then says goodbye within
/// [`crate::limits::GOODBYE_WAIT`].
pub async fn run(link: Link, stop: CancellationToken) {
    let mut supervisor = Supervisor {
        link: &link,
        stop: &stop,
        backoff: Backoff::new(link.seed),
        number: 0,
        stall_wait: STALL_WAIT,
        renew_first: false,
        former: 0,
        said: None,
        current: None,
        dialling: None,
    };
    supervisor.dial(Duration::ZERO);
    loop {
        let pause = match supervisor.news().await {
            News::Stop | News::Ended(Ended::Goodbye) => return,
            News::Ended(ended) => Some(supervisor.ended(&ended)),
            News::Stalled => {
                supervisor.stalled();
                Some(Duration::ZERO)
            }
            News::Found => {
                tracing::info!("what earlier starts left was read late: dialling anew, to hear what of it is stored");
                Some(Duration::ZERO)
            }
            News::Dialled(Ok(Some(welcomed))) => {
                supervisor.welcomed(welcomed);
                None
            }
            News::Dialled(Ok(None)) => {
                (supervisor.renew_first, supervisor.former) = (false, 0);
                Some(Duration::ZERO)
            }
            News::Dialled(Err(error)) => Some(supervisor.failed(&error)),
        };
        if let Some(pause) = pause {
            supervisor.dial(pause);
        }
    }
}

struct Supervisor<'a> {
    link: &'a Link,
    stop: &'a CancellationToken,
    backoff: Backoff,
    /// Counts connections of this epoch: the controller keeps the highest.
    number: u64,
    stall_wait: Duration,
    /// The certificate has ended: the next dial renews it.
    renew_first: bool,
    /// How many renewals ago the key was made that the next dial shows.
    former: usize,
    /// The last failure that was logged; the same one is not logged again.
    said: Option<String>,
    current: Option<Current<'a>>,
    dialling: Option<Dial<'a>>,
}

impl<'a> Supervisor<'a> {
    async fn news(&mut self) -> News {
        let (stop, wait, spool) = (self.stop, self.stall_wait, &self.link.spool);
        let (no_session, no_dial) = (self.current.is_none(), self.dialling.is_none());
        let session = async {
            let Some(current) = &mut self.current else { return pending().await };
            tokio::select! {
                biased;
                ended = current.task.as_mut() => News::Ended(ended),
                () = current.in_flight.stalled(wait), if no_dial && !stop.is_cancelled() => News::Stalled,
                () = spool.found_late(), if no_dial && !stop.is_cancelled() => News::Found,
            }
        };
        let dial = async {
            match &mut self.dialling {
                Some(dialling) => News::Dialled(dialling.as_mut().await),
                None => pending().await,
            }
        };
        let news = tokio::select! {
            biased;
            () = stop.cancelled(), if no_session => News::Stop,
            news = session => news,
            news = dial => news,
        };
        if matches!(news, News::Dialled(_)) {
            self.dialling = None;
        }
        news
    }

    /// Dials after a pause, unless a dial is under way.
    fn dial(&mut self, pause: Duration) {
        if self.dialling.is_some() {
            return;
        }
        self.number += 1;
        let (link, number, former) = (self.link, self.number, self.former);
        let renew_first = self.renew_first || self.has_ended();
        self.dialling = Some(Box::pin(async move {
            sleep(pause).await;
            if pause >= FINAL_RETRY / 2 {
                if let Err(error) = link.identity.reload().await {
                    tracing::warn!(%error, "the identity file cannot be read; the agent goes on with the one it has");
                }
                link.spool.belongs_to(&link.identity.current().host_name);
            }
            let identity = link.identity.before(former);
            if renew_first {
                renew(link, &identity).await.map(|()| None)
            } else {
                dial(link, &identity, number).await.map(|welcomed| Some(Box::new(welcomed)))
            }
        }));
    }

    /// Whether the certificate has ended by the controller's time; the host's clock alone proves nothing.
    fn has_ended(&self) -> bool {
        let ends = self.link.identity.before(self.former).validity_ms();
        ends.is_ok_and(|(_, ends_ms)| self.link.clock.controller_ms().is_some_and(|now_ms| now_ms > ends_ms))
    }

    /// No acks: the next fresh connection has longer to bring one, unless this one had brought some.
    fn stalled(&mut self) {
        let seconds = self.stall_wait.as_secs();
        tracing::warn!("no ack for {seconds} s: dialling a fresh connection beside the old one");
        let fruitful = self.current.as_ref().is_some_and(|current| current.in_flight.any_acked());
        self.stall_wait = if fruitful { STALL_WAIT } else { (self.stall_wait * 2).min(STALL_WAIT_CAP) };
    }

    /// Goes over to a new session. An old one goes: the controller has superseded it already.
    fn welcomed(&mut self, welcomed: Box<Welcomed>) {
        self.said = None;
        let controller = welcomed.connection.remote_address();
        tracing::info!(%controller, version = welcomed.welcome.controller_version, "session with the controller is up");
        let is_former = std::mem::take(&mut self.former) > 0;
        if is_former {
            tracing::warn!(
                "the controller does not know this host's key, but one before it, as after its restore from a backup: \
                 renewing that now"
            );
        }
        let in_flight = Arc::new(InFlight::default());
        let (link, stop, sent) = (self.link, self.stop, Arc::clone(&in_flight));
        let task = Box::pin(async move { session::run(*welcomed, is_former, link, &sent, stop).await });
        self.current = Some(Current { task, in_flight, since: Instant::now() });
    }

    /// Says why the session ended; returns the pause before the next dial.
    fn ended(&mut self, ended: &Ended) -> Duration {
        if self.current.take().is_some_and(|old| old.since.elapsed() >= STABLE_AFTER) {
            self.backoff.reset();
        }
        match ended {
            // By the agent's own fresh connection.
            Ended::Superseded if self.dialling.is_some() => Duration::ZERO,
            Ended::Superseded => {
                self.say("another agent with this host's key has taken over: was this disk image cloned? enrol one of the two again");
                self.backoff.jittered(FINAL_RETRY)
            }
            Ended::Refused(refusal) => self.failed(&DialError::Refused(refusal.clone())),
            Ended::Lost(reason) => {
                self.say(&format!("session lost: {reason}; batches are held until it is back"));
                self.backoff.next()
            }
            Ended::Goodbye => Duration::ZERO,
        }
    }

    /// Says why there is no session; returns the pause before the next dial.
    fn failed(&mut self, error: &DialError) -> Duration {
        if self.goes_back(error) {
            return self.backoff.next();
        }
        self.say(&error.to_string());
        match error {
            DialError::Refused(refusal) if refusal.code == RefusalCode::CertificateExpired => {
                self.renew_first = !self.renew_first;
                self.backoff.next()
            }
            DialError::Refused(refusal) if refusal.code.is_final() => self.backoff.jittered(FINAL_RETRY),
            DialError::Rejected(_) => self.backoff.jittered(FINAL_RETRY),
            DialError::Refused(_) | DialError::Unreachable(..) => self.backoff.next(),
        }
    }

    /// Whether the next dial shows the key before the one that nobody knew. Each is shown once; after the oldest, and
    /// after what only an operator can undo, it is the current one's turn again.
    fn goes_back(&mut self, error: &DialError) -> bool {
        match error {
            DialError::Refused(refusal) if refusal.code == RefusalCode::KeyUnknown => {
                self.former = (self.former + 1) % (1 + self.link.identity.current().formers());
                return self.former > 0;
            }
            // With that key it renews.
            DialError::Refused(refusal) if refusal.code == RefusalCode::CertificateExpired => {}
            // Nothing was said of that key: it is shown again.
            DialError::Refused(refusal) if !refusal.code.is_final() => {}
            DialError::Unreachable(..) => {}
            DialError::Refused(_) | DialError::Rejected(_) => self.former = 0,
        }
        false
    }

    fn say(&mut self, words: &str) {
        if self.said.as_deref() != Some(words) {
            tracing::warn!("{words}");
            self.said = Some(words.to_owned());
        }
    }
}
