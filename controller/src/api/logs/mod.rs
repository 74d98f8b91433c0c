//! Logs on demand: an SSE stream for pages, a WebSocket for scripts.
//!
//! - `wish`: what is asked, `place`: where that is. `room`: how many may ask. `tail`: the hosts' lines, merged.
//! - `message`: what is told. This file: opening, and the two ways of telling.
//!
//! Reading is not written into the audit log: it changes nothing, and pages read all the time. A reader that does not take its
//! lines is not read for; its host counts what it has to leave out. It ends with its session.

mod message;
mod place;
mod room;
mod tail;
mod wish;

pub use room::Room;

use super::caller::Caller;
use super::extract::Query;
use super::open_streams::OpenStream;
use super::{Api, ApiError, sse};
use crate::limits::{
    HEARTBEAT_EVERY, LOG_REPORTS, LOG_UNREAD, SOCKET_GOODBYE_WAIT, SOCKET_MESSAGE_BYTES, SOCKET_WRITE_BYTES,
};
use crate::live::presence::Now;
use crate::transport::Registry;
use crate::transport::errand::ErrandStream;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use axum::response::sse::Event;
use fleetlight_protocol::errand::Errand;
use fleetlight_protocol::logs::LogsRequest;
use futures_util::future::join_all;
use futures_util::stream::unfold;
use futures_util::{SinkExt, StreamExt};
use message::Message;
use place::Place;
use std::collections::BTreeMap;
use tail::{HostTail, Report, Tail};
use tokio::sync::mpsc;
use tokio::time::{Interval, timeout};
use tokio_util::task::AbortOnDropHandle;
use wish::{Kind, Named, Pairs, Wish};

/// `GET logs/stream`: for a page.
pub async fn stream(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(Pairs(query)): Query<Pairs>,
) -> Result<Response, ApiError> {
    let reading = Reading::open(api, &caller, Wish::of_query(query)?.with_sources()?).await?;
    Ok(sse::answer(unfold(reading, async |mut reading| {
        let Message { name, data } = reading.next().await?;
        Some((Event::default().event(name).data(data), reading))
    })))
}

/// `GET logs/{service}`: a WebSocket, for a script.
pub async fn socket(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(service): Path<String>,
    Query(Pairs(query)): Query<Pairs>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let socket = socket.map_err(|_| {
        ApiError::bad_request(format!(
            "logs/{service} is a WebSocket: connect by one, or read the same as events: GET logs/stream?container={service} (or unit=, file=)"
        ))
    })?;
    let host = query.iter().find(|(key, _)| key == "host").map(|(_, value)| value.clone());
    let mut wish = Wish::of_query(query)?;
    if !wish.sources.is_empty() {
        return Err(ApiError::bad_request("the path names the source; several are read by logs/stream"));
    }
    wish.sources.push(named(&api, host, service));
    let reading = Reading::open(api, &caller, wish).await?;
    let socket = socket.max_message_size(SOCKET_MESSAGE_BYTES).max_frame_size(SOCKET_MESSAGE_BYTES);
    let socket = socket.write_buffer_size(0).max_write_buffer_size(SOCKET_WRITE_BYTES);
    Ok(socket.on_upgrade(async move |socket| reading.tell(socket).await))
}

/// A container of that name, or else, with a unit's ending, a unit.
fn named(api: &Api, host: Option<String>, name: String) -> Named {
    let is_container = !api.live().containers_named(&name, None).is_empty();
    let is_unit = name.rsplit_once('.').is_some_and(|(_, ending)| UNITS.contains(&ending));
    Named { kind: if is_unit && !is_container { Kind::Unit } else { Kind::Container }, host, name }
}

/// Endings of units that have a journal.
const UNITS: [&str; 9] = ["service", "socket", "timer", "scope", "mount", "automount", "path", "target", "swap"];

/// Heartbeats in a row that a socket may leave unanswered.
const SILENT_HEARTBEATS: u32 = 6;

/// An open reader.
struct Reading {
    api: Api,
    open: OpenStream,
    _place: room::Reader,
    first: Option<Message>,
    tail: Tail,
    heartbeat: Interval,
}

impl Reading {
    async fn open(api: Api, caller: &Caller, wish: Wish) -> Result<Self, ApiError> {
        let places = wish.sources.iter().map(|named| Place::find(api.live(), named)).collect::<Result<Vec<_>, _>>()?;
        let place = api.0.log_room.enter(places.iter().map(|place| place.host.id).collect())?;
        let too_many = || ApiError::too_many("too many streams of this session are open: close some", HEARTBEAT_EVERY);
        let open = api.0.streams.open(caller).ok_or_else(too_many)?;
        let tail = ask(&api.0.parts.registry, &places, &wish).await?;
        let (first, heartbeat) = (Some(Message::sources(&places)), sse::heartbeat());
        Ok(Self { api, open, _place: place, first, tail, heartbeat })
    }

