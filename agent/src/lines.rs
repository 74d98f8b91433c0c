//! Bytes as they come into lines; a line in memory is bounded.

use crate::limits::LOG_RAW_LINE_BYTES;

/// The line that has begun.
#[derive(Debug)]
pub struct Splitter {
    begun: Vec<u8>,
    is_cut: bool,
    /// Bytes kept of a line.
    limit: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::of(LOG_RAW_LINE_BYTES)
    }
}

impl Splitter {
    /// Keeps so many bytes of a line.
    #[must_use]
    pub fn of(limit: usize) -> Self {
        Self { begun: Vec::new(), is_cut: false, limit }
    }

    /// Takes bytes; gives each line that they end, without its line end, and whether it was longer.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8], bool)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let piece = &bytes[..end];
            if self.is_empty() && end <= self.limit {
                take(bare(piece), false);
            } else {
                self.add(piece);
                self.end(&mut take);
            }
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    /// Gives what has begun as a line, if anything has.
    pub fn end(&mut self, mut take: impl FnMut(&[u8], bool)) {
        if !self.is_empty() {
            take(bare(&self.begun), self.is_cut);
        }
        // One long line must not hold its room for good.
        self.begun = Vec::new();
        self.is_cut = false;
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty() && !self.is_cut
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.limit - self.begun.len();
        self.is_cut |= bytes.len() > room;
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, |line, cut| lines.push((line.to_vec(), cut)));
        }
        splitter.end(|line, cut| lines.push((line.to_vec(), cut)));
        lines
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_their_bytes_come(text in "[a\n\r]{0,60}", at in 0_usize..60, more in 0_usize..60) {
            let bytes = text.as_bytes();
            let first = at.min(bytes.len());
            let second = (first + more).min(bytes.len());
            prop_assert_eq!(all(&[&bytes[..first], &bytes[first..second], &bytes[second..]]), all(&[bytes]));
        }
    }

    #[test]
    fn long_lines_are_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LOG_RAW_LINE_BYTES + 1];
        let lines = all(&[&long, b"yyy\nnext\r\n", b"\nlast"]);
        let seen: Vec<_> = lines.iter().map(|(line, cut)| (line.len(), *cut)).collect();
        assert_eq!(seen, [(LOG_RAW_LINE_BYTES, true), (4, false), (0, false), (4, false)]);
        assert_eq!(all(&[&long, b"\n"]).len(), 1, "a line in one piece, longer than the bound");
    }
}
