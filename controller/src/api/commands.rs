//! Commands: asked, listed, cancelled, watched. What a host does is the host's to say; this asks.

use super::access::permission_of;
use super::audit::{Actor, record};
use super::caller::Caller;
use super::extract::{Body, Query};
use super::{Api, ApiError, extract, hosts};
use crate::dispatch::view::CommandView;
use crate::dispatch::{Refused, Wish};
use crate::limits::COMMANDS_PER_PAGE;
use crate::store::audit::{Act, Who};
use crate::store::commands::CommandFilter;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use fleetlight_protocol::command::Action;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// As docs/api.md states it.
    #[schemars(with = "serde_json::Value")]
    action: Action,
    deadline_seconds: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// As the host's policy declares it.
    pattern: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    host: Option<i32>,
    #[serde(default)]
    open: bool,
    before: Option<Uuid>,
    limit: Option<usize>,
}

pub async fn create(
    State(api): State<Api>,
    Actor(who): Actor,
    Extension(caller): Extension<Caller>,
    Path(host): Path<String>,
    Body(order): Body<Order>,
) -> Result<(StatusCode, Json<CommandView>), ApiError> {
    caller.may(permission_of(&order.action))?;
    let host_id = hosts::known(&api, &host)?;
    ask(&api, &who, host_id, order.action, order.deadline_seconds).await
}

pub async fn emergency_stop(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(host): Path<String>,
    Body(emergency): Body<Emergency>,
) -> Result<(StatusCode, Json<CommandView>), ApiError> {
    let host_id = hosts::known(&api, &host)?;
    ask(&api, &who, host_id, Action::EmergencyStop { pattern: emergency.pattern }, None).await
}

/// The one way from the API to a host.
pub(super) async fn ask(
    api: &Api,
    who: &Who,
    host_id: i32,
    action: Action,
    deadline_seconds: Option<u64>,
) -> Result<(StatusCode, Json<CommandView>), ApiError> {
    let host_name = api.live().name_of(host_id).unwrap_or_default();
    let wish = Wish { host_id, host_name, action, deadline: deadline_seconds.map(Duration::from_secs) };
    let view = api.dispatch().submit(wish, who).await?;
    tracing::info!(by = who.name, host = view.host, action = view.action, subject = view.subject, command = %view.id, "command asked");
    Ok((StatusCode::ACCEPTED, Json(view)))
}

pub async fn list(
    State(api): State<Api>,
    Query(question): Query<Question>,
) -> Result<Json<Vec<CommandView>>, ApiError> {
    let Question { host: host_id, open, before, limit } = question;
    let limit = extract::limit(limit, COMMANDS_PER_PAGE)?;
    Ok(Json(api.dispatch().commands(CommandFilter { host_id, open, before }, limit).await?))
}

pub async fn get(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<CommandView>, ApiError> {
    let found = api.dispatch().command(extract::id(&id, "command")?).await?;
    found.map(Json).ok_or_else(|| no_such(&id))
}

pub async fn cancel(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
) -> Result<Json<CommandView>, ApiError> {
    let uuid: Uuid = extract::id(&id, "command")?;
    let known = api.dispatch().command(uuid).await?.ok_or_else(|| no_such(&id))?;
    let act = Act {
        action: "command.cancel".into(),
        host_id: Some(known.host_id),
        subject: known.subject,
        detail: json!({ "command": uuid, "action": known.action }),
    };
    let cancel = async {
        let cancelled = api.dispatch().cancel(uuid).await?;
        cancelled.map(Json).ok_or_else(|| no_such(&id))
    };
    record(&api, &who, act, cancel).await
}

pub(super) fn no_such(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no command {id:?}"))
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let words = refused.to_string();
        match refused {
            Refused::Wrong(_) => Self::bad_request(words),
            Refused::Full(_) => Self::too_many(words, Duration::from_secs(5)),
            Refused::TooFast(wait) => Self::too_many(words, wait),
            Refused::Store(error) => error.into(),
        }
    }
}
