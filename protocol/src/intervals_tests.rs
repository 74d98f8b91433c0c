use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn range() -> impl Strategy<Value = (u64, u64)> {
    (0..60_u64, 0..8_u64).prop_map(|(first, length)| (first, first + length))
}

proptest! {
    #[test]
    fn it_is_a_set_in_its_shortest_form(ranges in vec(range(), 0..60), most in 1..12_usize) {
        let (mut set, mut model) = (IntervalSet::default(), BTreeSet::new());
        for (first, last) in ranges {
            let missing = (first..=last).filter(|number| !model.contains(number)).count() as u64;
            prop_assert_eq!(set.missing(first, last), missing);
            if set.insert_within(first, last, most) {
                model.extend(first..=last);
            } else {
                prop_assert_eq!(set.intervals().len(), most);
            }
            prop_assert!(set.intervals().len() <= most);
            for number in 0..70 {
                prop_assert_eq!(set.missing(number, number) == 0, model.contains(&number), "{} in {:?}", number, set);
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
            if set.missing(number, number) > 0 {
                set.insert(number, number);
                admitted.push(number);
            }
        }
        let distinct: BTreeSet<u64> = admitted.iter().copied().collect();
        prop_assert_eq!(distinct.len(), admitted.len());
        prop_assert!((0..40).all(|number| (set.missing(number, number) == 0) == distinct.contains(&number)));
    }

    /// However few intervals there may be, and in whatever order each of its sessions sends what is
    /// missing: an agent gets rid of everything, each number is admitted once, and never stands still.
    #[test]
    fn a_full_set_stops_no_agent(orders in vec(Just((0..30_u64).collect::<Vec<_>>()).prop_shuffle(), 31), most in 1..6_usize) {
        let (mut set, mut admitted) = (IntervalSet::default(), Vec::new());
        for order in orders {
            let before = admitted.len();
            for number in order.into_iter().filter(|number| set.missing(*number, *number) > 0).collect::<Vec<_>>() {
                if set.insert_within(number, number, most) {
                    admitted.push(number);
                }
            }
            prop_assert!(admitted.len() > before || before == 30, "a session stored nothing");
        }
        admitted.sort_unstable();
        prop_assert_eq!(admitted, (0..30).collect::<Vec<_>>());
        prop_assert_eq!(set.intervals(), [(0, 29)]);
    }

    #[test]
    fn sets_are_subtracted_and_searched_as_numbers_are(ones in vec((0..60_u64, 0..8_u64), 0..12), others in vec((0..60_u64, 0..8_u64), 0..12), from in 0..70_u64) {
        let set = |parts: &[(u64, u64)]| {
            let mut set = IntervalSet::default();
            parts.iter().for_each(|(first, length)| set.insert(*first, first + length));
            set
        };
        let (one, other) = (set(&ones), set(&others));
        let mut left = one.clone();
        left.subtract(&other);
        let model: Vec<u64> = (0..80).filter(|number| one.contains(*number) && !other.contains(*number)).collect();
        prop_assert_eq!((0..80).filter(|number| left.contains(*number)).collect::<Vec<_>>(), model.clone());
        prop_assert_eq!(left.count(), model.len() as u64);
        prop_assert_eq!(one.next_without(&other, from), model.into_iter().find(|number| *number >= from));
    }

    #[test]
    fn any_text_is_a_set_or_nothing(text in "[{}\\[\\](),0-9]{0,30}") {
        if let Some(set) = IntervalSet::from_multirange(&text) {
            prop_assert_eq!(IntervalSet::from_multirange(&set.to_multirange()), Some(set));
        }
    }

    /// Near enough to what Postgres writes that the parser gets past its first look.
    #[test]
    fn any_ranges_are_a_set_or_nothing(ranges in vec((any::<u64>(), any::<u64>(), "[,\\[(]{0,2}", "[)\\]]{0,2}"), 0..6)) {
        let text: String = ranges.iter().map(|(first, end, open, close)| format!("{open}{first},{end}{close}")).collect();
        if let Some(set) = IntervalSet::from_multirange(&format!("{{{text}}}")) {
            prop_assert!(set.intervals().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{text}: {set:?}");
            prop_assert_eq!(IntervalSet::from_multirange(&set.to_multirange()), Some(set));
        }
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
