use super::*;
use crate::limits::SPOOL_GAPS;
use fleetlight_protocol::samples::{CoreSample, Sample};
use proptest::prelude::*;

pub(super) fn samples(at_ms: i64) -> Payload {
    Payload::Samples { at_ms, rows: vec![CoreSample { cpu_percent: Some(1.0) }.row("cpu0")].into() }
}

pub(super) fn events() -> Payload {
    Payload::Events(Vec::new().into())
}

pub(super) fn all(spool: &Spool, class: Class) -> Vec<Next> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (mut reader, mut found) = (spool.reader(class, Place::FIRST, Place::END), Vec::new());
    runtime.block_on(async {
        loop {
            match reader.next().await {
                Next::Nothing => return found,
                next => found.push(next),
            }
        }
    })
}

fn gaps(spool: &Spool) -> Vec<(u64, u64)> {
    spool.lock().index.epochs[&OWN].evicted.intervals().to_vec()
}

pub(super) fn numbers(found: &[Next]) -> Vec<u64> {
    found.iter().filter_map(|next| if let Next::Batch(batch) = next { Some(batch.seq) } else { None }).collect()
}

#[test]
fn lanes_share_one_sequence() {
    let spool = Spool::default();
    spool.push(samples(5));
    spool.push(events());
    spool.push(samples(10));
    assert_eq!(numbers(&all(&spool, Class::Live)), [1, 3]);
    assert_eq!(numbers(&all(&spool, Class::Facts)), [2]);
    assert_eq!(*spool.head().borrow(), 4);
}

#[test]
fn what_is_acked_is_gone_and_the_rest_stays() {
    let spool = Spool::default();
    (0..5).for_each(|tick| spool.push(samples(tick)));
    spool.acked(spool.epoch(), 2, 3);
    assert_eq!(numbers(&all(&spool, Class::Replay)), [1, 4, 5]);
    assert!(!spool.is_drained());
    spool.acked(spool.epoch(), 1, 5);
    assert!(spool.is_drained());
}

#[test]
fn samples_give_way_first_oldest_first_and_are_told() {
    let room = samples(0).cost() * 3;
    let spool = Spool::in_memory(room);
    spool.push(events());
    (0..5).for_each(|tick| spool.push(samples(tick)));
    let facts = all(&spool, Class::Facts);
    assert_eq!(numbers(&facts), [1], "the event outlives samples");
    let epoch = spool.epoch();
    assert_eq!(facts.first(), Some(&Next::Evicted { epoch, first: 2, last: 4 }));
    assert_eq!(numbers(&all(&spool, Class::Live)), [5, 6]);
    assert_eq!(spool.evicted_batches(), 3);
    spool.acked(spool.epoch(), 2, 3);
    assert_eq!(all(&spool, Class::Facts).first(), Some(&Next::Evicted { epoch, first: 4, last: 4 }));
}

#[test]
fn gaps_are_bounded_and_never_swallow_a_held_fact() {
    let spool = Spool::in_memory(1);
    for tick in 0..3_000 {
        spool.push(samples(tick));
        let head = *spool.head().borrow();
        if tick % 2 == 0 {
            spool.acked(spool.epoch(), head - 1, head - 1);
        }
    }
    assert!(gaps(&spool).len() <= SPOOL_GAPS + 1);

    let spool = Spool::in_memory(events().cost() * 3_000);
    for tick in 0..2_500 {
        spool.push(samples(tick));
        spool.push(events());
    }
    let facts = numbers(&all(&spool, Class::Facts));
    assert!(facts.len() > 2_000, "events outlive samples");
    for (first, last) in gaps(&spool) {
        assert!(facts.iter().all(|seq| *seq < first || *seq > last));
    }
}

proptest! {
    #[test]
    fn every_number_is_held_evicted_or_acked(
        steps in proptest::collection::vec((any::<bool>(), 0..60_u64, 0..4_u64), 1..60),
        bound in 200..2_000_usize,
    ) {
        let spool = Spool::in_memory(bound);
        let mut acked = std::collections::HashSet::new();
        for (is_event, first, length) in steps {
            spool.push(if is_event { events() } else { samples(0) });
            let head = *spool.head().borrow();
            let last = (first + length).min(head - 1);
            spool.acked(spool.epoch(), first, last);
            acked.extend(first..=last);
        }
        let head = *spool.head().borrow();
        let mut seen = std::collections::HashSet::new();
        for next in [all(&spool, Class::Live), all(&spool, Class::Facts)].concat() {
            let (first, last) = match next {
                Next::Batch(batch) => (batch.seq, batch.seq),
                Next::Evicted { first, last, .. } => (first, last),
                Next::Nothing => unreachable!(),
            };
            for seq in first..=last {
                prop_assert!(seen.insert(seq), "{seq} is there once");
                prop_assert!(!acked.contains(&seq), "{seq} was acked");
            }
        }
        for seq in 1..head {
            prop_assert!(seen.contains(&seq) || acked.contains(&seq), "{seq} is lost");
        }
    }
}
