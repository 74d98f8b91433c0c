//! Who makes a call, and by what: a session's cookie, an API token, HTTP Basic, a JWT.
//!
//! An `Authorization` header decides alone; a cookie beside it is not looked at.

use super::access::{Permission, Scope};
use super::basic::{self, Credentials};
use super::guard::Asked;
use super::{Api, ApiError, envelope, session};
use crate::limits::{FRESH_FOR, SESSION_IDLE, SESSION_TOUCH_EVERY};
use crate::live::presence::Now;
use crate::store::api_tokens::ApiToken;
use crate::store::users::{Role, User};
use crate::store::web_sessions::WebSession;
use axum::extract::Request;
use axum::http::header;
use tokio::sync::SemaphorePermit;

/// How API tokens begin; other bearers are JWTs.
pub const TOKEN_PREFIX: &str = "fl_";

/// Whoever makes a call; every handler behind [`super::guard::admit`] can have it as `Extension<Caller>`.
#[derive(Debug, Clone)]
pub struct Caller {
    /// None for a JWT: its issuer knows the person, we do not.
    pub user_id: Option<i32>,
    /// Of the account, or `jwt:` and the subject.
    pub name: String,
    /// By what, as the audit says it: `session`, `token "deploy"`, `password`, `jwt`.
    pub authenticated: String,
    pub role: Role,
    pub must_change_password: bool,
    proof: Proof,
}

#[derive(Debug, Clone)]
enum Proof {
    Session(WebSession),
    Token {
        hash: [u8; 32],
        role: Role,
        scopes: Vec<Scope>,
        expires_ms: i64,
    },
    /// The password came with this very call; `stored` is its hash as it was then.
    Basic {
        stored: Option<String>,
    },
    Jwt {
        hash: [u8; 32],
        expires_ms: i64,
    },
}

impl Caller {
    pub(super) fn of_session(session: WebSession) -> Self {
        Self {
            user_id: Some(session.user_id),
            name: session.user_name.clone(),
            authenticated: "session".to_owned(),
            role: session.role,
            must_change_password: session.must_change_password,
            proof: Proof::Session(session),
        }
    }

    pub(super) fn of_password(user: User) -> Self {
        Self {
            user_id: Some(user.id),
            name: user.name,
            authenticated: "password".to_owned(),
            role: user.role,
            must_change_password: user.must_change_password,
            proof: Proof::Basic { stored: user.password_hash },
        }
    }

    fn of_token(hash: [u8; 32], token: ApiToken) -> Self {
        let ApiToken { record, owner_role, owner_must_change_password } = token;
        Self {
            user_id: Some(record.user_id),
            name: record.user_name,
            authenticated: format!("token {:?}", record.name),
            role: owner_role,
            must_change_password: owner_must_change_password,
            proof: Proof::Token {
                hash,
                role: record.role,
                scopes: record.scopes.iter().filter_map(|scope| Scope::from_name(scope)).collect(),
                expires_ms: record.expires_ms,
            },
        }
    }

    pub(super) fn of_jwt(hash: [u8; 32], subject: &str, role: Role, expires_ms: i64) -> Self {
        Self {
            user_id: None,
            name: format!("jwt:{subject}"),
            authenticated: "jwt".to_owned(),
            role,
            must_change_password: false,
            proof: Proof::Jwt { hash, expires_ms },
        }
    }

    /// Whether the caller may do this now.
    ///
    /// # Errors
    /// 403 in words; with the code `password_due` or `reauthenticate` where the caller can mend it at once.
    pub fn may(&self, permission: Permission) -> Result<(), ApiError> {
        if self.must_change_password && permission != Permission::Account {
            let words = "a new password is due first: POST password with the old and the new one";
            return Err(ApiError { code: Some("password_due"), ..ApiError::forbidden(words) });
        }
        let role = match &self.proof {
            Proof::Token { role, .. } if !role.allows(permission) => *role,
            _ => self.role,
        };
        if !role.allows(permission) {
            let (role, what) = (role.name(), permission.words());
            return Err(ApiError::forbidden(format!("the role {role} may not {what}; ask an admin")));
        }
        match &self.proof {
            Proof::Session(session) if permission.needs_fresh_password() && !is_fresh(session) => {
                let words = "give the password once more for this: POST reauthenticate, then try again";
                Err(ApiError { code: Some("reauthenticate"), ..ApiError::forbidden(words) })
            }
            Proof::Session(_) | Proof::Basic { .. } => Ok(()),
            Proof::Token { scopes, .. } => in_scope(permission, scopes),
            Proof::Jwt { .. } => in_scope(permission, &Scope::ALL),
        }
    }

