//! A command's output within its bounds: whole lines, plain and masked; of many the first and the last.

use crate::limits::COMMAND_LINE_BYTES;
use crate::mask;
use fleetlight_protocol::command::{Output, OutputStream};
use fleetlight_protocol::limits::{OUTPUT_CHUNK_BYTES, OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES};

/// Stands where a line or a stretch of lines was cut.
const CUT: char = '…';

/// Both streams, and what is kept of them. Blank lines are left out.
#[derive(Debug, Default)]
pub(super) struct Lines {
    stdout: Open,
    stderr: Open,
    kept: Kept,
}

/// The line that a stream is in. Secrets are known by what stands around them, so nothing leaves before its line ends.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    /// Bytes of this line that were not kept.
    cut: u64,
    flow: mask::Flow,
}

#[derive(Debug, Default)]
struct Kept {
    head: String,
    /// Up to twice its bound, so that it is cut seldom.
    tail: String,
    dropped: u64,
}

impl Lines {
    /// Takes bytes as they were read; gives what may be shown by now, in pieces of at most [`OUTPUT_CHUNK_BYTES`].
    pub fn take(&mut self, stream: OutputStream, bytes: &[u8]) -> Vec<String> {
        let open = self.open(stream);
        let (mut pieces, mut cut) = (Vec::new(), 0);
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let ends = matches!(part.last(), Some(b'\n' | b'\r'));
            open.add(&part[..part.len() - usize::from(ends)]);
            if ends {
                cut += open.cut;
                open.close(&mut pieces);
            }
        }
        self.keep(&pieces, cut);
        pieces
    }

    /// Nothing more comes: lines without an end are whole.
    pub fn finish(&mut self) -> Vec<(OutputStream, String)> {
        let mut shown = Vec::new();
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let mut pieces = Vec::new();
            let open = self.open(stream);
            let cut = open.cut;
            open.close(&mut pieces);
            self.keep(&pieces, cut);
            shown.extend(pieces.into_iter().map(|piece| (stream, piece)));
        }
        shown
    }

    fn open(&mut self, stream: OutputStream) -> &mut Open {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    fn keep(&mut self, pieces: &[String], cut: u64) {
        self.kept.dropped += cut;
        for line in pieces.iter().flat_map(|piece| piece.split_inclusive('\n')) {
            self.kept.add(line);
        }
    }

    /// What is kept so far.
    pub fn output(&self) -> Output {
        let mut output =
            Output { head: self.kept.head.clone(), tail: self.kept.tail.clone(), dropped_bytes: self.kept.dropped };
        output.dropped_bytes += shorten(&mut output.tail);
        output
    }

    /// What is kept so far, for who comes later; the streams are not told apart any more.
    pub fn again(&self) -> Vec<String> {
        let Output { mut head, tail, dropped_bytes } = self.output();
        if !tail.is_empty() && dropped_bytes > 0 {
            head.push_str(&format!("{CUT} {dropped_bytes} bytes were not kept {CUT}\n"));
        }
        let mut pieces = Vec::new();
        for line in head.split_inclusive('\n').chain(tail.split_inclusive('\n')) {
            push(&mut pieces, line);
        }
        pieces
    }
}

impl Open {
    fn add(&mut self, bytes: &[u8]) {
        let room = COMMAND_LINE_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut += bytes.len().saturating_sub(room) as u64;
    }

    fn close(&mut self, pieces: &mut Vec<String>) {
        let (bytes, cut) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.cut));
        if bytes.is_empty() {
            return;
        }
        let mut text = mask::plain(&bytes);
        if cut > 0 {
            // It may end within a secret that is no longer known by its shape.
            text.truncate(text.rfind(' ').map_or(0, |space| space + 1));
        }
        let mut line = self.flow.line(&text);
        // Bytes that are no UTF-8 take three each.
        let room = line.floor_char_boundary(OUTPUT_CHUNK_BYTES - CUT.len_utf8() - 1);
        if cut > 0 || room < line.len() {
            line.truncate(room);
            line.push(CUT);
        }
        line.push('\n');
        push(pieces, &line);
    }
}

