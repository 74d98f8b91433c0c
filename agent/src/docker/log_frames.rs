//! Lines and their times in the bytes of a container's log. Pure; a line in memory is bounded.
//!
//! Without a terminal each message is a frame: which output it comes from (0–2), three zero bytes, a length, then its
//! time and its text. A long line is several messages, of which the last has a line end. With a terminal there are no frames,
//! and each line begins with its time: a digit, by which the two are told apart.

use crate::lines::Splitter;

/// Is given each line: nanoseconds since the Unix epoch, its text, whether it was longer.
pub type LineTaker<'a> = &'a mut dyn FnMut(Option<i64>, &[u8], bool);

/// Longest time stamp, `2026-11-21T10:54:05.214673408+01:00 `; what is longer is none.
const STAMP_BYTES: usize = 40;

/// Reads a log from its beginning.
#[derive(Debug, Default)]
pub struct LogFrames {
    kind: Kind,
    /// Of a frame: its head as far as it has come, the output, the bytes that are left of it.
    head: Vec<u8>,
    output: usize,
    left: usize,
    outputs: [Output; 3],
    newest_ns: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    Unknown,
    Framed,
    Terminal,
}

/// The line of one output that has begun.
#[derive(Debug, Default)]
struct Output {
    /// While a time is read: what has come of it.
    stamp: Option<Vec<u8>>,
    at_ns: Option<i64>,
    text: Splitter,
}

impl LogFrames {
    /// Takes bytes as they came and gives the lines that they end.
    pub fn push(&mut self, mut bytes: &[u8], take: LineTaker<'_>) {
        if self.kind == Kind::Unknown {
            let Some(first) = bytes.first() else { return };
            self.kind = if *first <= 2 { Kind::Framed } else { Kind::Terminal };
            self.outputs[1].stamp = (self.kind == Kind::Terminal).then(Vec::new);
        }
        while !bytes.is_empty() {
            if self.kind == Kind::Terminal {
                bytes = self.outputs[1].piece(bytes, true, &mut self.newest_ns, take);
                continue;
            }
            if self.left == 0 {
                bytes = self.open_frame(bytes);
                continue;
            }
            let (mut piece, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= piece.len();
            while !piece.is_empty() {
                piece = self.outputs[self.output].piece(piece, false, &mut self.newest_ns, take);
            }
            bytes = rest;
        }
    }

    /// Gives what has begun and will have no end.
    pub fn end(&mut self, take: LineTaker<'_>) {
        self.outputs.iter_mut().for_each(|output| output.end(take));
    }

    /// Nanoseconds since the Unix epoch: the newest time that has come.
    #[must_use]
    pub fn newest_ns(&self) -> Option<i64> {
        self.newest_ns
    }

    fn open_frame<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (head, rest) = bytes.split_at(bytes.len().min(8 - self.head.len()));
        self.head.extend_from_slice(head);
        if let [output, _, _, _, a, b, c, d] = self.head[..] {
            self.output = usize::from(output).min(2);
            self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            self.outputs[self.output].stamp = Some(Vec::new());
            self.head.clear();
        }
        rest
    }
}

