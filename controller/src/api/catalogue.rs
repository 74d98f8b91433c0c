//! Every kind's metrics, in the order of rows' values.

use axum::response::Json;
use fleetlight_protocol::metric::Unit;
use fleetlight_protocol::samples::EntityKind;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize, JsonSchema)]
pub struct MetricView {
    name: &'static str,
    #[schemars(with = "String")]
    unit: Unit,
    help: &'static str,
}

pub async fn get() -> Json<BTreeMap<&'static str, Vec<MetricView>>> {
    let kinds = EntityKind::ALL.into_iter().map(|kind| {
        let metrics = kind.metrics().iter();
        let metrics = metrics.map(|metric| MetricView { name: metric.name, unit: metric.unit, help: metric.help });
        (kind.name(), metrics.collect())
    });
    Json(kinds.collect())
}
