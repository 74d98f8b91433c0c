//! Threads that may get stuck, and the book about them.
//!
//! Invariants: a mount that has not answered is not asked again, so that it costs one thread at
//! most; remote mounts are asked side by side; local mounts are asked one after the other by one
//! thread, and if one of them keeps it, it is left to that mount and another thread goes on with
//! the rest; remote mounts, however many hang, take no thread from local ones. Threads live only
//! while they ask: an idle worker has none.

use super::{Answer, Done, Probe, Question, Room, Target};
use crate::limits::{PROBE_STACK_BYTES, PROBE_THREADS};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Asks mounts and remembers what they said.
pub struct Prober<A> {
    shared: Arc<Shared<A>>,
    grace: Duration,
    patience: Duration,
}

struct Shared<A> {
    /// Asks one file system; may never return.
    ask: A,
    book: Mutex<Book>,
    /// Rung whenever an attempt comes back.
    bell: Condvar,
}

#[derive(Default)]
struct Book {
    mounts: HashMap<Target, Entry>,
    remote: Lane,
    local: Lane,
}

/// Mounts that wait for a thread, and the threads.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Target>,
    /// Those that are stuck included.
    threads: usize,
    /// The last wish for another thread was refused.
    full: bool,
}

#[derive(Default)]
struct Entry {
    last: Option<Done>,
    /// Since when it is being asked.
    out: Option<Instant>,
    /// Since when it waits in its lane.
    waiting: Option<Instant>,
    /// Named by the present question.
    listed: bool,
    /// Began with the present question: worth the grace.
    fresh: bool,
}

impl<A: Fn(&Target) -> Result<Room, i32> + Send + Sync + 'static> Prober<A> {
    /// `grace`: how long an answer waits for attempts that the question began. `patience`: how long
    /// a mount may take before its thread no longer counts as one that goes on with others.
    pub fn new(ask: A, grace: Duration, patience: Duration) -> Self {
        let shared = Shared { ask, book: Mutex::default(), bell: Condvar::new() };
        Self { shared: Arc::new(shared), grace, patience }
    }

    /// Begins an attempt on every listed mount that is not being asked, and says what is known.
    pub fn answer(&mut self, question: &Question) -> Answer {
        let mut book = self.shared.lock();
        book.list(question);
        for remote in [true, false] {
            self.start_threads(&mut book, remote);
        }
        let fresh = |book: &mut Book| {
            book.mounts.values().any(|entry| entry.fresh && (entry.out.is_some() || entry.waiting.is_some()))
        };
        let waited = self.shared.bell.wait_timeout_while(book, self.grace, fresh);
        let book = waited.unwrap_or_else(PoisonError::into_inner).0;
        Answer { mounts: question.mounts.iter().map(|target| book.probe(target, self.patience)).collect() }
    }

    /// Starts what a lane's queue needs: for local mounts one thread that is not kept waiting.
    fn start_threads(&self, book: &mut Book, remote: bool) {
        let kept = book.kept_threads(remote, self.patience);
        let lane = book.lane(remote);
        let moving = lane.threads.saturating_sub(kept);
        let wanted = if remote { lane.queue.len() } else { lane.queue.len().min(1) }.saturating_sub(moving);
        lane.full = false;
        for _ in 0..wanted {
            let shared = self.shared.clone();
            // A handle would be of no use: nobody can wait for a thread that hangs.
            let start = || thread::Builder::new().stack_size(PROBE_STACK_BYTES).spawn(move || shared.work(remote));
            if lane.threads >= PROBE_THREADS || start().is_err() {
                lane.full = true;
                return;
            }
            lane.threads += 1;
        }
    }
}

impl<A: Fn(&Target) -> Result<Room, i32>> Shared<A> {
    /// The book is whole between any two of its lines, so that a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life: asks the mounts of its lane until none waits.
    fn work(&self, remote: bool) {
        loop {
            let mut book = self.lock();
            let Some(target) = book.lane(remote).queue.pop_front() else {
                book.lane(remote).threads -= 1;
                return;
            };
            let began = Instant::now();
            if let Some(entry) = book.mounts.get_mut(&target) {
                (entry.out, entry.waiting) = (Some(began), None);
            }
            drop(book);
            let result = (self.ask)(&target);
            let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.lock().end(&target, Done { took_us, result });
            self.bell.notify_all();
        }
    }
}

impl Book {
    fn lane(&mut self, remote: bool) -> &mut Lane {
        if remote { &mut self.remote } else { &mut self.local }
    }

    /// Takes over the question's list and queues what is not being asked. What the list does not
    /// name is forgotten, once it has come back.
    fn list(&mut self, question: &Question) {
        for entry in self.mounts.values_mut() {
            (entry.listed, entry.fresh) = (false, false);
        }
        for target in &question.mounts {
            let entry = self.mounts.entry(target.clone()).or_default();
            entry.listed = true;
            if entry.out.is_none() && entry.waiting.is_none() {
                (entry.fresh, entry.waiting) = (true, Some(Instant::now()));
                let lane = if target.remote { &mut self.remote } else { &mut self.local };
                lane.queue.push_back(target.clone());
            }
        }
        self.mounts.retain(|_, entry| entry.listed || entry.out.is_some());
        for lane in [&mut self.remote, &mut self.local] {
            lane.queue.retain(|target| self.mounts.contains_key(target));
        }
    }

    /// Threads that wait for a mount of this lane longer than `patience`.
    fn kept_threads(&self, remote: bool, patience: Duration) -> usize {
        let kept = |entry: &Entry| entry.out.is_some_and(|since| since.elapsed() >= patience);
        self.mounts.iter().filter(|(target, entry)| target.remote == remote && kept(entry)).count()
    }

    /// Notes what came back.
    fn end(&mut self, target: &Target, done: Done) {
        let Some(entry) = self.mounts.get_mut(target) else { return };
        (entry.out, entry.last) = (None, Some(done));
        if !entry.listed {
            self.mounts.remove(target);
        }
    }

    fn probe(&self, target: &Target, patience: Duration) -> Probe {
        let lane = if target.remote { &self.remote } else { &self.local };
        self.mounts.get(target).map_or_else(Probe::default, |entry| Probe {
            last: entry.last,
            out_ms: entry.out.map(|since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)),
            crowded: lane.full && entry.waiting.is_some_and(|since| since.elapsed() >= patience),
        })
    }
}

#[cfg(test)]
#[path = "prober_tests.rs"]
mod tests;
