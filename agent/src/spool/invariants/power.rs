//! Seeded power cuts in simulated time: how old the oldest sample is that one takes away.

use super::{open, sent};
use crate::limits::SPOOL_SYNC_EVERY;
use crate::random::Random;
use crate::spool::memory_tests::{events, samples};
use crate::spool::sim_disk::SimDisk;
use std::time::{Duration, Instant};

const CUTS: u64 = 1_000;
/// Of a life before its cut.
const LONGEST_MS: u64 = 8_000;

#[test]
fn a_power_cut_takes_samples_of_one_sync_interval_at_most_and_no_fact() {
    let (mut worst, mut samples, mut facts) = (Duration::ZERO, 0, 0);
    for seed in 1..=CUTS {
        let life = cut(seed);
        worst = worst.max(life.oldest_lost);
        samples += life.samples_lost;
        facts += life.facts;
    }
    println!("{CUTS} power cuts: {samples} samples lost, the oldest {worst:?} old; none of {facts} facts");
    assert!(worst <= SPOOL_SYNC_EVERY, "{worst:?}");
    assert!(samples > 0 && facts > 0, "they cost something, or nothing was tested");
}

/// What a cut cost.
struct Life {
    oldest_lost: Duration,
    samples_lost: usize,
    facts: usize,
}

/// Ticks at intervals of its own, now and then with a fact, until the power is cut.
fn cut(seed: u64) -> Life {
    let mut random = Random(seed);
    let mut ms = |least: u64, most: u64| Duration::from_millis(least + random.draw() % (most - least));
    let disk = SimDisk::default();
    let (spool, began) = (open(&disk), Instant::now());
    let (interval, end) = (ms(150, 3_000), began + ms(0, LONGEST_MS));
    let (mut next, mut wake, mut taken) = (began, began, Vec::new());
    while next.min(wake) < end {
        let now = next.min(wake);
        if now == next {
            let is_fact = ms(0, 1_000).as_millis() < 200;
            taken.push((*spool.head().borrow(), now, is_fact));
            spool.push(if is_fact { events() } else { samples(taken.len() as i64) });
            next += interval;
        }
        let writer = spool.0.inline.as_ref().expect("inline");
        wake = now + writer.lock().expect("sound").turn(&spool, now);
    }
    disk.cut(ms(0, 400).as_millis() as usize);
    let (epoch, found) = (spool.epoch(), sent(&open(&disk)));
    let lost = || taken.iter().filter(|(seq, ..)| !found.contains_key(&(epoch, *seq)));
    assert!(lost().all(|(.., is_fact)| !is_fact), "seed {seed} lost a fact");
    Life {
        oldest_lost: lost().map(|(_, at, _)| end - *at).max().unwrap_or_default(),
        samples_lost: lost().count(),
        facts: taken.iter().filter(|(.., is_fact)| *is_fact).count(),
    }
}
