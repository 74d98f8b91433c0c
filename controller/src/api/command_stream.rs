//! One command as it goes on: server-sent events, `command` and `output`, until its end.

use super::caller::Caller;
use super::open_streams::OpenStream;
use super::{Api, ApiError, commands, extract};
use crate::dispatch::progress::{Message, Watch};
use crate::limits::HEARTBEAT_EVERY;
use crate::live::watch::WatchError;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use tokio::time::{Instant, Interval, interval_at};

pub async fn get(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let too_many = || ApiError::unavailable(WatchError::TooMany.to_string());
    let open = api.0.streams.open(&caller).ok_or_else(too_many)?;
    let resume_from = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let watch = api.dispatch().watch(extract::id(&id, "command")?, resume_from).await?;
    let watch = watch.ok_or_else(|| commands::no_such(&id))?;
    let heartbeat = interval_at(Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
    let stream = Stream { watch, heartbeat, open, api };
    let events = futures_util::stream::unfold(stream, async |mut stream| {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    // Proxies that buffer answers would hold events back.
    Ok(([(HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(events)).into_response())
}

struct Stream {
    watch: Watch,
    heartbeat: Interval,
    open: OpenStream,
    api: Api,
}

impl Stream {
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            () = self.open.over(&self.api) => None,
            message = self.watch.next() => message.map(|message| told(&message)),
            _ = self.heartbeat.tick() => Some(Event::default().comment("")),
        }
    }
}

fn told(message: &Message) -> Event {
    Event::default().event(message.name).id(message.id.to_string()).data(&message.json)
}
