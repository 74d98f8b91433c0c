//! Sessions of people: the cookie, its life, and the streams that end with it.
//!
//! The cookie is `__Host-fleetlight` where the page is reached encrypted. On plain loopback its name
//! is `fleetlight`, without `Secure`: Safari and curl drop the other there.

use super::guard::Asked;
use super::settings::Site;
use super::{Api, ApiError};
use crate::limits::{SESSION_ABSOLUTE, SESSION_IDLE, SESSION_TOUCH_EVERY, STREAMS_PER_SESSION};
use crate::live::presence::Now;
use crate::store::users::User;
use crate::store::web_sessions::{NewWebSession, WebSession};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// `GET session`: who asks. That nobody is logged in is an answer, no refusal: the page asks before
/// anything else, and a browser logs each refusal as an error.
#[derive(Debug, Default, Serialize)]
pub struct SessionView {
    /// Nobody is logged in without it.
    name: Option<String>,
    /// When it ends whatever happens; unused for twelve hours it ends sooner.
    expires_ms: Option<i64>,
    /// Nobody can log in yet: the one-time link comes first.
    setup_required: bool,
}

impl SessionView {
    fn of(name: String, expires_ms: i64) -> Self {
        Self { name: Some(name), expires_ms: Some(expires_ms), setup_required: false }
    }
}

pub async fn get(State(api): State<Api>, request: Request) -> Result<Json<SessionView>, ApiError> {
    let view = match used(&api, cookie_hash(&request)).await? {
        Some(session) => SessionView::of(session.user_name, session.expires_ms),
        None => SessionView { setup_required: setup_required(&api).await?, ..SessionView::default() },
    };
    Ok(Json(view))
}

pub async fn logout(
    State(api): State<Api>,
    Extension(session): Extension<WebSession>,
    Extension(asked): Extension<Asked>,
) -> Result<Response, ApiError> {
    api.store().end_web_session(session.hash).await?;
    api.0.streams.end(&session.hash);
    let cookie = cookie(&asked.site, "", 0)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Begins a session for `user` and answers with its cookie.
pub(super) async fn begin(api: &Api, user: &User, asked: &Asked) -> Result<Response, ApiError> {
    let secret = secret::<32>()?;
    let now_ms = Now::take().wall_ms;
    let expires_ms = now_ms + SESSION_ABSOLUTE.as_millis() as i64;
    let address = asked.client.to_string();
    let session = NewWebSession { hash: hash(&secret), user_id: user.id, address: &address, now_ms, expires_ms };
    api.store().begin_web_session(session).await?;
    let cookie = cookie(&asked.site, &secret, SESSION_ABSOLUTE.as_secs())?;
    let view = SessionView::of(user.name.clone(), expires_ms);
    Ok(([(header::SET_COOKIE, cookie)], Json(view)).into_response())
}

/// The session of a request's cookie, which counts as its use; refuses without one.
pub(super) async fn of_request(api: &Api, cookie: Option<[u8; 32]>) -> Result<WebSession, ApiError> {
    match used(api, cookie).await? {
        Some(session) => Ok(session),
        None => Err(ApiError::unauthorized(setup_required(api).await?)),
    }
}

async fn used(api: &Api, cookie: Option<[u8; 32]>) -> Result<Option<WebSession>, ApiError> {
    let Some(hash) = cookie else { return Ok(None) };
    let Some(session) = find(api, hash).await? else { return Ok(None) };
    let now_ms = Now::take().wall_ms;
    if now_ms - session.used_ms >= SESSION_TOUCH_EVERY.as_millis() as i64 {
        api.store().touch_web_session(session.hash, now_ms).await?;
    }
    Ok(Some(session))
}

/// The session of a hash, unless it has ended; does not count as use.
pub(super) async fn find(api: &Api, hash: [u8; 32]) -> Result<Option<WebSession>, ApiError> {
    let now_ms = Now::take().wall_ms;
    Ok(api.store().web_session(hash, now_ms, now_ms - SESSION_IDLE.as_millis() as i64).await?)
}

async fn setup_required(api: &Api) -> Result<bool, ApiError> {
    if api.0.set_up.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let required = api.store().setup_required().await?;
    api.0.set_up.store(!required, Ordering::Relaxed);
    Ok(required)
}

/// `N` random bytes in hex.
pub(super) fn secret<const N: usize>() -> Result<String, ApiError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
    let mut text = String::with_capacity(2 * N);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// What is stored in place of a secret.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn cookie_name(site: &Site) -> &'static str {
    if site.secure { "__Host-fleetlight" } else { "fleetlight" }
}

