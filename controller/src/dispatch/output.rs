//! What a running command prints, within a bound: its beginning, its end, and how much between them is gone.

use fleetlight_protocol::command::Output;
use fleetlight_protocol::limits::{OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES};

/// Adds a piece.
pub fn keep(kept: &mut Output, text: &str) {
    let room = OUTPUT_HEAD_BYTES.saturating_sub(kept.head.len());
    let full = !kept.tail.is_empty() || kept.dropped_bytes > 0;
    let first = if full { 0 } else { text.floor_char_boundary(room) };
    let (first, rest) = text.split_at(first);
    kept.head.push_str(first);
    kept.tail.push_str(rest);
    let gone = kept.tail.ceil_char_boundary(kept.tail.len().saturating_sub(OUTPUT_TAIL_BYTES));
    kept.tail.drain(..gone);
    kept.dropped_bytes += gone as u64;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_is_lost_but_what_is_counted(pieces in proptest::collection::vec((0_usize..4, 0_usize..2_000), 0..24)) {
            let pieces = pieces.into_iter().map(|(odd, count)| "x".repeat(odd) + &"aä€𝄞".repeat(count));
            let pieces: Vec<String> = pieces.collect();
            let mut kept = Output::default();
            pieces.iter().for_each(|piece| keep(&mut kept, piece));
            let all = pieces.concat();
            prop_assert!(kept.head.len() <= OUTPUT_HEAD_BYTES && kept.tail.len() <= OUTPUT_TAIL_BYTES);
            prop_assert!(all.starts_with(&kept.head) && all.ends_with(&kept.tail));
            prop_assert_eq!(kept.head.len() + kept.tail.len() + kept.dropped_bytes as usize, all.len());
        }
    }
}
