//! From what a source gives to a line that may leave the host: harmless, judged, filtered, masked, cut.

use super::{level, text};
use crate::mask;
use fleetlight_protocol::limits::LOG_LINE_CHARS;
use fleetlight_protocol::logs::{LogLevel, LogLine, LogsRequest};

/// A line as its source has it.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    pub at_ms: Option<i64>,
    /// The journal's.
    pub priority: Option<u8>,
    /// Without its line end.
    pub bytes: &'a [u8],
    /// There was more of it.
    pub is_cut: bool,
}

/// Makes the lines of one source.
#[derive(Debug)]
pub struct Dresser {
    source: u16,
    since_ms: Option<i64>,
    level: Option<LogLevel>,
    contains: Option<Needle>,
    flow: mask::Flow,
}

impl Dresser {
    #[must_use]
    pub fn new(source: u16, wish: &LogsRequest) -> Self {
        let contains = wish.contains.as_deref().filter(|text| !text.is_empty()).map(Needle::new);
        Self { source, since_ms: wish.since_ms, level: wish.level, contains, flow: mask::Flow::default() }
    }

    /// None if the reader does not want it.
    pub fn dress(&mut self, raw: Raw<'_>) -> Option<LogLine> {
        if raw.at_ms.zip(self.since_ms).is_some_and(|(at, since)| at < since) {
            return None;
        }
        let text = text::harmless(raw.bytes);
        let in_key = self.flow.hides(&text.plain);
        let level = match raw.priority {
            Some(priority) => Some(level::of_priority(priority, &text.plain)),
            None => level::of(&text.plain),
        };
        if level.zip(self.level).is_some_and(|(level, wanted)| level > wanted) {
            return None;
        }
        // A search in what is hidden would tell it: what matches must be shown as well.
        let wanted = |plain: &str| self.contains.as_ref().is_none_or(|needle| needle.is_in(plain));
        if !self.contains.as_ref().is_none_or(|needle| needle.has_mask || needle.is_in(&text.plain)) {
            return None;
        }
        let masked = if in_key { mask::MASK.into() } else { mask::secretless(&text.plain) };
        if !wanted(&masked) {
            return None;
        }
        // With a secret gone the places of colours are not known any more.
        let shown = match text.coloured {
            Some(coloured) if masked == text.plain && coloured.chars().nth(LOG_LINE_CHARS).is_none() => coloured,
            _ => masked.into_owned(),
        };
        let text = if raw.is_cut { mask::cut(shown + "…", LOG_LINE_CHARS) } else { mask::cut(shown, LOG_LINE_CHARS) };
        Some(LogLine { source: self.source, at_ms: raw.at_ms, level, text })
    }
}

/// A text that is looked for without regard to case.
#[derive(Debug)]
struct Needle {
    lower: String,
    is_ascii: bool,
    /// It may lie where the mask is, and not in the text itself.
    has_mask: bool,
}

impl Needle {
    fn new(text: &str) -> Self {
        Self { lower: text.to_lowercase(), is_ascii: text.is_ascii(), has_mask: text.contains('*') }
    }

    /// Takes time by the length of the text alone, whatever both are.
    fn is_in(&self, text: &str) -> bool {
        let lower = if self.is_ascii { text.to_ascii_lowercase() } else { text.to_lowercase() };
        lower.contains(&self.lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::logs::LogLevel::{Error, Warn};

    fn wish() -> LogsRequest {
        LogsRequest { sources: Vec::new(), lines: 0, since_ms: None, level: None, contains: None, follow: false }
    }

    fn dressed(wish: &LogsRequest, text: &str) -> Option<String> {
        let raw = Raw { at_ms: Some(5), priority: None, bytes: text.as_bytes(), is_cut: false };
        Dresser::new(0, wish).dress(raw).map(|line| line.text)
    }

    #[test]
    fn lines_are_filtered_by_level_text_and_time() {
        let level = LogsRequest { level: Some(Warn), ..wish() };
        assert!(dressed(&level, "ERROR x").is_some() && dressed(&level, "says nothing").is_some());
        assert_eq!(dressed(&level, "INFO x"), None);
        let contains = LogsRequest { contains: Some("Über GPU".into()), ..wish() };
        assert!(dressed(&contains, "alles über gpu 0").is_some());
        assert_eq!(dressed(&contains, "alles"), None);
        let contains = LogsRequest { contains: Some("cuda".into()), ..wish() };
        assert!(dressed(&contains, "\u{1b}[31mCU\u{1b}[0mDA out of memory").is_some(), "colours hide nothing");
        assert!(dressed(&LogsRequest { since_ms: Some(6), ..wish() }, "x").is_none());
        assert!(dressed(&LogsRequest { since_ms: Some(5), ..wish() }, "x").is_some());
    }

    #[test]
    fn secrets_are_masked_and_cannot_be_searched_for() {
        assert_eq!(dressed(&wish(), "password=hunter2").unwrap(), "password=***");
        let split = "\u{1b}[31mtoken\u{1b}[0m: abc123secret";
        assert_eq!(dressed(&wish(), split).unwrap(), "token: ***");
        for guess in ["hunter2", "HUNTER", "unt"] {
            let contains = LogsRequest { contains: Some(guess.into()), ..wish() };
            assert_eq!(dressed(&contains, "password=hunter2"), None, "{guess}");
        }
        let contains = LogsRequest { contains: Some("=***".into()), ..wish() };
        assert!(dressed(&contains, "password=hunter2").is_some());
    }

    #[test]
    fn a_private_key_over_several_lines_is_hidden_whatever_is_filtered() {
        let mut dresser = Dresser::new(0, &LogsRequest { contains: Some("a".into()), ..wish() });
        let key = ["-----BEGIN RSA PRIVATE KEY-----", "MIIabc", "-----END RSA PRIVATE KEY-----", "a word"];
        let lines: Vec<_> = key
            .iter()
            .filter_map(|line| {
                dresser.dress(Raw { at_ms: None, priority: None, bytes: line.as_bytes(), is_cut: false })
            })
            .map(|line| line.text)
            .collect();
        assert_eq!(lines, ["a word"]);
    }

    #[test]
    fn long_lines_are_cut_between_characters_and_marked() {
        let long = "ä".repeat(LOG_LINE_CHARS + 1);
        let text = dressed(&wish(), &long).unwrap();
        assert_eq!((text.chars().count(), text.ends_with('…')), (LOG_LINE_CHARS, true));
        let raw = Raw { at_ms: None, priority: Some(3), bytes: b"begins", is_cut: true };
        let line = Dresser::new(7, &wish()).dress(raw).unwrap();
        assert_eq!((line.source, line.level, &*line.text), (7, Some(Error), "begins…"));
    }

    #[test]
    fn colours_reach_the_page() {
        assert_eq!(dressed(&wish(), "\u{1b}[32mok\u{1b}[0m").unwrap(), "\u{1b}[32mok\u{1b}[0m");
    }
}
