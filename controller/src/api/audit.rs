//! Who did what: written before each act and after it; read as pages and as CSV.

use super::caller::Caller;
use super::extract::Query;
use super::guard::Asked;
use super::{Api, ApiError, csv, extract};
use crate::limits::{
    ACTS_AUDITED, AUDIT_PER_PAGE, AUDITED_PEOPLE, FAILED_LOGINS_AUDITED, REFUSALS_AUDITED, USER_NAME_CHARS,
};
use crate::live::presence::Now;
use crate::store::audit::{Act, AuditFilter, AuditRecord, Who};
use crate::store::users::{Role, User};
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Json, Response};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Whoever makes a call, as the audit log names them.
#[derive(Debug, Clone)]
pub struct Actor(pub Who);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>().ok_or_else(|| ApiError::internal("nobody makes this call"))?;
        Ok(Self(who(caller, parts.extensions.get::<Asked>())))
    }
}

fn who(caller: &Caller, asked: Option<&Asked>) -> Who {
    Who {
        user_id: caller.user_id,
        name: caller.name.clone(),
        role: caller.role.name().to_owned(),
        authenticated: caller.authenticated.clone(),
        address: asked.map(|asked| asked.client.to_string()).unwrap_or_default(),
        request_id: asked.map(|asked| asked.request_id.clone()).unwrap_or_default(),
    }
}

/// What a handler has to say of its act beyond its name and path, for the log: as an extension of its answer.
#[derive(Debug, Clone)]
pub struct Said(pub Value);

/// Who does what, by a call's path; what it is done to is the path's own part, its last one first.
pub(super) fn act(caller: &Caller, name: &'static str, path: &'static str, request: &Request) -> (Who, Act) {
    let segments = path.rsplit('/').zip(request.uri().path().rsplit('/'));
    let own: Vec<&str> = segments.filter(|(stated, _)| stated.starts_with('{')).map(|(_, given)| given).collect();
    let host_id = own.last().filter(|_| path.starts_with("/hosts/")).and_then(|id| id.parse().ok());
    let subject = own.join(" ").chars().take(USER_NAME_CHARS).collect();
    let act = Act { action: name.to_owned(), host_id, subject, detail: json!({}) };
    (who(caller, request.extensions().get::<Asked>()), act)
}

/// Writes a call, answers it, and writes how it ended. Without the first nothing is done.
pub(super) async fn around(api: &Api, who: &Who, act: Act, call: impl Future<Output = Response>) -> Response {
    let id = match api.store().begin_audit(who, &act, Now::take().wall_ms).await {
        Ok(id) => id,
        Err(error) => return ApiError::from(error).into_response(),
    };
    let response = call.await;
    let status = response.status();
    let (outcome, detail) = match response.extensions().get::<ApiError>() {
        Some(error) => ending(error),
        None if status.is_client_error() || status.is_server_error() => ending(&ApiError::of_status(status)),
        None => ("done", response.extensions().get::<Said>().map_or(json!({}), |said| said.0.clone())),
    };
    close(api, id, outcome, detail).await;
    response
}

/// Writes an act, does it, and writes how it ended. Without the first nothing is done.
///
/// # Errors
/// Those of the act, or the database's.
pub async fn record<T>(
    api: &Api,
    who: &Who,
    act: Act,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let id = api.store().begin_audit(who, &act, Now::take().wall_ms).await?;
    let done = work.await;
    let (outcome, detail) = done.as_ref().map_or_else(ending, |_| ("done", json!({})));
    close(api, id, outcome, detail).await;
    done
}

/// Writes an act that was refused before it began; the refusal comes back. So many a minute of one person are written;
/// the others are counted with the next that is.
pub(super) async fn refused(api: &Api, who: &Who, act: Act, error: ApiError) -> ApiError {
    let Some(left_out) = api.0.refusals.next(&who.name, REFUSALS_AUDITED, Instant::now()) else { return error };
    let act = Act { detail: json!({ "reason": error.detail, "left_out_before": left_out }), ..act };
    if let Err(error) = api.store().note_audit(who, &act, "refused", Now::take().wall_ms).await {
        tracing::warn!(%error, action = act.action, "a refusal is not in the audit log");
    }
    error
}

