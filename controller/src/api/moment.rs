//! The fleet at a past moment.

use super::extract::Query;
use super::{Api, ApiError, series};
use crate::live::presence::Now;
use crate::live::view::{DocumentView, RowView};
use crate::store::series::Source;
use axum::extract::State;
use axum::response::Json;
use fleetlight_protocol::samples::EntityKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which moment, and of what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    ms: i64,
    /// Kinds, comma between; all without it.
    kind: Option<String>,
}

/// What is known of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fleet {
    at_ms: i64,
    source: Source,
    hosts: Vec<HostThen>,
}

/// A host that had rows or documents.
#[derive(Debug, Serialize, JsonSchema)]
struct HostThen {
    id: i32,
    name: String,
    tick_ms: Option<i64>,
    rows: Vec<RowView>,
    documents: Vec<DocumentView>,
}

pub async fn get(State(api): State<Api>, Query(question): Query<Question>) -> Result<Json<Fleet>, ApiError> {
    let (at_ms, now_ms) = (question.ms, Now::take().wall_ms);
    let kinds: Vec<EntityKind> = match &question.kind {
        Some(names) => names.split(',').map(series::kind).collect::<Result<_, _>>()?,
        None => EntityKind::ALL.to_vec(),
    };
    let mut then = api.store().kinds_at(&kinds, at_ms, now_ms).await?;
    let hosts = api.store().hosts().await?.into_iter().filter_map(|host| {
        let moment = then.remove(&host.id)?;
        Some(HostThen {
            id: host.id,
            name: host.name,
            tick_ms: moment.tick_ms,
            rows: moment.rows.into_iter().map(RowView).collect(),
            documents: moment.documents.into_iter().map(DocumentView).collect(),
        })
    });
    Ok(Json(Fleet { at_ms, source: api.store().source_at(at_ms, now_ms), hosts: hosts.collect() }))
}
