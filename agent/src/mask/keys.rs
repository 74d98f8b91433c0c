//! Secrets known by the key beside them: `key=value`, `key: value`, JSON, headers, options, XML.

use super::MASK;
use std::borrow::Cow;

/// A key with one of these in it, whatever separates its words, names a secret.
const PARTS: [&str; 27] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "credential",
    "authorization",
    "apikey",
    "accesskey",
    "privatekey",
    "encryptionkey",
    "signingkey",
    "masterkey",
    "accountkey",
    "licensekey",
    "licencekey",
    "authkey",
    "sshkey",
    "sharedkey",
    "servicekey",
    "deploykey",
    "basicauth",
    "digestauth",
    "authtoken",
    "accesstoken",
    "connectionstring",
    "setcookie",
];

/// A key with one of these as a word of its own names a secret.
const WORDS: [&str; 24] = [
    "pass",
    "pwd",
    "psw",
    "token",
    "tokens",
    "auth",
    "oauth",
    "oauth2",
    "dsn",
    "cookie",
    "cookies",
    "session",
    "sessionid",
    "jwt",
    "bearer",
    "private",
    "creds",
    "cred",
    "otp",
    "sig",
    "signature",
    "webhook",
    "netrc",
    "htpasswd",
];

/// With one of these beside it a number is a measurement (`max_tokens=512`), not a secret.
const MEASURES: [&str; 24] = [
    "count", "counts", "per", "len", "length", "size", "limit", "max", "min", "num", "n", "total", "ttl", "age",
    "expiry", "expires", "timeout", "rate", "used", "budget", "second", "seconds", "ms", "tokens",
];

/// Keys whose values may hold spaces: everything to the end of the line goes.
const LONG: [&str; 7] = ["authorization", "cookie", "cookies", "password", "passwd", "passphrase", "secret"];

/// Longest key that is looked at; a longer run of key characters is read by its end.
const KEY_BYTES: usize = 80;

/// Stands for a value that is neither trivial nor a measurement: a key that does not hide it hides none.
const ANY_VALUE: &str = "x";

/// Whether the value of this key must not be shown.
pub fn hides(key: &str, value: &str) -> bool {
    let words = words(key);
    let squashed: String = words.concat();
    let plain_value = value.trim().trim_end_matches([',', ';', ')', '}', ']']);
    if is_trivial(plain_value) {
        return false;
    }
    if PARTS.iter().any(|part| squashed.contains(part)) {
        return true;
    }
    let measured = is_number(plain_value) && words.iter().any(|word| MEASURES.contains(&word.as_str()));
    !measured && words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// `dbPassword`, `db-password` and `DB_PASSWORD` are `db`, `password`.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for char in key.chars() {
        let begins = !char.is_ascii_alphanumeric()
            || (char.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()));
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (char.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(char.to_ascii_lowercase());
        }
        before = char;
    }
    words
}

fn is_trivial(value: &str) -> bool {
    ["", "true", "false", "null", "none", "nil", "undefined", "yes", "no", "on", "off", MASK]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

fn is_number(value: &str) -> bool {
    let digits = value.trim_end_matches(|char: char| char.is_ascii_alphabetic() || matches!(char, '/' | '%' | ','));
    let rest = value.len() - digits.len();
    !digits.is_empty()
        && rest <= 4
        && value.len() <= 14
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Without one of these in it a key hides nothing: each of [`PARTS`] and [`WORDS`] has one. Sorted by their first letter.
const STEMS: [&[u8]; 19] = [
    b"auth",
    b"bearer",
    b"connectionstring",
    b"cookie",
    b"cred",
    b"dsn",
    b"jwt",
    b"key",
    b"netrc",
    b"otp",
    b"pass",
    b"private",
    b"psw",
    b"pwd",
    b"secret",
    b"session",
    b"sig",
    b"token",
    b"webhook",
];

/// Whether some key in this text may name a secret: most lines have none, and need no closer look.
fn may_hide(text: &str) -> bool {
    let squashed: Vec<u8> =
        text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect();
    (0..squashed.len()).any(|at| {
        let rest = &squashed[at..];
        matches!(rest[0], b'a'..=b'd' | b'j' | b'k' | b'n'..=b'p' | b's' | b't' | b'w')
            && STEMS.iter().any(|stem| rest.starts_with(stem))
    })
}

/// Masks the values of all pairs whose key names a secret; none if there is nothing to mask.
pub fn mask_pairs(text: &str) -> Option<String> {
    if !may_hide(text) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut masked = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let pair = match bytes[at] {
            b'=' | b':' | b'>' | b' ' => pair_at(text, at, copied),
            _ => None,
        };
        let Some((start, end)) = pair else {
            at += 1;
            continue;
        };
        masked.push_str(&text[copied..start]);
        masked.push_str(MASK);
        (copied, at) = (end, end);
    }
    (copied > 0).then(|| masked + &text[copied..])
}

/// The range of the secret value whose separator stands at `at`. Looks back no further than `from`.
fn pair_at(text: &str, at: usize, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    // Of several spaces the first one has said it; each of them looking back would take the square of their number.
    if bytes[at] == b' ' && at > from && bytes[at - 1] == b' ' {
        return None;
    }
    let (key, quoted, key_start) = key_before(text, at, from)?;
    let fits = match bytes[at] {
        b' ' => key.starts_with("--"),
        b'>' => key_start > 0 && bytes[key_start - 1] == b'<',
        _ => true,
    };
    if !fits || !may_hide(key) {
        return None;
    }
    let mut start = at + 1;
    while bytes.get(start).is_some_and(|byte| matches!(byte, b'=' | b'>' | b':')) {
        start += 1;
    }
    let separated = start;
    while bytes.get(start).is_some_and(u8::is_ascii_whitespace) {
        start += 1;
    }
    let spaced = start > separated;
    if bytes[at] == b' ' && bytes.get(start) == Some(&b'-') {
        return None;
    }
    let key = of_two_words(text, key, key_start, from);
    // Before its end is looked for, which may be that of the line, for each of many keys.
    if !hides(&key, ANY_VALUE) {
        return None;
    }
    let (start, end) = value_range(text, start, &key, quoted, spaced, bytes[at]);
    (start < end && hides(&key, &text[start..end])).then_some((start, end))
}

/// The key that ends before the separator: its text, whether it was quoted, where it starts.
fn key_before(text: &str, at: usize, from: usize) -> Option<(&str, bool, usize)> {
    let bytes = text.as_bytes();
    let back = |mut end: usize, fits: &dyn Fn(u8) -> bool| {
        while end > from && fits(bytes[end - 1]) {
            end -= 1;
        }
        end
    };
    let mut end = back(at, &|byte| byte == b' ');
    let unquoted = back(end, &|byte| matches!(byte, b'"' | b'\'' | b'\\' | b']'));
    let quoted = unquoted < end;
    end = unquoted;
    let longest = from.max(end.saturating_sub(KEY_BYTES));
    let mut start = end;
    while start > longest && is_key_byte(bytes[start - 1]) {
        start -= 1;
    }
    (start < end).then(|| (&text[start..end], quoted, start))
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')
}

/// `API key`, `Secret Key`: what kind of key it is says the word before.
fn of_two_words<'a>(text: &str, key: &'a str, start: usize, from: usize) -> Cow<'a, str> {
    if !["key", "keys"].iter().any(|word| key.eq_ignore_ascii_case(word)) {
        return Cow::Borrowed(key);
    }
    match key_before(text, start, from) {
        Some((kind, _, _)) => Cow::Owned(format!("{kind} {key}")),
        None => Cow::Borrowed(key),
    }
}