    /// The session, if it is one.
    ///
    /// # Errors
    /// 400: this call is for sessions.
    pub(super) fn session(&self) -> Result<&WebSession, ApiError> {
        match &self.proof {
            Proof::Session(session) => Ok(session),
            _ => Err(ApiError::bad_request("this call is for sessions of browsers: log in first")),
        }
    }

    /// The account.
    ///
    /// # Errors
    /// 400: a JWT's subject has none here.
    pub(super) fn account(&self) -> Result<i32, ApiError> {
        self.user_id.ok_or_else(|| ApiError::bad_request("whoever comes by JWT has no account here"))
    }

    /// All that [`Caller::may`] allows, or would allow right after the password was given.
    pub(super) fn allowed(&self) -> Vec<Permission> {
        let allowed = |permission: &Permission| match self.may(*permission) {
            Ok(()) => true,
            Err(error) => error.code == Some("reauthenticate"),
        };
        Permission::ALL.into_iter().filter(allowed).collect()
    }

    /// Whose sessions and tokens the caller may see and end: none for everybody's.
    ///
    /// # Errors
    /// 400: a JWT's subject has no account here.
    pub(super) fn only_own(&self) -> Result<Option<i32>, ApiError> {
        let own = self.account()?;
        Ok(if self.may(Permission::SeePeople).is_ok() { None } else { Some(own) })
    }

    /// When the proof ends, whatever happens.
    pub(super) fn expires_ms(&self) -> Option<i64> {
        match &self.proof {
            Proof::Session(session) => Some(session.expires_ms),
            Proof::Token { expires_ms, .. } | Proof::Jwt { expires_ms, .. } => Some(*expires_ms),
            Proof::Basic { .. } => None,
        }
    }

    /// What streams are counted by.
    pub(super) fn stream_key(&self) -> [u8; 32] {
        match &self.proof {
            Proof::Session(session) => session.hash,
            Proof::Token { hash, .. } | Proof::Jwt { hash, .. } => *hash,
            Proof::Basic { .. } => session::hash(&format!("basic {:?}", self.user_id)),
        }
    }

    /// Until when the same proof holds, should it not be used again: for ever by itself for a password; none if it has
    /// ended. Does not count as use.
    pub(super) async fn holds_until(&self, api: &Api) -> Result<Option<i64>, ApiError> {
        let now_ms = Now::take().wall_ms;
        match &self.proof {
            Proof::Session(session) => Ok(session::find(api, session.hash).await?.as_ref().map(end_of)),
            Proof::Token { hash, expires_ms, .. } => {
                Ok(api.store().api_token(*hash, now_ms).await?.map(|_| *expires_ms))
            }
            Proof::Jwt { expires_ms, .. } => Ok((now_ms < *expires_ms).then_some(*expires_ms)),
            Proof::Basic { stored } => {
                let Some(id) = self.user_id else { return Ok(None) };
                let user = api.store().user_by_id(id).await?;
                let same = user.is_some_and(|user| user.active && user.password_hash == *stored);
                Ok(same.then_some(i64::MAX))
            }
        }
    }
}

/// Absolutely, or by disuse.
fn end_of(session: &WebSession) -> i64 {
    session.expires_ms.min(session.used_ms + SESSION_IDLE.as_millis() as i64)
}

fn is_fresh(session: &WebSession) -> bool {
    Now::take().wall_ms - session.authenticated_ms < FRESH_FOR.as_millis() as i64
}

