//! One command as it goes on: server-sent events, `command` and `output`, until its end.

use super::caller::Caller;
use super::open_streams::OpenStream;
use super::{Api, ApiError, commands, extract, sse};
use crate::dispatch::progress::{Message, Watch};
use crate::live::watch::WatchError;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream::unfold;
use tokio::time::Interval;

pub async fn get(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let too_many = || ApiError::unavailable(WatchError::TooMany.to_string());
    let open = api.0.streams.open(&caller).ok_or_else(too_many)?;
    let watch = api.dispatch().watch(extract::id(&id, "command")?, sse::resume_from(&headers)).await?;
    let watch = watch.ok_or_else(|| commands::no_such(&id))?;
    let stream = Stream { watch, heartbeat: sse::heartbeat(), open, api };
    Ok(sse::answer(unfold(stream, async |mut stream| Some((stream.next().await?, stream)))))
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