/// Where the value begins and ends.
fn value_range(text: &str, at: usize, key: &str, key_quoted: bool, spaced: bool, separator: u8) -> (usize, usize) {
    let bytes = text.as_bytes();
    let mut start = at;
    while bytes.get(start) == Some(&b'\\') {
        start += 1;
    }
    let escaped = start > at;
    match bytes.get(start) {
        Some(&quote @ (b'"' | b'\'' | b'`')) => return (start + 1, quoted_end(bytes, start + 1, quote, escaped)),
        Some(b'[') => return (at, find(bytes, at, &|byte| byte == b']').map_or(bytes.len(), |end| end + 1)),
        Some(b'{') => return (at, at),
        _ => {}
    }
    let long = words(key).iter().any(|word| LONG.contains(&word.as_str()));
    let end = if separator == b'>' {
        find(bytes, at, &|byte| byte == b'<')
    } else if key_quoted {
        find(bytes, at, &|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']'))
    } else if long && separator == b':' && spaced {
        find(bytes, at, &|byte| matches!(byte, b'"' | b'\''))
    } else {
        let first = word_end(bytes, at);
        let scheme = ["bearer", "basic", "token", "digest", "negotiate"]
            .iter()
            .any(|scheme| text[at..first].eq_ignore_ascii_case(scheme));
        Some(if scheme && first < bytes.len() { word_end(bytes, first + 1) } else { first })
    };
    (at, end.unwrap_or(bytes.len()))
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, &|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'')).unwrap_or(bytes.len())
}

/// The closing quote; in JSON within JSON it is itself escaped.
fn quoted_end(bytes: &[u8], at: usize, quote: u8, escaped: bool) -> usize {
    let mut end = at;
    while end < bytes.len() && bytes[end] != quote && !(escaped && bytes[end] == b'\\') {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    // An escape at the very end, or before a character of several bytes, must not split one.
    let mut end = end.min(bytes.len());
    while end < bytes.len() && bytes[end] & 0xC0 == 0x80 {
        end += 1;
    }
    end
}

fn find(bytes: &[u8], at: usize, fits: &dyn Fn(u8) -> bool) -> Option<usize> {
    (at..bytes.len()).find(|index| fits(bytes[*index]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_word_of_a_secret_has_a_stem() {
        for word in PARTS.iter().chain(&WORDS) {
            assert!(may_hide(word), "{word}");
        }
    }

    proptest! {
        #[test]
        fn a_key_that_hides_is_looked_at(pieces in proptest::collection::vec((0..PARTS.len() + WORDS.len(), "[-_.A-Za-z]{0,3}"), 0..4)) {
            let words: Vec<_> = PARTS.iter().chain(&WORDS).collect();
            let key: String = pieces.iter().flat_map(|(at, more)| [words[*at], &**more]).collect();
            prop_assert!(!hides(&key, "hunter2") || may_hide(&key));
        }
    }
}