    /// For a stream: with heartbeats, until the session ends.
    async fn next(&mut self) -> Option<Message> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        tokio::select! {
            biased;
            () = self.open.over(&self.api) => None,
            message = self.tail.next() => message,
            _ = self.heartbeat.tick() => Some(Message::heartbeat(Now::take().wall_ms)),
        }
    }

    /// Over a socket, until either side ends it.
    async fn tell(mut self, socket: WebSocket) {
        let (mut sender, mut receiver) = socket.split();
        let mut unanswered = 0_u32;
        let reason = loop {
            let frame = tokio::select! {
                biased;
                () = self.open.over(&self.api) => break "the session has ended, or the controller stops",
                heard = receiver.next() => match heard {
                    // It says nothing that is asked for; the library answers its pings.
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {
                        unanswered = 0;
                        continue;
                    }
                },
                message = async { match self.first.take() { Some(first) => Some(first), None => self.tail.next().await } } => match message {
                    Some(message) => Frame::Text(message.text().into()),
                    None => break "all sources have ended",
                },
                _ = self.heartbeat.tick() => {
                    unanswered += 1;
                    if unanswered > SILENT_HEARTBEATS {
                        return;
                    }
                    Frame::Ping(axum::body::Bytes::new())
                }
            };
            let sent = tokio::select! {
                biased;
                () = self.open.over(&self.api) => break "the session has ended, or the controller stops",
                sent = timeout(LOG_UNREAD, sender.send(frame)) => sent,
            };
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        };
        let close = CloseFrame { code: close_code::NORMAL, reason: reason.into() };
        let _ = timeout(SOCKET_GOODBYE_WAIT, sender.send(Frame::Close(Some(close)))).await;
    }
}

/// What is asked of one host.
#[derive(Default)]
struct Part {
    host: String,
    /// The reader's numbers of its sources.
    numbers: Vec<u16>,
    sources: Vec<fleetlight_protocol::logs::LogSource>,
}

/// Asks each host for its part. Those that cannot be asked say why, unless none can.
async fn ask(registry: &Registry, places: &[Place], wish: &Wish) -> Result<Tail, ApiError> {
    let mut parts: BTreeMap<i32, Part> = BTreeMap::new();
    for (place, number) in places.iter().zip(0..) {
        let part = parts.entry(place.host.id).or_default();
        part.host.clone_from(&place.host.name);
        part.numbers.push(number);
        part.sources.push(place.source.clone());
    }
    let asked = parts.into_iter().map(async |(host_id, part)| {
        let Part { host, numbers, sources } = part;
        (numbers, ask_host(registry, host_id, &host, wish.request(sources)).await)
    });
    let asked = join_all(asked).await;
    if let Some(words) = asked.iter().map(|(_, asked)| asked.as_ref().err()).collect::<Option<Vec<_>>>() {
        return Err(ApiError::unavailable(words.into_iter().cloned().collect::<Vec<_>>().join("; ")));
    }
    Ok(Tail::new(asked.into_iter().map(|(numbers, asked)| tail_of(numbers, wish.follow, asked)).collect()))
}

async fn ask_host(registry: &Registry, host_id: i32, host: &str, request: LogsRequest) -> Result<ErrandStream, String> {
    let agent_id = registry.agent_of(host_id);
    let agent_id = agent_id.ok_or_else(|| format!("{host} is offline: its logs can be read when it is back"))?;
    let asked = registry.ask(agent_id, &Errand::Logs(request)).await;
    asked.map_err(|error| format!("{host}: {error}"))
}

fn tail_of(numbers: Vec<u16>, follows: bool, asked: Result<ErrandStream, String>) -> HostTail {
    let (sender, reports) = mpsc::channel(LOG_REPORTS);
    let reading = match asked {
        Ok(asked) => Some(AbortOnDropHandle::new(tokio::spawn(read(asked, sender)))),
        Err(words) => {
            // The channel is empty.
            let _ = sender.try_send(Err(words));
            None
        }
    };
    HostTail::new(numbers, follows, reports, reading)
}

/// Passes on what a host says, as fast as it is taken.
async fn read(mut asked: ErrandStream, sender: mpsc::Sender<Report>) {
    loop {
        let report = match asked.answers.read().await {
            Ok(Some(report)) => Ok(report),
            Ok(None) => return,
            Err(error) => Err(error.to_string()),
        };
        let is_last = report.is_err();
        if sender.send(report).await.is_err() || is_last {
            return;
        }
    }
}
