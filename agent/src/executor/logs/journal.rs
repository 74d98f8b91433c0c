//! Entries of the journal as `journalctl -o json` prints them. Pure.

use serde::Deserialize;

/// One entry, as far as a reader sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub at_ms: Option<i64>,
    pub priority: Option<u8>,
    /// May be several lines.
    pub message: Vec<u8>,
    pub cursor: String,
}

#[derive(Deserialize)]
struct Printed {
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at_us: Option<String>,
    #[serde(rename = "__CURSOR", default)]
    cursor: String,
    #[serde(rename = "MESSAGE")]
    message: Option<Field>,
    #[serde(rename = "PRIORITY")]
    priority: Option<Field>,
}

/// Text; bytes where it is no plain text; several when the entry has the field more than once.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Bytes(Vec<u8>),
    Several(Vec<Option<Field>>),
}

impl Field {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Several(fields) => fields.into_iter().flatten().next().map(Self::bytes).unwrap_or_default(),
        }
    }
}

/// None for what is no entry.
#[must_use]
pub fn entry(line: &[u8]) -> Option<Entry> {
    let printed: Printed = serde_json::from_slice(line).ok()?;
    let number = printed.priority.map(Field::bytes).unwrap_or_default();
    Some(Entry {
        at_ms: printed.at_us.and_then(|at| at.parse::<i64>().ok()).map(|at| at.div_euclid(1_000)),
        priority: std::str::from_utf8(&number).ok().and_then(|number| number.parse().ok()),
        message: printed.message.map(Field::bytes).unwrap_or_default(),
        cursor: printed.cursor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_entries_are_read() {
        let text = r#"{"__CURSOR":"s=8f;i=1b","MESSAGE":"Started nginx.service - a server.","__REALTIME_TIMESTAMP":"1763722445214673","PRIORITY":"6","_BOOT_ID":"0a","__MONOTONIC_TIMESTAMP":"12","__SEQNUM":"27","__SEQNUM_ID":"8f"}"#;
        let read = entry(text.as_bytes()).unwrap();
        assert_eq!((read.at_ms, read.priority, &*read.cursor), (Some(1_763_722_445_214), Some(6), "s=8f;i=1b"));
        assert_eq!(read.message, b"Started nginx.service - a server.");
    }

    #[test]
    fn messages_of_bytes_of_several_values_and_without_any_are_read() {
        let cases: &[(&str, &[u8])] = &[
            (r#"{"MESSAGE":[27,91,51,49,109,255]}"#, b"\x1b[31m\xff"),
            (r#"{"MESSAGE":["first","second"]}"#, b"first"),
            (r#"{"MESSAGE":[null,[104,105]]}"#, b"hi"),
            (r#"{"MESSAGE":null,"PRIORITY":["3","4"]}"#, b""),
            (r#"{}"#, b""),
        ];
        for (text, message) in cases {
            assert_eq!(entry(text.as_bytes()).unwrap().message, *message, "{text}");
        }
        assert_eq!(entry(br#"{"PRIORITY":["3","4"]}"#).unwrap().priority, Some(3));
        for broken in ["", "No entries", "{\"MESSAGE\":", "[]", "{\"MESSAGE\":[300]}"] {
            assert_eq!(entry(broken.as_bytes()), None, "{broken}");
        }
    }
}
