//! Seeded power cuts in simulated time: how old the oldest sample is that one takes away, and the oldest fact, on a
//! disk whose syncs take no time and on one whose syncs take theirs.

use super::{open, sent};
use crate::limits::{SPOOL_SYNC_EVERY, SPOOL_SYNCS};
use crate::random::Random;
use crate::spool::Spool;
use crate::spool::memory_tests::{events, samples};
use crate::spool::sim_disk::{Faults, SimDisk};
use crate::spool::sync::{Job, Syncer};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const CUTS: u64 = 1_000;
/// Of a life before its cut.
const LONGEST_MS: u64 = 8_000;
/// Of a slow disk's sync.
const LONGEST_SYNC_MS: u64 = 400;

#[test]
fn a_power_cut_takes_samples_of_one_sync_interval_at_most_and_no_fact() {
    let lives: Vec<Life> = (1..=CUTS).map(|seed| cut(seed, None)).collect();
    let (worst, samples) = lost(&lives, false);
    let (_, facts) = lost(&lives, true);
    let of = facts_taken(&lives);
    println!("{CUTS} power cuts: {samples} samples lost, the oldest {worst:?} old; {facts} of {of} facts");
    assert!(worst <= SPOOL_SYNC_EVERY, "{worst:?}");
    assert_eq!(facts, 0);
    assert!(samples > 0 && of > 0, "they cost something, or nothing was tested");
}

#[test]
fn where_syncs_take_time_a_power_cut_takes_what_waits_for_its_sync_and_no_older_fact() {
    let slow = |seed| Duration::from_millis(1 + Random(seed).draw() % LONGEST_SYNC_MS);
    let lives: Vec<Life> = (1..=CUTS).map(|seed| cut(seed, Some(slow(seed)))).collect();
    for (life, seed) in lives.iter().zip(1..) {
        // Until it is asked for, where no more could wait; then the one that has begun, and those that wait.
        let most = SPOOL_SYNC_EVERY + slow(seed) * (SPOOL_SYNCS as u32 + 1);
        for batch in life.lost() {
            let age = life.end - batch.at;
            assert!(age <= most, "seed {seed} lost one that was {age:?} old, a fact: {}", batch.is_fact);
        }
    }
    let ((worst, samples), (worst_fact, facts)) = (lost(&lives, false), lost(&lives, true));
    println!("with syncs of up to {LONGEST_SYNC_MS} ms: {samples} samples lost, the oldest {worst:?} old;");
    println!("{facts} of {} facts, the oldest {worst_fact:?} old", facts_taken(&lives));
    assert!(facts > 0, "no cut came while a fact waited");
}

/// What a host lived through until its power was cut.
struct Life {
    taken: Vec<Taken>,
    end: Instant,
}

struct Taken {
    at: Instant,
    is_fact: bool,
    is_lost: bool,
}

impl Life {
    fn lost(&self) -> impl Iterator<Item = &Taken> {
        self.taken.iter().filter(|batch| batch.is_lost)
    }
}

fn facts_taken(lives: &[Life]) -> usize {
    lives.iter().flat_map(|life| &life.taken).filter(|batch| batch.is_fact).count()
}

/// The age of the oldest that was lost, and how many were.
fn lost(lives: &[Life], is_fact: bool) -> (Duration, usize) {
    let ages = |life: &Life| -> Vec<Duration> {
        life.lost().filter(|batch| batch.is_fact == is_fact).map(|batch| life.end - batch.at).collect()
    };
    let ages: Vec<Duration> = lives.iter().flat_map(ages).collect();
    (ages.iter().max().copied().unwrap_or_default(), ages.len())
}

/// A disk that syncs one file after the other.
struct Slow {
    jobs: Receiver<Job>,
    takes: Duration,
    until: Option<Instant>,
}

impl Slow {
    /// Has a spool's syncs take so long each.
    fn down(disk: &SimDisk, spool: &Spool, takes: Duration) -> Self {
        disk.set(Faults { syncs_take_time: true, ..Faults::default() });
        let (syncer, jobs, _) = Syncer::queue();
        spool.0.inline.as_ref().expect("inline").lock().expect("sound").syncer = syncer;
        Self { jobs, takes, until: None }
    }

    fn go_on(&mut self, disk: &SimDisk, now: Instant) {
        if self.until.is_some_and(|until| until <= now) {
            disk.synced();
            self.until = None;
        }
        if self.until.is_none()
            && let Ok(job) = self.jobs.try_recv()
        {
            job.run().expect("begins");
            self.until = Some(now + self.takes);
        }
    }
}

/// Ticks, now and then with a fact, until the power is cut; how soon the next comes is chance.
fn cut(seed: u64, sync_takes: Option<Duration>) -> Life {
    let mut random = Random(seed);
    let mut ms = |least: u64, most: u64| Duration::from_millis(least + random.draw() % (most - least));
    let disk = SimDisk::default();
    let (spool, began) = (open(&disk), Instant::now());
    let mut slow = sync_takes.map(|takes| Slow::down(&disk, &spool, takes));
    let (interval, end) = (ms(150, 3_000).as_millis() as u64, began + ms(0, LONGEST_MS));
    let (mut next, mut wake, mut pushed) = (began, began, Vec::new());
    loop {
        let synced = slow.as_ref().and_then(|slow| slow.until).unwrap_or(end);
        let now = next.min(wake).min(synced);
        if now >= end {
            break;
        }
        if now == next {
            let is_fact = ms(0, 1_000).as_millis() < 200;
            pushed.push((*spool.head().borrow(), now, is_fact));
            spool.push(if is_fact { events() } else { samples(pushed.len() as i64) });
            next += ms(interval / 10, interval);
        }
        if now == wake || pushed.last().is_some_and(|(_, at, _)| *at == now) {
            let writer = spool.0.inline.as_ref().expect("inline");
            wake = now + writer.lock().expect("sound").turn(&spool, now);
        }
        if let Some(slow) = &mut slow {
            slow.go_on(&disk, now);
        }
    }
    disk.cut(ms(0, 400).as_millis() as usize);
    let (epoch, found) = (spool.epoch(), sent(&open(&disk)));
    let taken = |(seq, at, is_fact)| Taken { at, is_fact, is_lost: !found.contains_key(&(epoch, seq)) };
    Life { taken: pushed.into_iter().map(taken).collect(), end }
}