fn cookie(site: &Site, value: &str, max_age: u64) -> Result<HeaderValue, ApiError> {
    let secure = if site.secure { "; Secure" } else { "" };
    let name = cookie_name(site);
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}");
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

/// Hash of a request's cookie, if it has one.
pub(super) fn cookie_hash(request: &Request) -> Option<[u8; 32]> {
    let asked = request.extensions().get::<Asked>()?;
    secret_of(request.headers(), &asked.site).map(hash)
}

fn secret_of<'a>(headers: &'a HeaderMap, site: &Site) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(site)).map(|(_, value)| value)
}

/// Open streams by session, so that they end with it.
#[derive(Debug, Clone, Default)]
pub struct OpenStreams(Arc<Mutex<BySession>>);

/// What cancels a session's streams, and how many there are.
type BySession = HashMap<[u8; 32], (CancellationToken, usize)>;

/// One open stream; dropping it takes it off the list.
#[derive(Debug)]
pub struct OpenStream {
    streams: OpenStreams,
    hash: [u8; 32],
    /// Cancelled when the session ends.
    pub ended: CancellationToken,
}

impl OpenStreams {
    /// Adds a stream unless the session has [`STREAMS_PER_SESSION`] already.
    #[must_use]
    pub fn open(&self, hash: [u8; 32]) -> Option<OpenStream> {
        let mut streams = self.lock();
        let (ended, count) = streams.entry(hash).or_default();
        if *count >= STREAMS_PER_SESSION {
            return None;
        }
        *count += 1;
        Some(OpenStream { streams: self.clone(), hash, ended: ended.clone() })
    }

    /// Ends all streams of a session.
    pub fn end(&self, hash: &[u8; 32]) {
        if let Some((ended, _)) = self.lock().remove(hash) {
            ended.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BySession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenStream {
    /// Of the session that it belongs to.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut streams = self.streams.lock();
        if self.ended.is_cancelled() {
            return;
        }
        if let Some((_, count)) = streams.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_bound_to_the_host_where_that_works() {
        let site = |secure| Site { origin: String::new(), secure };
        assert_eq!(
            cookie(&site(true), "abc", 60).unwrap(),
            "__Host-fleetlight=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
        );
        assert_eq!(
            cookie(&site(false), "abc", 60).unwrap(),
            "fleetlight=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60"
        );
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("a=b; fleetlight=c; d"))]);
        assert_eq!(secret_of(&headers, &site(false)), Some("c"));
        assert_eq!(secret_of(&headers, &site(true)), None, "a plain cookie is nothing on the encrypted site");
    }

    #[test]
    fn streams_are_counted_by_session_and_end_with_it() {
        let streams = OpenStreams::default();
        let mut open: Vec<_> = (0..STREAMS_PER_SESSION).map(|_| streams.open([1; 32]).unwrap()).collect();
        assert!(streams.open([1; 32]).is_none() && streams.open([2; 32]).is_some());
        open.pop();
        assert!(streams.open([1; 32]).is_some());
        streams.end(&[1; 32]);
        assert!(open.iter().all(|stream| stream.ended.is_cancelled()));
        drop(open);
        assert!(streams.lock().is_empty());
    }
}
