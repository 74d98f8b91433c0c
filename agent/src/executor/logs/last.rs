//! Where the last lines of a file begin. Reads backwards, and no further than it must.

use crate::limits::{LOG_FILE_PAST_BYTES, LOG_READ_BYTES};
use std::io::{Read, Result, Seek, SeekFrom};

/// Place of the first of the last `lines` lines before `end`; what has no line end yet counts as one. In a file whose lines
/// are so long that they reach beyond [`LOG_FILE_PAST_BYTES`], the first whole one within.
///
/// # Errors
/// As reading says.
pub fn last_lines(file: &mut (impl Read + Seek), end: u64, lines: u32) -> Result<u64> {
    if lines == 0 {
        return Ok(end);
    }
    let floor = end.saturating_sub(LOG_FILE_PAST_BYTES);
    let (mut at, mut left, mut newest_break) = (end, u64::from(lines), None);
    let mut buffer = vec![0; LOG_READ_BYTES];
    while at > floor {
        let from = at.saturating_sub(LOG_READ_BYTES as u64).max(floor);
        let piece = &mut buffer[..(at - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(piece)?;
        for (offset, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = from + offset as u64 + 1;
            // The line end of the last line begins none.
            if behind == end {
                continue;
            }
            left -= 1;
            newest_break = Some(behind);
            if left == 0 {
                return Ok(behind);
            }
        }
        at = from;
    }
    Ok(if floor == 0 { 0 } else { newest_break.unwrap_or(end) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    proptest! {
        #[test]
        fn as_many_lines_as_asked_for_are_behind_it(text in "[ab\n]{0,40}", lines in 0_u32..8) {
            let all: Vec<_> = text.split_inclusive('\n').collect();
            let expected = all[all.len().saturating_sub(lines as usize)..].concat();
            let at = last_lines(&mut Cursor::new(text.as_bytes()), text.len() as u64, lines).unwrap();
            prop_assert_eq!(&text[at as usize..], expected);
        }
    }

    #[test]
    fn lines_over_several_reads_are_found() {
        let text = format!("{}\n{}\nlast\n", "a".repeat(LOG_READ_BYTES), "b".repeat(3 * LOG_READ_BYTES));
        let at = last_lines(&mut Cursor::new(text.as_bytes()), text.len() as u64, 2).unwrap();
        assert_eq!(at as usize, LOG_READ_BYTES + 1);
    }

    /// A huge file of one byte over and over, which counts what is read of it.
    struct Huge {
        byte: u8,
        read: u64,
    }

    impl Read for Huge {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            buffer.fill(self.byte);
            self.read += buffer.len() as u64;
            Ok(buffer.len())
        }
    }

    impl Seek for Huge {
        fn seek(&mut self, to: SeekFrom) -> Result<u64> {
            let SeekFrom::Start(at) = to else { panic!("not asked for") };
            Ok(at)
        }
    }

    #[test]
    fn a_huge_file_is_not_read_as_a_whole() {
        let end = 1 << 40;
        let mut without_lines = Huge { byte: b'x', read: 0 };
        assert_eq!(last_lines(&mut without_lines, end, 10).unwrap(), end);
        assert_eq!(without_lines.read, LOG_FILE_PAST_BYTES);
        let mut all_lines = Huge { byte: b'\n', read: 0 };
        assert_eq!(last_lines(&mut all_lines, end, 10).unwrap(), end - 10);
        assert_eq!(all_lines.read, LOG_READ_BYTES as u64);
    }
}
