//! The last lines of a container's log, as they may leave the host.

use crate::limits::LOG_LINE_BYTES;
use fleetlight_protocol::limits::LAST_LINE_CHARS;

/// Plain, masked, bounded; each of `lines` has at most [`LOG_LINE_BYTES`].
#[must_use]
pub fn last_lines(lines: &[Vec<u8>]) -> Vec<String> {
    // A line that was cut may end within a secret that is no longer known by its shape.
    let whole = |line: &Vec<u8>| {
        let text = super::plain(line);
        let end = if line.len() < LOG_LINE_BYTES { text.len() } else { text.rfind(' ').unwrap_or(0) };
        text[..end].to_owned()
    };
    let plain: Vec<String> = lines.iter().map(whole).collect();
    super::lines(plain.iter().map(String::as_str)).into_iter().map(|line| super::cut(line, LAST_LINE_CHARS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_plain_masked_and_bounded() {
        let mut long = b"x ".repeat(LOG_LINE_BYTES / 2 - 4);
        long.extend(b"sk-abcdef");
        long.truncate(LOG_LINE_BYTES);
        let lines = vec![b"\x1b[31mtoken=\x1b[0mabc123 \xff<b>".to_vec(), long, b"z".repeat(LOG_LINE_BYTES)];
        let shown = last_lines(&lines);
        assert_eq!(shown[0], "token=*** \u{fffd}<b>");
        assert_eq!(shown[1].chars().count(), LAST_LINE_CHARS);
        assert!(shown[1].ends_with('…'));
        assert_eq!(shown[2], "", "one cut word of 4 KiB is more likely a blob than a message");
    }
}
