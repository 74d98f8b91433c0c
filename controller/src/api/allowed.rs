//! What a host does when it is asked: asked of the host itself, which decides again when it is told to.

use super::{Api, ApiError, envelope, hosts};
use crate::limits::ALLOWED_WAIT;
use axum::extract::{Path, State};
use axum::response::Json;
use fleetlight_protocol::allowed::{Allowed, AllowedReport, Parameter, Runbook, Values};
use fleetlight_protocol::errand::Errand;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;

#[derive(Debug, Serialize, JsonSchema)]
pub struct AllowedView {
    actions: Vec<ActionView>,
    emergency_stops: Vec<EmergencyStopView>,
    runbooks: Vec<RunbookView>,
    log_files: Vec<String>,
    /// Files of the host that are not believed or not understood, and what is left out here.
    problems: Vec<String>,
}

/// One of `names` must fit, and none of `except`.
#[derive(Debug, Serialize, JsonSchema)]
struct ActionView {
    /// `container.restart`
    action: String,
    names: Vec<String>,
    except: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EmergencyStopView {
    name: String,
    containers: Vec<String>,
    except: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RunbookView {
    name: String,
    description: String,
    timeout_seconds: u64,
    parameters: Vec<ParameterView>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ParameterView {
    name: String,
    description: String,
    /// Without one it must be given.
    default: Option<String>,
    #[serde(flatten)]
    values: ValuesView,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ValuesView {
    /// `pattern` is a regular expression for the whole value.
    String {
        pattern: String,
        max_chars: u32,
    },
    Integer {
        min: i64,
        max: i64,
    },
    Enum {
        values: Vec<String>,
    },
}

pub async fn get(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<AllowedView>, ApiError> {
    let host_id = hosts::known(&api, &id)?;
    let host = api.live().name_of(host_id).unwrap_or_default();
    // A host grants so many streams, and commands need some.
    let _place = envelope::place(&api.0.allowed_room).await?;
    let agent_id = api.0.parts.registry.agent_of(host_id);
    let agent_id = agent_id.ok_or_else(|| {
        ApiError::unavailable(format!("{host} is offline: what it allows can be asked when it is back"))
    })?;
    let silent = |_| Err(format!("its agent has not answered within {} s; try again", ALLOWED_WAIT.as_secs()));
    let answer = timeout(ALLOWED_WAIT, ask(&api, agent_id)).await.unwrap_or_else(silent);
    answer.map(|allowed| Json(allowed.into())).map_err(|why| ApiError::unavailable(format!("{host}: {why}")))
}

async fn ask(api: &Api, agent_id: Uuid) -> Result<Allowed, String> {
    let mut stream = api.0.parts.registry.ask(agent_id, &Errand::Allowed).await.map_err(|error| error.to_string())?;
    match stream.answers.read().await.map_err(|error| error.to_string())? {
        Some(AllowedReport::Allowed(allowed)) => Ok(*allowed),
        Some(AllowedReport::Unavailable { message }) => Err(message),
        None => Err("its agent broke off without an answer; try again".into()),
    }
}

impl From<Allowed> for AllowedView {
    fn from(allowed: Allowed) -> Self {
        let Allowed { actions, emergency_stops, runbooks, log_files, problems } = allowed;
        let actions =
            actions.into_iter().map(|of| ActionView { action: of.action, names: of.names, except: of.except });
        let stops = emergency_stops.into_iter();
        let stops = stops.map(|of| EmergencyStopView { name: of.name, containers: of.containers, except: of.except });
        let runbooks = runbooks.into_iter().map(RunbookView::from).collect();
        Self { actions: actions.collect(), emergency_stops: stops.collect(), runbooks, log_files, problems }
    }
}

impl From<Runbook> for RunbookView {
    fn from(runbook: Runbook) -> Self {
        let Runbook { name, description, timeout_seconds, parameters } = runbook;
        let parameters = parameters.into_iter().map(ParameterView::from).collect();
        Self { name, description, timeout_seconds, parameters }
    }
}

impl From<Parameter> for ParameterView {
    fn from(parameter: Parameter) -> Self {
        let Parameter { name, description, default, values } = parameter;
        let values = match values {
            Values::Text { pattern, max_chars } => ValuesView::String { pattern, max_chars },
            Values::Integer { min, max } => ValuesView::Integer { min, max },
            Values::OneOf(values) => ValuesView::Enum { values },
        };
        Self { name, description, default, values }
    }
}
