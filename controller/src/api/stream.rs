//! The one live stream of a page: server-sent events.
//!
//! It ends with the session, with the controller, or when the page goes; a page that reads slowly
//! gets the present anew instead of a queue ([`crate::live::watch`]).

use super::extract::Query;
use super::session::OpenStream;
use super::{Api, ApiError, session};
use crate::limits::{HEARTBEAT_EVERY, SESSION_IDLE};
use crate::live::presence::Now;
use crate::live::watch::{Message, Subscription, WatchError};
use crate::store::web_sessions::WebSession;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    host: Option<i32>,
}

pub async fn get(
    State(api): State<Api>,
    Extension(session): Extension<WebSession>,
    Query(choice): Query<Choice>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let too_many = || ApiError::unavailable(WatchError::TooMany.to_string());
    let open = api.0.streams.open(session.hash).ok_or_else(too_many)?;
    let resume_from = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let subscription = api.live().watch(choice.host, resume_from).map_err(|error| match error {
        WatchError::NoSuchHost => ApiError::not_found("there is no such host"),
        WatchError::TooMany => too_many(),
    })?;
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = Stream { subscription, heartbeat, open, ends: ends(&session), api };
    let events = futures_util::stream::unfold(stream, async |mut stream| {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    // Proxies that buffer answers would hold events back.
    Ok(([(HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(events)).into_response())
}

struct Stream {
    subscription: Subscription,
    heartbeat: Interval,
    open: OpenStream,
    /// When the session must be looked up again.
    ends: Instant,
    api: Api,
}

impl Stream {
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                biased;
                () = self.api.0.stop.cancelled() => return None,
                () = self.open.ended.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends) => self.ends = self.still_valid().await?,
                message = self.subscription.next() => return Some(told(&message)),
                _ = self.heartbeat.tick() => {
                    let behind_ms = self.api.live().history_behind_ms();
                    let now = json!({ "now_ms": Now::take().wall_ms, "history_behind_ms": behind_ms });
                    return Some(Event::default().event("heartbeat").data(now.to_string()));
                }
            }
        }
    }

    /// When to look again; none if the session has ended. A stream alone does not keep it alive.
    async fn still_valid(&self) -> Option<Instant> {
        match session::find(&self.api, self.open.hash()).await {
            Ok(session) => session.as_ref().map(ends),
            // Without a database nobody can tell: the next look decides.
            Err(_) => Some(Instant::now() + HEARTBEAT_EVERY),
        }
    }
}

fn ends(session: &WebSession) -> Instant {
    let idle_ms = session.used_ms + SESSION_IDLE.as_millis() as i64;
    let left = session.expires_ms.min(idle_ms) - Now::take().wall_ms;
    Instant::now() + Duration::from_millis(left.max(0) as u64)
}

fn told(message: &Message) -> Event {
    let event = Event::default().event(message.name()).data(message.json());
    match message.id {
        Some(id) => event.id(id.to_string()),
        None => event,
    }
}