/// Adds a line to the last piece, or begins another one.
fn push(pieces: &mut Vec<String>, line: &str) {
    match pieces.last_mut() {
        Some(piece) if piece.len() + line.len() <= OUTPUT_CHUNK_BYTES => piece.push_str(line),
        _ => pieces.push(line.to_owned()),
    }
}

impl Kept {
    fn add(&mut self, line: &str) {
        if self.tail.is_empty() && self.head.len() + line.len() <= OUTPUT_HEAD_BYTES {
            return self.head.push_str(line);
        }
        self.tail.push_str(line);
        if self.tail.len() > 2 * OUTPUT_TAIL_BYTES {
            self.dropped += shorten(&mut self.tail);
        }
    }
}

/// Cuts whole lines from the front until it is within its bound; returns how many bytes.
fn shorten(tail: &mut String) -> u64 {
    let beyond = tail.len().saturating_sub(OUTPUT_TAIL_BYTES);
    if beyond == 0 {
        return 0;
    }
    let from = tail.ceil_char_boundary(beyond);
    let end = tail[from..].find('\n').map_or(tail.len(), |end| from + end + 1);
    tail.drain(..end);
    end as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(chunks: &[&[u8]]) -> String {
        let mut lines = Lines::default();
        let mut pieces: Vec<String> = chunks.iter().flat_map(|chunk| lines.take(OutputStream::Stdout, chunk)).collect();
        pieces.extend(lines.finish().into_iter().map(|(_, piece)| piece));
        pieces.concat()
    }

    #[test]
    fn a_secret_is_masked_wherever_the_chunks_end() {
        let text = b"begin\npassword=hunter2 \x1b[31mred\x1b[0m\r\n-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nend";
        for at in 0..=text.len() {
            let shown = shown(&[&text[..at], &text[at..]]);
            assert_eq!(shown, "begin\npassword=*** red\n***\n***\n***\nend\n", "cut at {at}");
        }
    }

    #[test]
    fn a_long_line_is_cut_marked_and_counted() {
        let mut lines = Lines::default();
        let long = [b"word ".as_slice(), &vec![b'x'; 3 * COMMAND_LINE_BYTES], b"\nnext\n"].concat();
        assert_eq!(lines.take(OutputStream::Stderr, &long).concat(), "word …\nnext\n");
        assert_eq!(lines.output().dropped_bytes, (2 * COMMAND_LINE_BYTES + 5) as u64);
    }

    #[test]
    fn of_much_output_the_beginning_and_the_end_are_kept() {
        let mut lines = Lines::default();
        for number in 0..100_000 {
            lines.take(OutputStream::Stdout, format!("line {number}\n").as_bytes());
        }
        let Output { head, tail, dropped_bytes } = lines.output();
        assert!(head.starts_with("line 0\n") && tail.ends_with("line 99999\n"));
        assert!(head.len() <= OUTPUT_HEAD_BYTES && tail.len() <= OUTPUT_TAIL_BYTES);
        assert!(head.ends_with('\n') && tail.starts_with("line "), "whole lines");
        let all: usize = (0..100_000).map(|number| format!("line {number}\n").len()).sum();
        assert_eq!(head.len() + tail.len() + dropped_bytes as usize, all);
        let again = lines.again();
        assert!(again.concat().contains("bytes were not kept"));
        assert!(again.iter().all(|piece| piece.len() <= OUTPUT_CHUNK_BYTES));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn bounds_hold_for_any_bytes(
            chunks in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..40), 1..900_usize), 0..8),
        ) {
            let mut lines = Lines::default();
            for (bytes, times) in &chunks {
                for piece in lines.take(OutputStream::Stdout, &bytes.repeat(*times)) {
                    prop_assert!(piece.len() <= OUTPUT_CHUNK_BYTES && piece.ends_with('\n'));
                }
            }
            lines.finish();
            let output = lines.output();
            prop_assert!(output.head.len() <= OUTPUT_HEAD_BYTES && output.tail.len() <= OUTPUT_TAIL_BYTES);
        }
    }
}
