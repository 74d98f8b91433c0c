//! Masks secrets before text leaves the host.
//!
//! Labels, log lines and messages of daemons pass here: secrets are known by the key beside them
//! ([`keys`]) and by their own shape ([`shapes`]). When in doubt a value is masked: a hidden word
//! costs a look at the host, a shown secret costs the secret. Pure; masking twice changes nothing.
//! Container ids, image digests and UUIDs stay readable.

mod keys;
mod last_lines;
mod shapes;

pub use last_lines::last_lines;

use std::borrow::Cow;

/// What stands for a secret.
pub const MASK: &str = "***";

/// One line or message without its secrets.
#[must_use]
pub fn text(text: &str) -> String {
    secretless(text).into_owned()
}

/// As [`text`]; borrowed when there is nothing to hide.
#[must_use]
pub fn secretless(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    // What one pass leaves can read as a new pair only once or twice; the bound is for safety.
    for _ in 0..4 {
        let shaped = shapes::mask_shapes(&text);
        let masked = keys::mask_pairs(&shaped).map_or(shaped, Cow::Owned);
        if masked == text {
            break;
        }
        text = Cow::Owned(masked.into_owned());
    }
    text
}

/// A label's value: masked whole when its key says that it is a secret.
#[must_use]
pub fn label(key: &str, value: &str) -> String {
    if keys::hides(key, value) { MASK.to_owned() } else { text(value) }
}

/// Lines of a log, oldest first: as [`text`], and private keys in PEM over several lines.
#[must_use]
pub fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let (mut flow, mut masked) = (Flow::default(), Vec::new());
    for line in lines {
        if ends_key(line) && flow.left == 0 && !begins_key(line) {
            // The lines began in the midst of a key.
            masked.iter_mut().for_each(|line: &mut String| MASK.clone_into(line));
        }
        masked.push(flow.line(line));
    }
    masked
}

/// Lines of one private key: of 16,384 bits it has 200. Longer, and it is no key: what follows is shown again.
const KEY_LINES: u16 = 512;

/// Lines that are masked as they come: as [`lines`], but what was given out before a key's end stays as it was.
#[derive(Debug, Default)]
pub struct Flow {
    /// Lines of a private key that has begun, until its end.
    left: u16,
}

impl Flow {
    #[must_use]
    pub fn line(&mut self, line: &str) -> String {
        if self.hides(line) { MASK.to_owned() } else { text(line) }
    }

    /// Whether the next line is part of a private key.
    pub fn hides(&mut self, line: &str) -> bool {
        if begins_key(line) {
            self.left = KEY_LINES;
        }
        let ends = ends_key(line);
        let hides = self.left > 0 || ends;
        self.left = if ends { 0 } else { self.left.saturating_sub(1) };
        hides
    }
}

fn begins_key(line: &str) -> bool {
    line.contains("-----BEGIN ") && line.contains("PRIVATE KEY")
}

fn ends_key(line: &str) -> bool {
    line.contains("-----END ") && line.contains("PRIVATE KEY")
}

/// Text of unknown bytes: invalid UTF-8 is replaced, escape sequences of terminals and control
/// characters are dropped, tabs become spaces. Done before masking, so that a colour in the midst
/// of a key hides nothing.
#[must_use]
pub fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(char) = rest.chars().next() {
        match char {
            '\u{1b}' | '\u{9b}' => {
                rest = behind_escape(rest);
                continue;
            }
            '\t' | '\n' => plain.push(' '),
            char if char.is_control() || is_invisible(char) => {}
            char => plain.push(char),
        }
        rest = &rest[char.len_utf8()..];
    }
    plain
}

/// Direction marks, zero-width characters, soft hyphens, breaks of lines and tags make a text read as another, and a key
/// with one in its midst as none.
#[must_use]
pub fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What follows the escape sequence that a text begins with; the text itself if it begins with none. After ESC: `[` opens a
/// control sequence, `]`, `P`, `X`, `^` and `_` a string, else it is one character.
#[must_use]
pub fn behind_escape(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('\u{9b}') {
        return behind_control_sequence(rest);
    }
    let Some(rest) = text.strip_prefix('\u{1b}') else { return text };
    let Some(first @ '\u{20}'..'\u{7f}') = rest.chars().next() else { return rest };
    let rest = &rest[1..];
    match first {
        '[' => behind_control_sequence(rest),
        ']' | 'P' | 'X' | '^' | '_' => match rest.find(['\u{1b}', '\u{7}', '\u{9c}']) {
            Some(end) if rest[end..].starts_with('\u{1b}') => &rest[end..],
            Some(end) => rest[end..].trim_start_matches(['\u{7}', '\u{9c}']),
            None => "",
        },
        _ => rest,
    }
}

/// Parameters up to the final byte, `@` to `~`.
fn behind_control_sequence(text: &str) -> &str {
    let rest = text.trim_start_matches(|char| ('\u{20}'..='\u{3f}').contains(&char));
    rest.strip_prefix(|char| ('\u{40}'..='\u{7e}').contains(&char)).unwrap_or(rest)
}

/// At most `limit` characters; a cut is marked with `…`.
#[must_use]
pub fn cut(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text,
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