/// Whether somebody may do one more thing that is written.
///
/// # Errors
/// 429: no more in this minute.
pub(super) fn room_for_act(api: &Api, name: &str) -> Result<(), ApiError> {
    let words = "this is written into the audit log, and so many such calls in a minute are not taken: try again later";
    let next = api.0.acts.next(name, ACTS_AUDITED, Instant::now());
    next.map(drop).ok_or_else(|| ApiError::too_many(words, MINUTE))
}

/// As [`room_for_act`], of whoever is no admin: admins answer for what they write.
pub(super) fn room_for_act_of(api: &Api, caller: &Caller) -> Result<(), ApiError> {
    if caller.role == Role::Admin { Ok(()) } else { room_for_act(api, &caller.name) }
}

fn ending(error: &ApiError) -> (&'static str, Value) {
    let outcome = if error.status.is_server_error() { "failed" } else { "refused" };
    (outcome, json!({ "reason": error.detail }))
}

async fn close(api: &Api, id: i64, outcome: &str, detail: Value) {
    if let Err(error) = api.store().close_audit(id, outcome, detail, Now::take().wall_ms).await {
        tracing::warn!(%error, audit = id, outcome, "an act is not closed in the audit log; the sweep closes it as unknown");
    }
}

/// A password that was right, by the login or by HTTP Basic.
///
/// # Errors
/// The database does not answer: nobody comes in unseen; 429: too often.
pub(super) async fn logged_in(api: &Api, user: &User, asked: &Asked, action: &str) -> Result<(), ApiError> {
    room_for_act(api, &user.name)?;
    let (who, act) = login(Some(user.id), &user.name, user.role.name(), asked, action, json!({}));
    Ok(api.store().note_audit(&who, &act, "done", Now::take().wall_ms).await?)
}

/// A password that was wrong. So many a minute are written; the others are counted with the next that is.
pub(super) async fn login_failed(api: &Api, name: &str, asked: &Asked) {
    let Some(left_out) = api.0.failed_logins.next("", FAILED_LOGINS_AUDITED, Instant::now()) else { return };
    let (who, act) = login(None, name, "", asked, "login", json!({ "left_out_before": left_out }));
    if let Err(error) = api.store().note_audit(&who, &act, "refused", Now::take().wall_ms).await {
        tracing::warn!(%error, "a failed login is not in the audit log");
    }
}

/// A password that is set by a one-time link.
pub(super) fn by_link(user: &User, asked: &Asked) -> (Who, Act) {
    login(Some(user.id), &user.name, user.role.name(), asked, "password.set_by_link", json!({}))
}

fn login(user_id: Option<i32>, name: &str, role: &str, asked: &Asked, action: &str, detail: Value) -> (Who, Act) {
    let who = Who {
        user_id,
        name: name.to_owned(),
        role: role.to_owned(),
        authenticated: "password".into(),
        address: asked.client.to_string(),
        request_id: asked.request_id.clone(),
    };
    (who, Act { action: action.to_owned(), host_id: None, subject: name.to_owned(), detail })
}

const MINUTE: Duration = Duration::from_secs(60);

/// Keeps what comes by the thousand from filling a log that nothing is ever deleted from: so much a minute of each name.
#[derive(Debug, Default)]
pub struct Written(Mutex<HashMap<String, Minute>>);

#[derive(Debug)]
struct Minute {
    began: Instant,
    count: u32,
    left_out: u64,
}

impl Written {
    /// Whether the next one is written, and how many before it were not.
    fn next(&self, name: &str, most: u32, now: Instant) -> Option<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |minute: &Minute| now.duration_since(minute.began) >= MINUTE;
        if known.len() >= AUDITED_PEOPLE && !known.contains_key(name) {
            known.retain(|_, minute| !is_over(minute));
            if known.len() >= AUDITED_PEOPLE {
                return None;
            }
        }
        let minute = known.entry(name.to_owned()).or_insert(Minute { began: now, count: 0, left_out: 0 });
        if is_over(minute) {
            (minute.began, minute.count) = (now, 0);
        }
        if minute.count >= most {
            minute.left_out += 1;
            return None;
        }
        minute.count += 1;
        Some(std::mem::take(&mut minute.left_out))
    }
}

