//! The same act on many containers, in batches.

use super::access::permission_of_verb;
use super::audit::{Actor, record};
use super::caller::Caller;
use super::extract::{Body, Query};
use super::{Api, ApiError, containers, extract, glob};
use crate::dispatch::bulk::{BulkWish, Selected};
use crate::limits::{BATCH_SIZE_DEFAULT, BULKS_PER_PAGE, STABLE_SECONDS_DEFAULT, SUBJECT_BYTES};
use crate::live::HostContainer;
use crate::store::audit::Act;
use crate::store::bulks::{BulkItem, BulkRecord};
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use fleetlight_protocol::command::ContainerVerb;
use fleetlight_protocol::document::{ContainerDocument, ContainerState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    #[schemars(with = "String")]
    verb: ContainerVerb,
    selection: Selection,
    /// Containers at once.
    #[serde(default = "batch_size_default")]
    batch_size: usize,
    /// Ids that come first.
    #[serde(default)]
    order: Vec<String>,
    #[serde(default = "yes")]
    stop_on_failure: bool,
    stable_seconds: Option<u32>,
}

fn batch_size_default() -> usize {
    BATCH_SIZE_DEFAULT
}

fn yes() -> bool {
    true
}

/// All that is given must fit; at least one must be.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    #[serde(skip_serializing_if = "Option::is_none")]
    host_ids: Option<Vec<i32>>,
    /// Docker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    container_ids: Option<BTreeSet<String>>,
    /// Of names: `comfy-*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    /// Of compose.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    before: Option<Uuid>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct BulkView {
    id: Uuid,
    /// `container.restart`
    action: String,
    selection: Value,
    batch_size: i32,
    stop_on_failure: bool,
    by: String,
    asked_ms: i64,
    state: String,
    reason: Option<String>,
    closed_ms: Option<i64>,
    total: i64,
    ended: i64,
    verified: i64,
    /// Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<ItemView>>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct ItemView {
    batch: i32,
    host_id: i32,
    host: String,
    subject: String,
    detail: Value,
    /// `waiting`, `queued`, `sent`, `running`, `finished`, or `not_begun`.
    state: String,
    command_id: Option<Uuid>,
    outcome: Option<String>,
    observed: Option<String>,
    reason: Option<String>,
}

pub async fn create(
    State(api): State<Api>,
    Actor(who): Actor,
    Extension(caller): Extension<Caller>,
    Body(order): Body<Order>,
) -> Result<(StatusCode, Json<BulkView>), ApiError> {
    caller.may(permission_of_verb(order.verb))?;
    let containers = order.selection.resolve(&api, order.verb)?;
    let wish = BulkWish {
        verb: order.verb,
        stable_seconds: order.stable_seconds.unwrap_or(STABLE_SECONDS_DEFAULT),
        selection: json!(order.selection),
        containers,
        order: order.order,
        batch_size: order.batch_size,
        stop_on_failure: order.stop_on_failure,
    };
    let id = api.dispatch().submit_bulk(wish, &who).await?;
    tracing::info!(by = who.name, bulk = %id, action = order.verb.action(), "bulk asked");
    Ok((StatusCode::ACCEPTED, Json(view_of(&api, id).await?)))
}

pub async fn list(State(api): State<Api>, Query(question): Query<Question>) -> Result<Json<Vec<BulkView>>, ApiError> {
    let limit = extract::limit(question.limit, BULKS_PER_PAGE)?;
    let bulks = api.dispatch().bulks(question.before, limit).await?;
    Ok(Json(bulks.into_iter().map(|bulk| BulkView::of(bulk, None)).collect()))
}