fn in_scope(permission: Permission, scopes: &[Scope]) -> Result<(), ApiError> {
    match permission.scope() {
        None => Err(ApiError::forbidden(format!("no token may {}; log in for it", permission.words()))),
        Some(scope) if scopes.contains(&scope) => Ok(()),
        Some(scope) => {
            let (what, scope) = (permission.words(), scope.name());
            Err(ApiError::forbidden(format!("this token may not {what}: it lacks the scope {scope}")))
        }
    }
}

/// What a request shows of its sender.
pub(super) struct Shown {
    authorization: Option<String>,
    cookie: Option<[u8; 32]>,
    asked: Option<Asked>,
}

impl Shown {
    pub(super) fn by(request: &Request) -> Self {
        let authorization = request.headers().get(header::AUTHORIZATION);
        Self {
            authorization: authorization.map(|value| value.to_str().unwrap_or_default().trim().to_owned()),
            cookie: session::cookie_hash(request),
            asked: request.extensions().get::<Asked>().cloned(),
        }
    }
}

/// Whoever sends a request, with a place for the call. A password is hashed outside of that place, in one of those
/// that logins have: guesses by the thousand shut nobody out who is in.
pub(super) async fn of_request(api: &Api, shown: Shown) -> Result<(Option<Caller>, SemaphorePermit<'_>), ApiError> {
    let place = envelope::place(&api.0.room).await?;
    let Some(authorization) = shown.authorization else { return Ok((of_cookie(api, shown.cookie).await?, place)) };
    let (scheme, value) = authorization.split_once(' ').unwrap_or((&authorization, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok((Some(of_bearer(api, value.trim()).await?), place));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(refused("the Authorization header must be Bearer or Basic"));
    }
    let credentials = Credentials::parse(value.trim()).ok_or_else(|| refused("the Basic credentials are malformed"))?;
    if let Some(user) = basic::remembered(api, &credentials).await? {
        return Ok((Some(Caller::of_password(user)), place));
    }
    drop(place);
    let asked = shown.asked.ok_or_else(|| ApiError::internal("a request without its host"))?;
    let user = basic::judged(api, credentials, &asked).await?;
    Ok((Some(Caller::of_password(user)), envelope::place(&api.0.room).await?))
}

async fn of_cookie(api: &Api, cookie: Option<[u8; 32]>) -> Result<Option<Caller>, ApiError> {
    let Some(hash) = cookie else { return Ok(None) };
    let Some(session) = session::find(api, hash).await? else { return Ok(None) };
    let now_ms = Now::take().wall_ms;
    if is_due(Some(session.used_ms), now_ms) {
        api.store().touch_web_session(session.hash, now_ms).await?;
    }
    Ok(Some(Caller::of_session(session)))
}

async fn of_bearer(api: &Api, token: &str) -> Result<Caller, ApiError> {
    if !token.starts_with(TOKEN_PREFIX) {
        let verifier = api.0.jwt.as_ref().ok_or_else(|| refused("this is no API token, and no JWTs are configured"))?;
        return verifier.caller(token, Now::take().wall_ms).map_err(|fault| refused(format!("the JWT {fault}")));
    }
    let (hash, now_ms) = (session::hash(token), Now::take().wall_ms);
    let found = api.store().api_token(hash, now_ms).await?;
    let found = found.ok_or_else(|| refused("this API token is unknown, over or revoked, or its owner disabled"))?;
    if is_due(found.record.used_ms, now_ms) {
        api.store().touch_api_token(found.record.id, now_ms).await?;
    }
    Ok(Caller::of_token(hash, found))
}

/// Whether a use is to be noted: a write a minute, not one a call.
fn is_due(used_ms: Option<i64>, now_ms: i64) -> bool {
    used_ms.is_none_or(|used_ms| now_ms - used_ms >= SESSION_TOUCH_EVERY.as_millis() as i64)
}

/// 401 in these words.
pub(super) fn refused(words: impl Into<String>) -> ApiError {
    ApiError { detail: words.into(), ..ApiError::unauthorized(false) }
}
