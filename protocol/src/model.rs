//! How likely the next value of a metric is, learned from what the stream has said.

use crate::range::{Bit, Coder};

/// Differences of up to so many bits have a length of their own; longer ones share the last.
const LENGTHS: usize = 16;
/// A tree of [`LENGTHS`] leaves; node 0 is not used.
type Lengths = [Bit; LENGTHS];

/// The last code of one metric of one entity, and how it came about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    code: Option<i64>,
    /// Whether it changed at the last two ticks: 0–3.
    changes: u8,
    /// 0 at first, 1 fell, 2 rose.
    direction: u8,
}

/// What was learned of one metric over all its entities.
#[derive(Debug, Clone, Copy, Default)]
pub struct Series {
    changed: [Bit; 4],
    gone: Bit,
    rose: [Bit; 3],
    lengths: Lengths,
    /// The bit below the leading one, by length.
    second: [Bit; LENGTHS],
    first: Numbers,
}

impl Series {
    /// Writes `code`, or reads it.
    pub fn code(&mut self, coder: &mut impl Coder, known: &mut Known, code: Option<i64>) -> Option<i64> {
        let changed = coder.bit(&mut self.changed[usize::from(known.changes & 3)], code != known.code);
        known.changes = known.changes << 1 & 3 | u8::from(changed);
        if changed {
            known.code = match known.code {
                None => Some(self.first.signed(coder, code.unwrap_or(0))),
                Some(last) => self.next(coder, last, known, code),
            };
        }
        known.code
    }

    fn next(&mut self, coder: &mut impl Coder, last: i64, known: &mut Known, code: Option<i64>) -> Option<i64> {
        if coder.bit(&mut self.gone, code.is_none()) {
            known.direction = 0;
            return None;
        }
        let difference = code.unwrap_or(last).wrapping_sub(last);
        let rose = coder.bit(&mut self.rose[usize::from(known.direction.min(2))], difference > 0);
        known.direction = if rose { 2 } else { 1 };
        let magnitude = magnitude(coder, &mut self.lengths, &mut self.second, difference.unsigned_abs()) as i64;
        Some(if rose { last.wrapping_add(magnitude) } else { last.wrapping_sub(magnitude) })
    }
}

/// Numbers of no known origin.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers {
    negative: Bit,
    lengths: Lengths,
    second: [Bit; LENGTHS],
}

impl Numbers {
    /// Writes `value`, or reads it.
    pub fn signed(&mut self, coder: &mut impl Coder, value: i64) -> i64 {
        let negative = coder.bit(&mut self.negative, value < 0);
        let magnitude = magnitude(coder, &mut self.lengths, &mut self.second, value.unsigned_abs()) as i64;
        if negative { magnitude.wrapping_neg() } else { magnitude }
    }
}

/// Bit length, then the bits below the leading one.
fn magnitude(coder: &mut impl Coder, lengths: &mut Lengths, second: &mut Lengths, value: u64) -> u64 {
    let length = 64 - value.leading_zeros();
    let most = LENGTHS as u32 - 1;
    let mut node = 1;
    for position in (0..LENGTHS.ilog2()).rev() {
        let one = coder.bit(&mut lengths[node], length.min(most) >> position & 1 == 1);
        node = node << 1 | usize::from(one);
    }
    let mut length = (node - LENGTHS) as u32;
    if length == most {
        length += coder.raw(6, u64::from(length_beyond(value, most))) as u32;
    }
    let length = length.min(64);
    if length < 2 {
        return u64::from(length);
    }
    let below = length - 1;
    let one = coder.bit(&mut second[(length as usize).min(LENGTHS - 1)], value >> (below - 1) & 1 == 1);
    let rest = coder.raw(below - 1, value & ((1 << (below - 1)) - 1));
    1 << below | u64::from(one) << (below - 1) | rest
}

fn length_beyond(value: u64, most: u32) -> u32 {
    (64 - value.leading_zeros()).saturating_sub(most)
}