pub async fn get(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<BulkView>, ApiError> {
    Ok(Json(view_of(&api, extract::id(&id, "bulk")?).await?))
}

pub async fn cancel(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
) -> Result<Json<BulkView>, ApiError> {
    let id: Uuid = extract::id(&id, "bulk")?;
    let known = view_of(&api, id).await?;
    let detail = json!({ "bulk": id, "action": known.action });
    let act = Act { action: "bulk.cancel".into(), host_id: None, subject: String::new(), detail };
    let cancel = async {
        if !api.dispatch().cancel_bulk(id, &who.name).await? {
            return Err(ApiError::conflict("this bulk has ended already"));
        }
        view_of(&api, id).await.map(Json)
    };
    record(&api, &who, act, cancel).await
}

async fn view_of(api: &Api, id: Uuid) -> Result<BulkView, ApiError> {
    let found = api.dispatch().bulk(id).await?;
    let (bulk, items) = found.ok_or_else(|| ApiError::not_found(format!("there is no bulk {id}")))?;
    Ok(BulkView::of(bulk, Some(items)))
}

impl BulkView {
    fn of(bulk: BulkRecord, items: Option<Vec<BulkItem>>) -> Self {
        let waits = if bulk.state == "running" { "waiting" } else { "not_begun" };
        let items = items.map(|items| items.into_iter().map(|item| ItemView::of(item, waits)).collect());
        let BulkRecord { id, name: action, selection, batch_size, stop_on_failure, by, asked_ms, .. } = bulk;
        let BulkRecord { state, reason, closed_ms, total, ended, verified, .. } = bulk;
        Self {
            id,
            action,
            selection,
            batch_size,
            stop_on_failure,
            by,
            asked_ms,
            state,
            reason,
            closed_ms,
            total,
            ended,
            verified,
            items,
        }
    }
}

impl ItemView {
    fn of(item: BulkItem, waits: &str) -> Self {
        Self {
            batch: item.batch,
            host_id: item.host_id,
            host: item.host_name,
            subject: item.action["container"]["container"]["name"].as_str().unwrap_or_default().to_owned(),
            detail: item.action,
            state: item.state.unwrap_or_else(|| waits.to_owned()),
            command_id: item.command_id,
            outcome: item.outcome,
            observed: item.observed,
            reason: item.reason,
        }
    }
}

impl Selection {
    /// What it selects now, of containers that this can be done to.
    fn resolve(&self, api: &Api, verb: ContainerVerb) -> Result<Vec<Selected>, ApiError> {
        if json!(self) == json!({}) {
            let words = "the selection is empty: give host_ids, container_ids, pattern, labels or project; the pattern * selects all";
            return Err(ApiError::bad_request(words));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| pattern.len() > SUBJECT_BYTES) {
            let words = format!("a pattern of {} bytes is too long; allowed: {SUBJECT_BYTES}", pattern.len());
            return Err(ApiError::bad_request(words));
        }
        let found = api.live().containers(|host_id, container| self.fits(host_id, container) && can(verb, container));
        Ok(found.into_iter().map(selected).collect())
    }

    fn fits(&self, host_id: i32, container: &ContainerDocument) -> bool {
        self.host_ids.as_ref().is_none_or(|ids| ids.contains(&host_id))
            && self.container_ids.as_ref().is_none_or(|ids| ids.contains(&container.id))
            && self.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, &container.name))
            && self.project.as_ref().is_none_or(|project| container.compose_project.as_ref() == Some(project))
            && self
                .labels
                .as_ref()
                .is_none_or(|labels| labels.iter().all(|(name, value)| container.labels.get(name) == Some(value)))
    }
}

/// Whether an act makes sense in the state that a container is in: a bulk leaves the others alone.
fn can(verb: ContainerVerb, container: &ContainerDocument) -> bool {
    use ContainerState::{Created, Dead, Exited, Paused, Removing, Restarting, Running};
    let state = container.state;
    match verb {
        ContainerVerb::Start => matches!(state, Created | Exited | Dead),
        ContainerVerb::Stop | ContainerVerb::Kill | ContainerVerb::Restart => {
            matches!(state, Running | Restarting | Paused)
        }
        ContainerVerb::Pause => state == Running,
        ContainerVerb::Unpause => state == Paused,
        ContainerVerb::Remove | ContainerVerb::Pull | ContainerVerb::Recreate | ContainerVerb::Rebuild => {
            state != Removing
        }
    }
}

fn selected(container: HostContainer) -> Selected {
    let target = containers::target(&container);
    let HostContainer { host_id, host_name, document } = container;
    let depends_on = document.labels.get("com.docker.compose.depends_on").map(String::as_str).unwrap_or_default();
    // `db:service_started:false,cache:service_healthy:true`
    let depends_on = depends_on.split(',').filter_map(|one| one.split(':').next()).filter(|name| !name.is_empty());
    let depends_on = depends_on.map(str::to_owned).collect();
    let (project, service) = (document.compose_project, document.compose_service);
    Selected { host_id, host_name, target, project, service, depends_on }
}
