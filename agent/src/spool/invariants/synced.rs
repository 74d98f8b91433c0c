//! What is said to be on disk for certain is.

use super::{open, sent, turn};
use crate::spool::Payload;
use crate::spool::memory_tests::{events, samples};
use crate::spool::sim_disk::{Faults, SimDisk};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_fact_that_was_said_to_be_synced_survives_a_power_cut_at_any_call(
        facts in proptest::collection::vec(any::<bool>(), 1..60),
        calls in 0..200_usize,
        torn in 0..300_usize,
    ) {
        let disk = SimDisk::default();
        let spool = open(&disk);
        disk.set(Faults { calls_left: Some(calls), torn, ..Faults::default() });
        let (mut pushed, mut safe) = (BTreeMap::new(), Vec::new());
        for (tick, is_fact) in facts.iter().enumerate() {
            let failures = spool.synced().borrow().failures;
            let payload = if *is_fact { events() } else { samples(tick as i64) };
            let is_fact = !matches!(payload, Payload::Samples { .. });
            let seq = spool.push_numbered(payload);
            if is_fact {
                pushed.insert(seq, failures);
            }
            let synced = *spool.synced().borrow();
            safe.extend(pushed.extract_if(.., |seq, failures| *seq < synced.below && *failures == synced.failures));
        }
        disk.cut(0);
        let (epoch, found) = (spool.epoch(), sent(&open(&disk)));
        for (seq, _) in safe {
            prop_assert!(found.contains_key(&(epoch, seq)), "{seq}");
        }
    }
}

#[test]
fn facts_are_synced_at_once_and_again_once_the_disk_works() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    let first = spool.push_numbered(events());
    let synced = *spool.synced().borrow();
    assert_eq!((synced.below, synced.failures), (first + 1, 0));
    disk.set(Faults { refuses: true, ..Faults::default() });
    let second = spool.push_numbered(events());
    let failed = *spool.synced().borrow();
    assert_eq!((failed.below, failed.failures), (first + 1, 1), "it is in memory only");
    disk.set(Faults::default());
    let third = spool.push_numbered(events());
    turn(&spool, Instant::now() + crate::limits::SPOOL_RETRY * 2);
    let again = *spool.synced().borrow();
    assert!(second < third && again.below == third + 1 && again.failures == 1, "{again:?}");
}
