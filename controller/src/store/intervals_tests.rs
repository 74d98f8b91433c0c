use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Step {
    Insert(u64, u64),
    Remove(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let range = (0..60_u64, 0..8_u64).prop_map(|(first, length)| (first, first + length));
    prop_oneof![
        3 => range.clone().prop_map(|(first, last)| Step::Insert(first, last)),
        1 => range.prop_map(|(first, last)| Step::Remove(first, last)),
    ]
}

proptest! {
    #[test]
    fn it_is_a_set_in_its_shortest_form(steps in vec(step(), 0..60)) {
        let (mut set, mut model) = (IntervalSet::default(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Insert(first, last) => { set.insert(first, last); model.extend(first..=last); }
                Step::Remove(first, last) => { set.remove(first, last); model.retain(|n| *n < first || *n > last); }
            }
            for number in 0..70 {
                prop_assert_eq!(set.contains(number), model.contains(&number), "{} in {:?}", number, set);
            }
            for pair in set.intervals().windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0, "touching: {:?}", set);
            }
            prop_assert!(set.intervals().iter().all(|(first, last)| first <= last));
            prop_assert_eq!(IntervalSet::from_multirange(&set.to_multirange()), Some(set.clone()));
        }
    }

    /// The ledger's promise: in whatever order, repetition and overlap two sessions deliver the
    /// batches of one epoch, each is admitted exactly once.
    #[test]
    fn every_number_is_admitted_once(first in vec(0..40_u64, 0..80), second in vec(0..40_u64, 0..80), turns in vec(any::<bool>(), 160)) {
        let mut set = IntervalSet::default();
        let mut admitted = Vec::new();
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        for turn in turns {
            let Some(number) = (if turn { first.next() } else { second.next() }) else { continue };
            if !set.contains(number) {
                set.insert(number, number);
                admitted.push(number);
            }
        }
        let distinct: BTreeSet<u64> = admitted.iter().copied().collect();
        prop_assert_eq!(distinct.len(), admitted.len());
        prop_assert!((0..40).all(|number| set.contains(number) == distinct.contains(&number)));
    }

    #[test]
    fn any_text_is_a_set_or_nothing(text in "[{}\\[\\](),0-9]{0,30}") {
        let _ = IntervalSet::from_multirange(&text);
    }
}

#[test]
fn what_postgres_cannot_hold_is_left_out() {
    let mut set = IntervalSet::default();
    set.insert(u64::MAX, u64::MAX);
    assert_eq!(set, IntervalSet::default());
    set.insert(SEQ_MAX - 1, u64::MAX);
    assert_eq!(set.to_multirange(), format!("{{[{},{})}}", SEQ_MAX - 1, i64::MAX));
    set.insert(0, u64::MAX);
    assert_eq!(set.intervals(), [(0, SEQ_MAX)]);
}
