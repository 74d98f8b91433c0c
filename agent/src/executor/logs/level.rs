//! How urgent a line says it is. Pure; one pass over its beginning.
//!
//! Known are: words in capitals (`ERROR`, `WARN`), fields (`level=error`, `"level":"error"`, pino's numbers), nginx's
//! brackets (`[error]`), glog's letters (`E1121 10:54:05`), a word with a colon at the beginning (`warning: …`), Postgres's
//! `LOG:`. The first one found counts; a line of JSON is read by its fields only.

use fleetlight_protocol::logs::LogLevel::{self, Debug, Error, Info, Warn};

/// What stands further behind is message, not level.
const HEAD_BYTES: usize = 256;

/// Level of a line of plain text; none if it states none.
#[must_use]
pub fn of(text: &str) -> Option<LogLevel> {
    let head = &text.as_bytes()[..text.len().min(HEAD_BYTES)];
    glog(head).or_else(|| scan(head))
}

/// Of the journal's `PRIORITY`. What a unit just prints has 6: there the line itself may say more.
#[must_use]
pub fn of_priority(priority: u8, text: &str) -> LogLevel {
    match priority {
        0..=3 => Error,
        4 => Warn,
        6 => of(text).unwrap_or(Info),
        5 => Info,
        _ => Debug,
    }
}

/// `I1121 10:54:05.123456   17 main.go:7] …`
fn glog(head: &[u8]) -> Option<LogLevel> {
    let [letter, date @ ..] = head else { return None };
    let dated =
        date.len() > 5 && date[..4].iter().all(u8::is_ascii_digit) && date[4] == b' ' && date[5].is_ascii_digit();
    match letter {
        _ if !dated => None,
        b'E' | b'F' => Some(Error),
        b'W' => Some(Warn),
        b'I' => Some(Info),
        _ => None,
    }
}

fn scan(head: &[u8]) -> Option<LogLevel> {
    let is_json = head.first() == Some(&b'{');
    let mut at = 0;
    while at < head.len() {
        let start = at + head[at..].iter().position(|byte| is_word(*byte))?;
        let end = head[start..].iter().position(|byte| !is_word(*byte)).map_or(head.len(), |length| start + length);
        let word = &head[start..end];
        let stated = if is_key(word) { field(&head[end..]) } else { None };
        let found = stated.or_else(|| if is_json { None } else { standing(head, start, end) });
        if found.is_some() {
            return found;
        }
        at = end;
    }
    None
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_key(word: &[u8]) -> bool {
    matches!(word.len(), 3..=9)
        && ["level", "lvl", "severity", "loglevel", "log_level", "levelname"]
            .iter()
            .any(|key| word.eq_ignore_ascii_case(key.as_bytes()))
}

/// The value behind a key: `=error`, `": "error"`, `":30`.
fn field(behind: &[u8]) -> Option<LogLevel> {
    let is_quiet = |byte: &u8| matches!(byte, b'"' | b'\'' | b' ');
    let skip = |bytes: &[u8]| bytes.iter().position(|byte| !is_quiet(byte)).unwrap_or(bytes.len());
    let behind = &behind[skip(behind)..];
    let [b'=' | b':', value @ ..] = behind else { return None };
    let value = &value[skip(value)..];
    let value = &value[..value.iter().position(|byte| !is_word(*byte)).unwrap_or(value.len())];
    named(value).or(match value {
        b"10" | b"20" => Some(Debug),
        b"30" => Some(Info),
        b"40" => Some(Warn),
        b"50" | b"60" => Some(Error),
        _ => None,
    })
}

/// A word that is a level by how it is written.
fn standing(head: &[u8], start: usize, end: usize) -> Option<LogLevel> {
    let word = &head[start..end];
    let (before, after) = (start.checked_sub(1).map(|at| head[at]), head.get(end));
    if word == b"LOG" && after == Some(&b':') {
        return Some(Info);
    }
    let in_capitals = word.iter().all(u8::is_ascii_uppercase);
    let in_brackets = before == Some(b'[') && after == Some(&b']');
    let leads = start == 0 && after == Some(&b':');
    if in_capitals || in_brackets || leads { named(word) } else { None }
}

fn named(word: &[u8]) -> Option<LogLevel> {
    const NAMES: [(&str, LogLevel); 17] = [
        ("info", Info),
        ("error", Error),
        ("warn", Warn),
        ("warning", Warn),
        ("debug", Debug),
        ("err", Error),
        ("fatal", Error),
        ("critical", Error),
        ("crit", Error),
        ("panic", Error),
        ("alert", Error),
        ("emerg", Error),
        ("emergency", Error),
        ("severe", Error),
        ("notice", Info),
        ("information", Info),
        ("trace", Debug),
    ];
    let known = matches!(word.len(), 3..=11);
    known
        .then(|| NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())))
        .flatten()
        .map(|found| found.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_are_found_where_programs_write_them() {
        let cases: &[(&str, Option<LogLevel>)] = &[
            ("ERROR: it broke", Some(Error)),
            ("2026-11-21 10:54:05,214 - comfy - WARNING - slow", Some(Warn)),
            ("INFO:     127.0.0.1:5000 - \"GET / HTTP/1.1\" 200 OK", Some(Info)),
            ("DEBUG:root:x", Some(Debug)),
            ("time=\"2026-11-21T10:54:05Z\" level=error msg=\"no INFO here\"", Some(Error)),
            (r#"{"time":1,"level":"warn","msg":"ERROR in the text"}"#, Some(Warn)),
            (r#"{"level":30,"msg":"pino"}"#, Some(Info)),
            (r#"{"msg":"ERROR in the text only"}"#, None),
            (r#"{"severity": "CRITICAL"}"#, Some(Error)),
            ("E1121 10:54:05.123456    17 main.go:7] no", Some(Error)),
            ("I1121 10:54:05.123456    17 main.go:7] yes", Some(Info)),
            ("W1121 is no glog line", None),
            ("2026/11/21 10:54:05 [error] 12#0: *1 open() failed", Some(Error)),
            ("2026/11/21 10:54:05 [notice] 1#1: start", Some(Info)),
            ("2026-11-21 10:54:05.214 UTC [12] LOG:  checkpoint", Some(Info)),
            ("2026-11-21 10:54:05.214 UTC [12] FATAL:  no", Some(Error)),
            ("warning: unused", Some(Warn)),
            ("an error: in the midst of words", None),
            ("net::ERR_CONNECTION_REFUSED", None),
            ("", None),
            ("levels = 3", None),
            ("level up", None),
        ];
        for (text, level) in cases {
            assert_eq!(of(text), *level, "{text}");
        }
    }

    #[test]
    fn what_a_unit_prints_may_say_more_than_its_default_priority() {
        assert_eq!(of_priority(3, "INFO x"), Error);
        assert_eq!(of_priority(6, "ERROR x"), Error);
        assert_eq!(of_priority(6, "x"), Info);
        assert_eq!(of_priority(7, "ERROR x"), Debug);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,400}") {
            let _ = of(&text);
        }
    }
}
