//! A binary range coder with adaptive probabilities.
//!
//! After the carry-less arithmetic coder of the lpaq compressors (32-bit range, top byte shifted
//! out once both ends share it). A flag that is nearly always the same costs a few hundredths of a
//! bit, where a byte code would pay for it in full at every row.
//!
//! [`Coder`] is the same for both directions, so that a model is written once: the encoder writes
//! what it is given, the decoder ignores that and returns what it read.

/// Chance of a one, 16 bits; learns fast at first, then slowly.
#[derive(Debug, Clone, Copy)]
pub struct Bit {
    chance: u16,
    seen: u8,
}

impl Default for Bit {
    fn default() -> Self {
        Self { chance: 1 << 15, seen: 0 }
    }
}

/// After so many flags each further one moves the chance by a thirtieth of the error.
const STEADY: u8 = 28;
/// Neither value is ever taken for certain: each keeps a 256th.
const MARGIN: i32 = 256;

impl Bit {
    fn learn(&mut self, one: bool) {
        let target = if one { 65_535 - MARGIN } else { MARGIN };
        let chance = i32::from(self.chance);
        self.chance = (chance + (target - chance) / (i32::from(self.seen) + 2)) as u16;
        self.seen = (self.seen + 1).min(STEADY);
    }
}

/// Writes or reads flags and numbers.
pub trait Coder {
    /// One flag by its learned chance.
    fn bit(&mut self, chance: &mut Bit, one: bool) -> bool;

    /// The lowest `count` bits of `value`, each as likely as not.
    fn raw(&mut self, count: u32, value: u64) -> u64 {
        let mut read = 0;
        for position in (0..count).rev() {
            let one = self.bit(&mut Bit::default(), value >> position & 1 == 1);
            read = read << 1 | u64::from(one);
        }
        read
    }
}

/// The range that is left, both ends included.
#[derive(Debug)]
struct Range {
    low: u32,
    high: u32,
}

impl Range {
    const WHOLE: Self = Self { low: 0, high: u32::MAX };

    /// The last number that stands for a one.
    fn middle(&self, chance: Bit) -> u32 {
        self.low + ((u64::from(self.high - self.low) * u64::from(chance.chance)) >> 16) as u32
    }

    fn take(&mut self, middle: u32, one: bool) {
        if one {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
    }

    /// The top byte, once both ends share it.
    fn shift(&mut self) -> Option<u8> {
        if (self.low ^ self.high) >> 24 != 0 {
            return None;
        }
        let byte = (self.high >> 24) as u8;
        self.low <<= 8;
        self.high = self.high << 8 | 0xff;
        Some(byte)
    }
}

/// Writes bytes.
#[derive(Debug)]
pub struct Writer {
    range: Range,
    bytes: Vec<u8>,
}

impl Writer {
    #[must_use]
    pub fn new() -> Self {
        Self { range: Range::WHOLE, bytes: Vec::with_capacity(256) }
    }

    /// Ends with at most one more byte: a reader takes zeros for what does not follow.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        if self.range.low > 0 {
            self.bytes.push((self.range.low >> 24) as u8 + 1);
        }
        self.bytes
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Coder for Writer {
    fn bit(&mut self, chance: &mut Bit, one: bool) -> bool {
        let middle = self.range.middle(*chance);
        self.range.take(middle, one);
        chance.learn(one);
        while let Some(byte) = self.range.shift() {
            self.bytes.push(byte);
        }
        one
    }
}

/// Reads what a [`Writer`] wrote; any other bytes read as something, and never as more than asked.
#[derive(Debug)]
pub struct Reader<'a> {
    range: Range,
    window: u32,
    bytes: &'a [u8],
    taken: usize,
}

/// Bytes of the window.
const WINDOW: usize = 4;

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut reader = Self { range: Range::WHOLE, window: 0, bytes, taken: 0 };
        for _ in 0..WINDOW {
            reader.pull();
        }
        reader
    }

    fn pull(&mut self) {
        let byte = self.bytes.get(self.taken).copied().unwrap_or(0);
        self.window = self.window << 8 | u32::from(byte);
        self.taken += 1;
    }

    /// Bytes that a writer of the same flags would not have written (more than zero), or would have
    /// written further (less than zero); zero for a writer's own bytes.
    #[must_use]
    pub fn surplus(&self) -> isize {
        let shifted = (self.taken - WINDOW) as isize;
        let last = isize::from(self.range.low > 0);
        self.bytes.len() as isize - shifted - last
    }
}

impl Coder for Reader<'_> {
    fn bit(&mut self, chance: &mut Bit, _: bool) -> bool {
        let middle = self.range.middle(*chance);
        let one = self.window <= middle;
        self.range.take(middle, one);
        chance.learn(one);
        while self.range.shift().is_some() {
            self.pull();
        }
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn flags_come_back(flags in proptest::collection::vec((0..4_usize, any::<bool>()), 0..2_000)) {
            let mut writer = Writer::new();
            let mut chances = [Bit::default(); 4];
            for (context, one) in &flags {
                writer.bit(&mut chances[*context], *one);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            let mut chances = [Bit::default(); 4];
            for (context, one) in &flags {
                prop_assert_eq!(reader.bit(&mut chances[*context], false), *one);
            }
            prop_assert_eq!(reader.surplus(), 0);
        }

        #[test]
        fn numbers_come_back(numbers in proptest::collection::vec((1..=64_u32, any::<u64>()), 0..100)) {
            let mut writer = Writer::new();
            for (count, number) in &numbers {
                writer.raw(*count, *number);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            for (count, number) in &numbers {
                prop_assert_eq!(reader.raw(*count, 0), number & (u64::MAX >> (64 - count)));
            }
        }
    }

    #[test]
    fn a_steady_flag_costs_next_to_nothing() {
        let mut writer = Writer::new();
        let mut chance = Bit::default();
        for _ in 0..10_000 {
            writer.bit(&mut chance, false);
        }
        let bytes = writer.finish().len();
        assert!(bytes < 80, "{bytes} bytes for 10,000 flags");
    }
}
