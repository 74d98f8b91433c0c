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
    let mut text = Cow::Borrowed(text);
    // What one pass leaves can read as a new pair only once or twice; the bound is for safety.
    for _ in 0..4 {
        let masked = keys::mask_pairs(&shapes::mask_shapes(&text));
        if masked == text {
            break;
        }
        text = Cow::Owned(masked);
    }
    text.into_owned()
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
        if ends_key(line) && !flow.in_key {
            // The lines began in the midst of a key.
            masked.iter_mut().for_each(|line: &mut String| MASK.clone_into(line));
        }
        masked.push(flow.line(line));
    }
    masked
}

/// Lines that are masked as they come: as [`lines`], but what was given out before a key's end stays as it was.
#[derive(Debug, Default)]
pub struct Flow {
    in_key: bool,
}

impl Flow {
    #[must_use]
    pub fn line(&mut self, line: &str) -> String {
        self.in_key |= line.contains("-----BEGIN ") && line.contains("PRIVATE KEY");
        let hidden = self.in_key || ends_key(line);
        self.in_key &= !ends_key(line);
        if hidden { MASK.to_owned() } else { text(line) }
    }
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
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\t' | '\n' => plain.push(' '),
            // Direction marks and zero-width characters make a text read as another.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {}
            char if char.is_control() => {}
            char => plain.push(char),
        }
    }
    plain
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After ESC: `[` opens a control sequence, `]`, `P`, `X`, `^` and `_` a string, else one character.
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.next_if(|char| ('\u{20}'..'\u{7f}').contains(char)) {
        Some('[') => skip_control_sequence(chars),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(char) = chars.next_if(|char| *char != '\u{1b}') {
                if char == '\u{7}' || char == '\u{9c}' {
                    return;
                }
            }
        }
        _ => {}
    }
}

/// Parameters up to the final byte, `@` to `~`.
fn skip_control_sequence(chars: &mut Chars<'_>) {
    while chars.next_if(|char| ('\u{20}'..='\u{3f}').contains(char)).is_some() {}
    chars.next_if(|char| ('\u{40}'..='\u{7e}').contains(char));
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