impl Output {
    /// Takes what belongs together; gives the rest. `stamped`: each line begins with its time, not only each frame.
    fn piece<'a>(&mut self, bytes: &'a [u8], stamped: bool, newest: &mut Option<i64>, take: LineTaker<'_>) -> &'a [u8] {
        if self.stamp.is_some() {
            return self.stamp(bytes, newest, take);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        let at_ns = self.at_ns;
        self.text.push(&bytes[..end], |text, is_cut| take(at_ns, text, is_cut));
        self.stamp = (stamped && self.text.is_empty()).then(Vec::new);
        &bytes[end..]
    }

    /// Reads on in a time; text that has none is kept.
    fn stamp<'a>(&mut self, bytes: &'a [u8], newest: &mut Option<i64>, take: LineTaker<'_>) -> &'a [u8] {
        let mut stamp = self.stamp.take().unwrap_or_default();
        let head = &bytes[..bytes.len().min(STAMP_BYTES)];
        let end = head.iter().position(|byte| matches!(byte, b' ' | b'\n'));
        let used = end.unwrap_or(head.len());
        stamp.extend_from_slice(&head[..used]);
        if end.is_none() && stamp.len() < STAMP_BYTES {
            self.stamp = Some(stamp);
            return &[];
        }
        let at_ns = nanoseconds(&stamp);
        *newest = (*newest).max(at_ns);
        if self.text.is_empty() {
            self.at_ns = at_ns;
        }
        if at_ns.is_none() {
            self.text.push(&stamp, |text, is_cut| take(None, text, is_cut));
            return &bytes[used..];
        }
        &bytes[used + usize::from(end.is_some_and(|end| bytes[end] == b' '))..]
    }

    fn end(&mut self, take: LineTaker<'_>) {
        let at_ns = self.at_ns;
        self.text.end(|text, is_cut| take(at_ns, text, is_cut));
    }
}

fn nanoseconds(stamp: &[u8]) -> Option<i64> {
    let stamp: jiff::Timestamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
    i64::try_from(stamp.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: &str = "2026-11-21T10:54:05.00000000";

    fn frame(output: u8, text: &str) -> Vec<u8> {
        let mut frame = vec![output, 0, 0, 0];
        frame.extend((text.len() as u32).to_be_bytes());
        frame.extend(text.as_bytes());
        frame
    }

    /// Time's last digit, text, whether it was cut.
    fn lines(chunks: &[&[u8]]) -> Vec<(Option<i64>, String, bool)> {
        let (mut frames, mut lines) = (LogFrames::default(), Vec::new());
        let mut take = |at_ns: Option<i64>, text: &[u8], is_cut| {
            lines.push((at_ns.map(|at| at % 10), String::from_utf8_lossy(text).into_owned(), is_cut));
        };
        for chunk in chunks {
            frames.push(chunk, &mut take);
        }
        frames.end(&mut take);
        lines
    }

    fn framed() -> Vec<u8> {
        [
            frame(1, &format!("{STAMP}1Z one\n")),
            frame(2, &format!("{STAMP}2Z begins, ")),
            frame(1, &format!("{STAMP}3Z \n")),
            frame(2, &format!("{STAMP}2Z goes on\r\n")),
            frame(1, &format!("{STAMP}5+00:00 has no end")),
        ]
        .concat()
    }

    #[test]
    fn frames_become_lines_of_their_outputs() {
        let expected = [(1, "one"), (3, ""), (2, "begins, goes on"), (5, "has no end")];
        assert_eq!(lines(&[&framed()]), expected.map(|(at, text)| (Some(at), text.to_owned(), false)));
    }

    #[test]
    fn a_terminals_lines_have_no_frames() {
        let text = format!("{STAMP}1Z one\r\n{STAMP}2Z \r\nno time here\n{STAMP}4Z last");
        let expected = [(Some(1), "one"), (Some(2), ""), (None, "no time here"), (Some(4), "last")];
        assert_eq!(lines(&[text.as_bytes()]), expected.map(|(at, text)| (at, text.to_owned(), false)));
    }

    #[test]
    fn a_terminal_that_never_ends_its_line_costs_no_more_than_a_line() {
        let mut frames = LogFrames::default();
        frames.push(format!("{STAMP}1Z ").as_bytes(), &mut |_, _, _| {});
        for _ in 0..100 {
            frames.push(&[b'x'; 10_000], &mut |_, _, _| panic!("no line has ended"));
        }
        let mut cut = false;
        frames.end(&mut |_, text, is_cut| cut = is_cut && text.len() == crate::limits::LOG_RAW_LINE_BYTES);
        assert!(cut);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_their_bytes_come(size in 1_usize..60) {
            let bytes = framed();
            let chunks: Vec<_> = bytes.chunks(size).collect();
            prop_assert_eq!(lines(&chunks), lines(&[&bytes]));
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = lines(&[&bytes]);
        }
    }
}
