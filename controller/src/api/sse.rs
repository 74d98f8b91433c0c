//! Server-sent events: what all streams of the API have in common.

use crate::limits::HEARTBEAT_EVERY;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use std::convert::Infallible;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The answer that goes on until there are no more events.
pub(super) fn answer(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    // Proxies that buffer answers would hold events back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (unbuffered, Sse::new(events.map(Ok::<_, Infallible>))).into_response()
}

/// The last message that whoever comes back has seen.
pub(super) fn resume_from(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// The first one after a pause: a stream begins with something to say.
pub(super) fn heartbeat() -> Interval {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}
