//! What a reader of logs is told, as `docs/api.md` states it.

use super::place::Place;
use super::wish::Kind;
use fleetlight_protocol::logs::{LogLevel, LogLine};
use serde::Serialize;
use serde_json::json;

/// One message: the data of a server-sent event, or a text of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub name: &'static str,
    /// A JSON object.
    pub data: String,
}

#[derive(Serialize)]
struct SourceView<'a> {
    source: usize,
    host_id: i32,
    host: &'a str,
    kind: Kind,
    name: &'a str,
}

#[derive(Serialize)]
struct Lines<'a> {
    lines: &'a [LineView],
}

#[derive(Serialize)]
struct LineView {
    source: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<LogLevel>,
    text: String,
}

impl Message {
    /// First: what the numbers of sources stand for.
    #[must_use]
    pub fn sources(places: &[Place]) -> Self {
        let views = places.iter().enumerate().map(|(source, place)| SourceView {
            source,
            host_id: place.host.id,
            host: &place.host.name,
            kind: place.kind,
            name: &place.name,
        });
        Self::of("sources", &json!({ "sources": views.collect::<Vec<_>>() }))
    }

    /// Lines, whose sources have the reader's numbers.
    #[must_use]
    pub fn lines(lines: Vec<LogLine>) -> Self {
        let view =
            |line: LogLine| LineView { source: line.source, at_ms: line.at_ms, level: line.level, text: line.text };
        let views: Vec<_> = lines.into_iter().map(view).collect();
        Self::of("lines", &Lines { lines: &views })
    }

    #[must_use]
    pub fn dropped(source: u16, lines: u64) -> Self {
        Self::of("dropped", &json!({ "source": source, "lines": lines }))
    }

    #[must_use]
    pub fn problem(source: u16, message: &str) -> Self {
        Self::of("problem", &json!({ "source": source, "message": message }))
    }

    #[must_use]
    pub fn live() -> Self {
        Self::of("live", &json!({}))
    }

    #[must_use]
    pub fn heartbeat(now_ms: i64) -> Self {
        Self::of("heartbeat", &json!({ "now_ms": now_ms }))
    }

    /// Last, when all sources have ended.
    #[must_use]
    pub fn end() -> Self {
        Self::of("end", &json!({}))
    }

    /// As one text: `{"type":"lines","lines":[…]}`.
    #[must_use]
    pub fn text(self) -> String {
        let separator = if self.data == "{}" { "" } else { "," };
        format!("{{\"type\":\"{}\"{separator}{}", self.name, &self.data[1..])
    }

    fn of(name: &'static str, data: &impl Serialize) -> Self {
        // These types always can be written.
        let data = serde_json::to_string(data).unwrap_or_else(|_| "{}".into());
        Self { name, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_docs() {
        let line = |level, at_ms| LogLine { source: 2, at_ms, level, text: "a \"b\"\u{1b}[0m\u{2028}".into() };
        let lines = Message::lines(vec![line(Some(LogLevel::Warn), Some(5)), line(None, None)]);
        assert_eq!(
            lines.data,
            "{\"lines\":[{\"source\":2,\"at_ms\":5,\"level\":\"warn\",\"text\":\"a \\\"b\\\"\\u001b[0m\u{2028}\"},{\"source\":2,\"text\":\"a \\\"b\\\"\\u001b[0m\u{2028}\"}]}"
        );
        assert!(lines.text().starts_with("{\"type\":\"lines\",\"lines\":[{"));
        assert_eq!(Message::live().text(), "{\"type\":\"live\"}");
        assert_eq!(Message::dropped(1, 7).text(), "{\"type\":\"dropped\",\"lines\":7,\"source\":1}");
    }
}
