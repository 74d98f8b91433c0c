//! The one live stream of a page: server-sent events.
//!
//! It ends with the session, with the controller, or when the page goes; a page that reads slowly
//! gets the present anew instead of a queue ([`crate::live::watch`]).

use super::caller::Caller;
use super::extract::Query;
use super::open_streams::OpenStream;
use super::{Api, ApiError, sse};
use crate::live::presence::Now;
use crate::live::watch::{Message, Subscription, WatchError};
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream::unfold;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Interval;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    host: Option<i32>,
}

pub async fn get(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(choice): Query<Choice>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let too_many = || ApiError::unavailable(WatchError::TooMany.to_string());
    let open = api.0.streams.open(&caller).ok_or_else(too_many)?;
    let subscription = api.live().watch(choice.host, sse::resume_from(&headers)).map_err(|error| match error {
        WatchError::NoSuchHost => ApiError::not_found("there is no such host"),
        WatchError::TooMany => too_many(),
    })?;
    let stream = Stream { subscription, heartbeat: sse::heartbeat(), open, api };
    Ok(sse::answer(unfold(stream, async |mut stream| Some((stream.next().await?, stream)))))
}

struct Stream {
    subscription: Subscription,
    heartbeat: Interval,
    open: OpenStream,
    api: Api,
}

impl Stream {
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            () = self.open.over(&self.api) => None,
            message = self.subscription.next() => Some(told(&message)),
            _ = self.heartbeat.tick() => {
                let behind_ms = self.api.live().history_behind_ms();
                let now = json!({ "now_ms": Now::take().wall_ms, "history_behind_ms": behind_ms });
                Some(Event::default().event("heartbeat").data(now.to_string()))
            }
        }
    }
}

fn told(message: &Message) -> Event {
    let event = Event::default().event(message.name()).data(message.json());
    match message.id {
        Some(id) => event.id(id.to_string()),
        None => event,
    }
}
