//! Sessions of people: the cookie, its life, and the streams that end with it.
//!
//! The cookie is `__Host-fleetlight` where the page is reached encrypted. On plain loopback its name
//! is `fleetlight`, without `Secure`: Safari and curl drop the other there.

use super::access::Permission;
use super::caller::Caller;
use super::guard::Asked;
use super::openapi::{Answer, Operation};
use super::settings::Site;
use super::{Api, ApiError, caller, device};
use crate::limits::{FRESH_FOR, SESSION_ABSOLUTE, SESSION_IDLE, USER_AGENT_CHARS};
use crate::live::presence::Now;
use crate::store::users::{Role, User};
use crate::store::web_sessions::{NewWebSession, WebSession};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Json, Response};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// `GET session`: who asks. That nobody is logged in is an answer, no refusal: the page asks before
/// anything else, and a browser logs each refusal as an error.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct SessionView {
    /// Nobody is logged in without it.
    name: Option<String>,
    user_id: Option<i32>,
    authenticated: Option<String>,
    role: Option<Role>,
    /// What the caller's role allows; a session may have to give the password once more for some of it.
    may: Vec<Permission>,
    must_change_password: bool,
    /// When it ends whatever happens; unused for twelve hours it ends sooner.
    expires_ms: Option<i64>,
    /// Until when the password counts as given just now.
    fresh_until_ms: Option<i64>,
    /// Nobody can log in yet: the one-time link comes first.
    setup_required: bool,
}

impl SessionView {
    fn of(caller: &Caller) -> Self {
        let session = caller.session().ok();
        Self {
            name: Some(caller.name.clone()),
            user_id: caller.user_id,
            authenticated: Some(caller.authenticated.clone()),
            role: Some(caller.role),
            may: caller.allowed(),
            must_change_password: caller.must_change_password,
            expires_ms: caller.expires_ms(),
            fresh_until_ms: session.map(|session| session.authenticated_ms + FRESH_FOR.as_millis() as i64),
            setup_required: false,
        }
    }
}

pub async fn get(State(api): State<Api>, caller: Option<Extension<Caller>>) -> Result<Json<SessionView>, ApiError> {
    let view = match caller {
        Some(Extension(caller)) => SessionView::of(&caller),
        None => SessionView { setup_required: setup_required(&api).await?, ..SessionView::default() },
    };
    Ok(Json(view))
}

pub async fn logout(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
) -> Result<Response, ApiError> {
    let session = caller.session()?;
    api.store().end_web_session(session.hash).await?;
    api.0.streams.end(&session.hash);
    left(&asked)
}

/// The answer to whoever's session has ended.
pub(super) fn left(asked: &Asked) -> Result<Response, ApiError> {
    let cookie = set_cookie(&asked.site, cookie_name(&asked.site), "", 0)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// The answer to whoever has logged in.
#[derive(Debug)]
pub struct LoggedIn {
    cookies: [HeaderValue; 2],
    view: SessionView,
}

impl IntoResponse for LoggedIn {
    fn into_response(self) -> Response {
        let cookies = AppendHeaders(self.cookies.map(|cookie| (header::SET_COOKIE, cookie)));
        (cookies, Json(self.view)).into_response()
    }
}

impl Answer for LoggedIn {
    fn describe(operation: &mut Operation) {
        Json::<SessionView>::describe(operation);
    }
}

/// Begins a session for `user`, by a secret of its own, in place of the one that the browser may have had; answers
/// with its cookies.
pub(super) async fn begin(api: &Api, user: &User, asked: &Asked, headers: &HeaderMap) -> Result<LoggedIn, ApiError> {
    if let Some(old) = cookie_value(headers, cookie_name(&asked.site)).map(hash) {
        api.store().end_web_session(old).await?;
        api.0.streams.end(&old);
    }
    let secret = secret::<32>()?;
    let now_ms = Now::take().wall_ms;
    let expires_ms = now_ms + SESSION_ABSOLUTE.as_millis() as i64;
    let address = asked.client.to_string();
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let user_agent: String = user_agent.chars().take(USER_AGENT_CHARS).collect();
    let hash = hash(&secret);
    let (user_id, password_hash, user_agent) = (user.id, user.password_hash.as_deref(), user_agent.as_str());
    let new = NewWebSession { hash, user_id, password_hash, address: &address, user_agent, now_ms, expires_ms };
    if !api.store().begin_web_session(new).await? {
        return Err(caller::refused("the account was changed at this very moment: log in again"));
    }
    let device = device::remember(api, user.id, headers, asked).await?;
    let cookie = set_cookie(&asked.site, cookie_name(&asked.site), &secret, SESSION_ABSOLUTE.as_secs())?;
    let caller = Caller::of_session(WebSession {
        hash,
        user_id: user.id,
        user_name: user.name.clone(),
        role: user.role,
        must_change_password: user.must_change_password,
        authenticated_ms: now_ms,
        used_ms: now_ms,
        expires_ms,
    });
    Ok(LoggedIn { cookies: [cookie, device], view: SessionView::of(&caller) })
}

/// Refuses nobody in particular.
pub(super) async fn refusal(api: &Api) -> Result<(), ApiError> {
    Err(ApiError::unauthorized(setup_required(api).await?))
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

/// A cookie that no script reads and no other site sends.
pub(super) fn set_cookie(site: &Site, name: &str, value: &str, max_age: u64) -> Result<HeaderValue, ApiError> {
    let secure = if site.secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}");
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

/// Hash of a request's cookie, if it has one.
pub(super) fn cookie_hash(request: &Request) -> Option<[u8; 32]> {
    let asked = request.extensions().get::<Asked>()?;
    cookie_value(request.headers(), cookie_name(&asked.site)).map(hash)
}

/// The first cookie of a name.
pub(super) fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_bound_to_the_host_where_that_works() {
        let site = |secure| Site { origin: String::new(), secure };
        let cookie = |site: &Site| set_cookie(site, cookie_name(site), "abc", 60).unwrap();
        assert_eq!(cookie(&site(true)), "__Host-fleetlight=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure");
        assert_eq!(cookie(&site(false)), "fleetlight=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60");
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("a=b; fleetlight=c; d"))]);
        let secret_of = |site: &Site| cookie_value(&headers, cookie_name(site));
        assert_eq!(secret_of(&site(false)), Some("c"));
        assert_eq!(secret_of(&site(true)), None, "a plain cookie is nothing on the encrypted site");
    }
}