/// Which acts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    user: Option<String>,
    action: Option<String>,
    host: Option<i32>,
    outcome: Option<String>,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    before: Option<i64>,
    limit: Option<usize>,
}

impl Question {
    fn filter(self) -> AuditFilter {
        let Self { user, action, host, outcome, from_ms, to_ms, before, limit: _ } = self;
        AuditFilter { user, action, host_id: host, outcome, from_ms, to_ms, before }
    }
}

pub async fn list(
    State(api): State<Api>,
    Query(question): Query<Question>,
) -> Result<Json<Vec<AuditRecord>>, ApiError> {
    let limit = extract::limit(question.limit, AUDIT_PER_PAGE)?;
    Ok(Json(api.store().audit(&question.filter(), limit).await?))
}

const COLUMNS: &str = "id,at,user,role,authenticated,address,action,host,subject,outcome,reason,observed,closed_at,late,\
                       duration_ms,detail,result,request_id,command_id,bulk_id\r\n";

/// All that match, page by page as they are read.
pub async fn csv(State(api): State<Api>, Query(question): Query<Question>) -> Result<Response, ApiError> {
    let most = question.limit.unwrap_or(usize::MAX);
    let filter = question.filter();
    let first = page(&api, &filter, most).await?;
    let pages = stream::unfold((api, filter, Some((COLUMNS.to_owned(), first, most))), async |(api, filter, at)| {
        let (head, records, left) = at?;
        let text = head + &records.iter().map(line).collect::<String>();
        let left = left - records.len();
        let next = match records.last() {
            Some(last) if records.len() == AUDIT_PER_PAGE.min(left + records.len()) && left > 0 => {
                let filter = AuditFilter { before: Some(last.id), ..filter.clone() };
                match page(&api, &filter, left).await {
                    Ok(records) => Some((String::new(), records, left)),
                    // The answer has begun: it can only break off, which the reader is told by the missing end.
                    Err(error) => return Some((Err(std::io::Error::other(error.detail)), (api, filter, None))),
                }
            }
            _ => None,
        };
        Some((Ok(text), (api, filter, next)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"fleetlight-audit.csv\""),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

async fn page(api: &Api, filter: &AuditFilter, left: usize) -> Result<Vec<AuditRecord>, ApiError> {
    Ok(api.store().audit(filter, left.min(AUDIT_PER_PAGE)).await?)
}

fn line(record: &AuditRecord) -> String {
    let said = |key: &str| record.result.as_ref().and_then(|result| result[key].as_str()).unwrap_or_default();
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    csv::line(&[
        &record.id.to_string(),
        &csv::time(record.at_ms),
        &record.user,
        &record.role,
        &record.authenticated,
        &record.address,
        &record.action,
        record.host.as_deref().unwrap_or_default(),
        &record.subject,
        &record.outcome,
        said("reason"),
        said("observed"),
        &record.closed_ms.map(csv::time).unwrap_or_default(),
        if record.late { "late" } else { "" },
        &record.closed_ms.map(|closed_ms| (closed_ms - record.at_ms).to_string()).unwrap_or_default(),
        &record.detail.to_string(),
        &record.result.as_ref().map(ToString::to_string).unwrap_or_default(),
        &record.request_id,
        &id(record.command_id),
        &id(record.bulk_id),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_not_written() {
        let (written, now) = (Written::default(), Instant::now());
        let next = |name: &str, now| written.next(name, FAILED_LOGINS_AUDITED, now);
        for _ in 0..FAILED_LOGINS_AUDITED {
            assert_eq!(next("ann", now), Some(0));
        }
        assert_eq!((next("ann", now), next("ann", now), next("bo", now)), (None, None, Some(0)));
        let later = now + MINUTE;
        assert_eq!((next("ann", later), next("ann", later)), (Some(2), Some(0)));
        for number in 0..AUDITED_PEOPLE {
            next(&number.to_string(), later);
        }
        assert_eq!(written.0.lock().unwrap().len(), AUDITED_PEOPLE);
        assert_eq!((next("cy", later), next("cy", later + MINUTE)), (None, Some(0)), "room comes back");
    }
}
