//! Names to addresses, by the system's resolver, which may keep a thread for minutes.
//!
//! Invariants: one look-up at most is under way, on a thread of its own, so that a resolver that
//! never answers takes no thread from anybody else; whoever asks waits [`RESOLVE_WAIT`] at most; an
//! answer that comes late serves who asks next.

use crate::limits::{ADDRESSES, RESOLVE_WAIT};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io, thread};
use tokio::sync::watch;
use tokio::time::timeout;

type Ask = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;
type Answer = Result<Vec<SocketAddr>, String>;

/// The system's resolver, with its deadline.
pub struct Resolver {
    ask: Ask,
    under_way: Mutex<Option<LookUp>>,
}

struct LookUp {
    name: String,
    answer: watch::Receiver<Option<Answer>>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::asking(|name| Ok(name.to_socket_addrs()?.take(ADDRESSES).collect()))
    }
}

impl Resolver {
    /// One that asks by `ask`, which may never return.
    fn asking(ask: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { ask: Arc::new(ask), under_way: Mutex::default() }
    }

    /// The first addresses of `name`, which has a port.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub async fn addresses(&self, name: &str) -> Answer {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let mut answer = self.look_up(name)?;
        let Ok(answered) = timeout(RESOLVE_WAIT, answer.wait_for(Option::is_some)).await else {
            return Err(format!("its name is not resolved within {} s", RESOLVE_WAIT.as_secs()));
        };
        let answer = answered.ok().and_then(|answer| answer.clone());
        *self.lock() = None;
        answer.unwrap_or_else(|| Err("the look-up of its name has failed".into()))
    }

    /// The look-up under way, or a new one.
    fn look_up(&self, name: &str) -> Result<watch::Receiver<Option<Answer>>, String> {
        let mut under_way = self.lock();
        if let Some(look_up) = &*under_way {
            if look_up.name == name {
                return Ok(look_up.answer.clone());
            }
            if matches!(look_up.answer.has_changed(), Ok(false)) {
                return Err(format!("the resolver is still busy with {}", look_up.name));
            }
        }
        let (tell, answer) = watch::channel(None);
        let (ask, asked) = (Arc::clone(&self.ask), name.to_owned());
        // Nobody can wait for a thread that hangs; it ends with the process.
        let look_up = move || tell.send_replace(Some(ask(&asked).map_err(|error| error.to_string())));
        thread::Builder::new()
            .name("resolver".into())
            .spawn(look_up)
            .map_err(|error| format!("its name cannot be looked up: {error}"))?;
        *under_way = Some(LookUp { name: name.to_owned(), answer: answer.clone() });
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Option<LookUp>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    const NAME: &str = "controller.example:7443";

    /// A resolver that answers when it is let go, and how often it was asked.
    fn gated() -> (Resolver, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (release, gate) = mpsc::channel();
        let (gate, asked) = (Mutex::new(gate), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let resolver = Resolver::asking(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(vec![([192, 0, 2, 1], 7443).into()])
        });
        (resolver, release, asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_never_answers_is_asked_once_and_its_late_answer_is_used() {
        let (resolver, release, asked) = gated();
        for _ in 0..10 {
            let began = tokio::time::Instant::now();
            let error = resolver.addresses(NAME).await.expect_err("nobody answers");
            assert!(error.contains("not resolved within 3 s"), "{error}");
            assert!(began.elapsed() <= RESOLVE_WAIT + std::time::Duration::from_millis(10));
        }
        let other = resolver.addresses("other.example:1").await.expect_err("one at a time");
        assert!(other.contains(NAME), "{other}");
        assert_eq!(resolver.addresses("192.0.2.9:7443").await, Ok(vec![([192, 0, 2, 9], 7443).into()]));
        tokio::time::resume();
        release.send(()).expect("it waits");
        assert_eq!(resolver.addresses(NAME).await, Ok(vec![([192, 0, 2, 1], 7443).into()]));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        release.send(()).expect("it will wait");
        resolver.addresses(NAME).await.expect("asked anew");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "an answer serves once: addresses change");
    }

    #[test]
    fn what_the_runtime_does_on_threads_goes_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
        runtime.expect("a runtime").block_on(async {
            let (resolver, release, _) = gated();
            let looking = resolver.addresses(NAME);
            let working = tokio::task::spawn_blocking(|| 7);
            tokio::select! {
                found = looking => panic!("{found:?}"),
                done = working => assert_eq!(done.expect("runs"), 7),
            }
            release.send(()).expect("it waits");
        });
    }

    #[tokio::test]
    async fn the_systems_resolver_knows_this_host() {
        let found = Resolver::default().addresses("localhost:7443").await.expect("every host has it");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7443), "{found:?}");
    }
}
