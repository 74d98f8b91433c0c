//! Acts on containers by their ids, looked up in the live view: host, name and image are those that the asker sees.

use super::access::permission_of_verb;
use super::audit::Actor;
use super::caller::Caller;
use super::extract::Body;
use super::{Api, ApiError, commands};
use crate::dispatch::view::CommandView;
use crate::limits::STABLE_SECONDS_DEFAULT;
use crate::live::HostContainer;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use fleetlight_protocol::command::{Action, ContainerTarget, ContainerVerb};
use schemars::JsonSchema;
use serde::Deserialize;

/// Digits of an id that name a container; Docker's own tools show as many.
const SHORT_ID: usize = 12;

/// Containers of one name that a refusal lists.
const NAMED_AT_MOST: usize = 5;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    stable_seconds: Option<u32>,
    deadline_seconds: Option<u64>,
}

pub async fn act(
    State(api): State<Api>,
    Actor(who): Actor,
    Extension(caller): Extension<Caller>,
    Path((id, verb)): Path<(String, String)>,
    Body(order): Body<Order>,
) -> Result<(StatusCode, Json<CommandView>), ApiError> {
    let verb = verb_of(&verb)?;
    caller.may(permission_of_verb(verb))?;
    let found = find(&api, &id)?;
    let stable_seconds = order.stable_seconds.unwrap_or(STABLE_SECONDS_DEFAULT);
    let action = Action::Container { verb, container: target(&found), stable_seconds };
    commands::ask(&api, &who, found.host_id, action, order.deadline_seconds).await
}

pub(super) fn target(container: &HostContainer) -> ContainerTarget {
    let document = &container.document;
    ContainerTarget { id: document.id.clone(), name: document.name.clone(), image: document.image.clone() }
}

pub(super) fn verb_of(name: &str) -> Result<ContainerVerb, ApiError> {
    let short = |verb: &ContainerVerb| verb.action().trim_start_matches("container.");
    ContainerVerb::ALL.into_iter().find(|verb| short(verb) == name).ok_or_else(|| {
        let verbs = ContainerVerb::ALL.iter().map(short).collect::<Vec<_>>().join(", ");
        ApiError::not_found(format!("nothing is called {name:?} that containers can be asked for; allowed: {verbs}"))
    })
}

/// A name is not enough to act on: the next container may have it by then.
fn no_such_id(api: &Api, name: &str) -> ApiError {
    let mut called = api.live().containers(|_, container| container.name == name);
    called.truncate(NAMED_AT_MOST);
    let ids =
        called.iter().map(|it| format!("{} on {}", it.document.id.get(..SHORT_ID).unwrap_or_default(), it.host_name));
    let ids = match ids.collect::<Vec<_>>() {
        ids if ids.is_empty() => "as `docker ps` and the documents of GET hosts/{id} have it".to_owned(),
        ids => format!("of this name: {}", ids.join(", ")),
    };
    ApiError::not_found(format!(
        "there is no container with the id {name:?}: give an id, or {SHORT_ID} digits of it; {ids}"
    ))
}

fn find(api: &Api, id: &str) -> Result<HostContainer, ApiError> {
    let no_such = || ApiError::not_found(format!("there is no container with the id {id:?}"));
    if id.len() < SHORT_ID || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(no_such_id(api, id));
    }
    let mut found = api.live().containers(|_, container| container.id.starts_with(id));
    match found.len() {
        0 => Err(no_such()),
        1 => Ok(found.remove(0)),
        count => Err(ApiError::conflict(format!("{count} containers have ids that begin with {id}: give a whole one"))),
    }
}
