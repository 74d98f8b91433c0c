//! Bytes of a line as text that can do nothing: colours stay, every other control goes.
//!
//! Kept are tabs and the sequences that set colour and weight (SGR, `ESC [ … m`), which the page draws. Cursor movements, titles
//! and links (OSC), bells, direction marks and zero-width characters are left out; invalid UTF-8 becomes U+FFFD.
//! Markup is text like any other: the page puts lines into text nodes.

use crate::mask;

/// Characters between `ESC [` and `m`; a longer one is no colour.
const COLOUR_CHARS: usize = 48;

/// A harmless line.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// Without colours: what is searched, judged and masked.
    pub plain: String,
    /// With colours, if it has any.
    pub coloured: Option<String>,
}

#[must_use]
pub fn harmless(bytes: &[u8]) -> Text {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    let text = String::from_utf8_lossy(bytes);
    if bytes.iter().all(is_plain) {
        return Text { plain: text.into_owned(), coloured: None };
    }
    let mut plain = String::with_capacity(text.len());
    let mut coloured: Option<String> = None;
    let mut rest = &*text;
    while let Some(char) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            coloured.get_or_insert_with(|| plain.clone()).push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let shown = match char {
            '\u{1b}' | '\u{9b}' => {
                rest = mask::behind_escape(rest);
                continue;
            }
            char => char == '\t' || !(char.is_control() || mask::is_invisible(char)),
        };
        if shown {
            plain.push(char);
            coloured.iter_mut().for_each(|text| text.push(char));
        }
        rest = &rest[char.len_utf8()..];
    }
    Text { plain, coloured }
}

/// Bytes of the colour that a text begins with.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?.as_bytes();
    let end = parameters.iter().take(COLOUR_CHARS).position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    (parameters[end] == b'm').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_stay_and_controls_go() {
        let cases: &[(&[u8], &str, Option<&str>)] = &[
            (b"plain\ttext", "plain\ttext", None),
            (b"\x1b[1;31mred\x1b[0m", "red", Some("\u{1b}[1;31mred\u{1b}[0m")),
            (b"a\x1b[38:2::1:2:3mb", "ab", Some("a\u{1b}[38:2::1:2:3mb")),
            (b"\x1b]0;title\x07text", "text", None),
            (b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link", None),
            (b"\x1b[2J\x1b[Hgone\x08\x07\x00", "gone", None),
            (b"\x1b[31", "", None),
            ("a\u{202e}b\u{200b}c\u{2066}d".as_bytes(), "abcd", None),
            ("a\u{61c}b\u{ad}c\u{2028}d\u{e0041}".as_bytes(), "abcd", None),
            (b"bad \xff\xfe bytes", "bad \u{fffd}\u{fffd} bytes", None),
            (b"<script>alert(1)</script>", "<script>alert(1)</script>", None),
            (b"50%\r", "50%", None),
            ("\u{9b}31mred".as_bytes(), "red", None),
        ];
        for (bytes, plain, coloured) in cases {
            let text = harmless(bytes);
            assert_eq!((&*text.plain, text.coloured.as_deref()), (*plain, *coloured), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_colours_is_left_of_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = harmless(&bytes);
            let is_harmless = |text: &str| text.chars().all(|char| char == '\t' || !char.is_control());
            prop_assert!(is_harmless(&text.plain));
            if let Some(coloured) = text.coloured {
                let stripped = coloured.split("\u{1b}[").enumerate().map(|(at, piece)| match at {
                    0 => piece.to_owned(),
                    _ => piece.split_once('m').expect("a whole colour").1.to_owned(),
                });
                prop_assert_eq!(stripped.collect::<String>(), text.plain);
            }
        }
    }
}
