//! What a reader of logs asks for, from the query of the address.

use crate::api::ApiError;
use fleetlight_protocol::limits::{LOG_CONTAINS_CHARS, LOG_PAST_LINES, LOG_SOURCES};
use fleetlight_protocol::logs::{LogLevel, LogSource, LogsRequest};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use std::borrow::Cow;

/// Lines of the past, when nobody says how many.
const LINES: u32 = 100;

/// What Docker and journalctl take for a time.
const SINCE_MS: std::ops::Range<i64> = 0..253_402_300_800_000;

/// A wish, with names as they came.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    pub sources: Vec<Named>,
    pub lines: u32,
    pub since_ms: Option<i64>,
    pub level: Option<LogLevel>,
    pub contains: Option<String>,
    pub follow: bool,
}

/// The query as it came: its keys may come more than once.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Pairs(pub Vec<(String, String)>);

/// The keys, for the API's description.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is told")]
struct Keys {
    host: Option<String>,
    container: Option<String>,
    unit: Option<String>,
    file: Option<String>,
    lines: Option<u32>,
    since_ms: Option<i64>,
    level: Option<String>,
    contains: Option<String>,
    follow: Option<bool>,
}

impl JsonSchema for Pairs {
    fn schema_name() -> Cow<'static, str> {
        Keys::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Keys::json_schema(generator)
    }
}

/// A source as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub kind: Kind,
    /// Id or name.
    pub host: Option<String>,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Container,
    Unit,
    File,
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Unit => "unit",
            Self::File => "file",
        }
    }
}

impl Wish {
    /// `container`, `unit` and `file` as often as wanted, each a name, with its host before a slash or in `host`.
    ///
    /// # Errors
    /// 400 names the key.
    pub fn of_query(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut wish =
            Self { sources: Vec::new(), lines: LINES, since_ms: None, level: None, contains: None, follow: true };
        let mut host = None;
        for (key, value) in pairs {
            let wrong =
                |allowed: &str| ApiError::bad_request(format!("{key}={value} is not what this call takes: {allowed}"));
            match key.as_str() {
                "container" => wish.sources.push(Named::of(Kind::Container, &value)),
                "unit" => wish.sources.push(Named::of(Kind::Unit, &value)),
                "file" => wish.sources.push(Named::of(Kind::File, &value)),
                "host" => host = Some(value),
                "lines" => {
                    let lines = value.parse().ok().filter(|lines| *lines <= LOG_PAST_LINES);
                    wish.lines = lines.ok_or_else(|| wrong(&format!("a number up to {LOG_PAST_LINES}")))?;
                }
                "since_ms" => {
                    let since_ms = value.parse().ok().filter(|since_ms| SINCE_MS.contains(since_ms));
                    wish.since_ms =
                        Some(since_ms.ok_or_else(|| wrong("milliseconds since 1970, up to the year 9999"))?);
                }
                "level" => wish.level = Some(level(&value).ok_or_else(|| wrong("error, warn, info or debug"))?),
                "follow" => {
                    let follow = ["true", "1", "false", "0"].iter().position(|word| *word == value);
                    wish.follow = follow.ok_or_else(|| wrong("true or false"))? < 2;
                }
                "contains" if value.chars().count() > LOG_CONTAINS_CHARS => {
                    return Err(ApiError::bad_request(format!("contains: {LOG_CONTAINS_CHARS} characters at most")));
                }
                "contains" => wish.contains = Some(value).filter(|text| !text.is_empty()),
                _ => return Err(ApiError::bad_request(format!("the query is wrong: {key} is no key of this call"))),
            }
        }
        for source in &mut wish.sources {
            source.host = source.host.take().or_else(|| host.clone());
        }
        Ok(wish)
    }

    /// # Errors
    /// 400: none, or too many.
    pub fn with_sources(self) -> Result<Self, ApiError> {
        if self.sources.is_empty() || self.sources.len() > LOG_SOURCES {
            let words = format!("name 1 to {LOG_SOURCES} sources: container=…, unit=…, file=…");
            return Err(ApiError::bad_request(words));
        }
        Ok(self)
    }
}

impl Wish {
    /// What one host is asked.
    #[must_use]
    pub fn request(&self, sources: Vec<LogSource>) -> LogsRequest {
        LogsRequest {
            sources,
            lines: self.lines,
            since_ms: self.since_ms,
            level: self.level,
            contains: self.contains.clone(),
            follow: self.follow,
        }
    }
}

impl Named {
    fn of(kind: Kind, value: &str) -> Self {
        match value.split_once('/') {
            Some((host, name)) => Self { kind, host: Some(host.to_owned()), name: name.to_owned() },
            None => Self { kind, host: None, name: value.to_owned() },
        }
    }
}

fn level(name: &str) -> Option<LogLevel> {
    match name {
        "error" => Some(LogLevel::Error),
        "warn" => Some(LogLevel::Warn),
        "info" => Some(LogLevel::Info),
        "debug" => Some(LogLevel::Debug),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(query: &[(&str, &str)]) -> Result<Wish, ApiError> {
        Wish::of_query(query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn sources_are_named_with_their_hosts() {
        let read =
            wish(&[("container", "web"), ("unit", "2/nginx.service"), ("host", "alpha"), ("file", "app")]).unwrap();
        let named = |kind, host: &str, name: &str| Named { kind, host: Some(host.into()), name: name.into() };
        let expected = [
            named(Kind::Container, "alpha", "web"),
            named(Kind::Unit, "2", "nginx.service"),
            named(Kind::File, "alpha", "app"),
        ];
        assert_eq!(read.sources, expected);
        assert_eq!((read.lines, read.follow), (100, true));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_key() {
        let long = "x".repeat(LOG_CONTAINS_CHARS + 1);
        for (key, value) in [
            ("lines", "-1"),
            ("lines", "200001"),
            ("since_ms", "now"),
            ("since_ms", "-1"),
            ("since_ms", "9223372036854775807"),
            ("level", "loud"),
            ("follow", "maybe"),
            ("contains", &*long),
            ("containers", "web"),
        ] {
            let words = wish(&[(key, value)]).unwrap_err().detail;
            assert!(words.contains(key), "{words}");
        }
        assert!(wish(&[]).unwrap().with_sources().unwrap_err().detail.contains("1 to 64"));
    }
}
