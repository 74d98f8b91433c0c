//! The API's description (OpenAPI 3.1), from the routes and the handlers' own types.
//!
//! [`get`], [`post`] and so on stand in for axum's: they take the same handlers, and read off their arguments and
//! their answer what a call takes and gives. What a stream or a download carries, types do not say; docs/api.md does.

use super::access::{Access, Scope};
use super::audit::{Actor, Said};
use super::caller::Caller;
use super::envelope::Problem;
use super::extract::{Body, Query};
use super::guard::Asked;
use super::routes::{PREFIX, Route, routes};
use super::{Api, ApiError};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, Path, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Json, Response};
use axum::routing::{self, MethodRouter};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::future::Future;
use std::sync::LazyLock;

/// A handler and what is known of it.
pub struct Call {
    pub(super) handler: MethodRouter<Api>,
    /// `hosts.list`.
    name: String,
    describe: fn(&mut Operation),
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Call").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Call {
    fn of<H: Described<A>, A>(handler: MethodRouter<Api>) -> Self {
        let path: Vec<_> = std::any::type_name::<H>().rsplit("::").take(2).collect();
        Self { handler, name: path.into_iter().rev().collect::<Vec<_>>().join("."), describe: H::describe }
    }
}

impl Call {
    /// Keys that its query may have.
    pub(super) fn query_keys(&self) -> Vec<String> {
        let mut operation = Operation::new();
        (self.describe)(&mut operation);
        let names = operation.parameters.iter().filter_map(|parameter| parameter["name"].as_str());
        names.map(str::to_owned).collect()
    }
}

/// As [`axum::routing::get`].
pub fn get<H: Handler<T, Api> + Described<A>, T: 'static, A>(handler: H) -> Call {
    Call::of::<H, A>(routing::get(handler))
}

/// As [`axum::routing::post`].
pub fn post<H: Handler<T, Api> + Described<A>, T: 'static, A>(handler: H) -> Call {
    Call::of::<H, A>(routing::post(handler))
}

/// As [`axum::routing::patch`].
pub fn patch<H: Handler<T, Api> + Described<A>, T: 'static, A>(handler: H) -> Call {
    Call::of::<H, A>(routing::patch(handler))
}

/// As [`axum::routing::delete`].
pub fn delete<H: Handler<T, Api> + Described<A>, T: 'static, A>(handler: H) -> Call {
    Call::of::<H, A>(routing::delete(handler))
}

/// A call's description as it grows.
#[derive(Debug)]
pub struct Operation {
    /// For what callers send: small, and written out where it stands.
    asked: SchemaGenerator,
    /// For what they get: shared types stand once, under their names.
    told: SchemaGenerator,
    parameters: Vec<Value>,
    body: Option<Value>,
    answer: Value,
}

impl Operation {
    fn new() -> Self {
        let told = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let asked = SchemaSettings::draft2020_12().for_deserialize().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let (asked, told) = (asked.into_generator(), told.into_generator());
        Self { asked, told, parameters: Vec::new(), body: None, answer: Value::Null }
    }
}

/// A handler that says what it takes and gives.
pub trait Described<Arguments> {
    fn describe(operation: &mut Operation);
}

/// An argument of a handler.
pub trait Argument {
    /// Adds what callers send for it; nothing where it comes from elsewhere.
    fn describe(_: &mut Operation) {}
}

/// What a handler gives.
pub trait Answer {
    fn describe(operation: &mut Operation);
}

macro_rules! described {
    ($($argument:ident),*) => {
        impl<F, Answering, Given, $($argument,)*> Described<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Answering,
            Answering: Future<Output = Given>,
            Given: Answer,
            $($argument: Argument,)*
        {
            fn describe(operation: &mut Operation) {
                $($argument::describe(operation);)*
                Given::describe(operation);
            }
        }
    };
}

described!();
described!(A);
described!(A, B);
described!(A, B, C);
described!(A, B, C, D);
described!(A, B, C, D, E);
described!(A, B, C, D, E, F1);

impl Argument for State<Api> {}
impl Argument for Actor {}
impl Argument for Extension<Caller> {}
impl Argument for Option<Extension<Caller>> {}
impl Argument for Extension<Asked> {}
impl Argument for HeaderMap {}
impl Argument for axum::body::Bytes {}
impl Argument for Result<WebSocketUpgrade, WebSocketUpgradeRejection> {}
/// Told by the path itself.
impl<T> Argument for Path<T> {}

impl<T: JsonSchema> Argument for Query<T> {
    fn describe(operation: &mut Operation) {
        let schema = T::json_schema(&mut operation.asked).to_value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let must = required.iter().any(|required| required == name);
            let parameter = json!({ "name": name, "in": "query", "required": must, "schema": schema });
            operation.parameters.push(parameter);
        }
    }
}

impl<T: JsonSchema> Argument for Body<T> {
    fn describe(operation: &mut Operation) {
        operation.body = Some(operation.asked.subschema_for::<T>().to_value());
    }
}

impl<T: JsonSchema> Answer for Json<T> {
    fn describe(operation: &mut Operation) {
        let schema = operation.told.subschema_for::<T>().to_value();
        operation.answer =
            json!({ "2XX": { "description": "Done", "content": { "application/json": { "schema": schema } } } });
    }
}

impl<T: JsonSchema> Answer for (StatusCode, Json<T>) {
    fn describe(operation: &mut Operation) {
        Json::<T>::describe(operation);
    }
}

/// What is said to the audit log stays there.
impl<T: Answer> Answer for (Extension<Said>, T) {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

impl Answer for StatusCode {
    fn describe(operation: &mut Operation) {
        operation.answer = json!({ "204": { "description": "Done" } });
    }
}

impl Answer for Response {
    fn describe(operation: &mut Operation) {
        operation.answer = json!({ "2XX": { "description": "See docs/api.md" } });
    }
}

impl<T: Answer> Answer for Result<T, ApiError> {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

/// `GET openapi.json`.
pub async fn serve() -> Json<Value> {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
    Json(DOCUMENT.clone())
}

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let mut operation = Operation::new();
    let problem = operation.told.subschema_for::<Problem<'_>>().to_value();
    let mut paths = Map::new();
    for route in routes() {
        (route.call.describe)(&mut operation);
        let described = described_route(&route, &mut operation, &problem);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Fleetlight", "version": env!("CARGO_PKG_VERSION"), "description": "In words: docs/api.md." },
        "servers": [{ "url": PREFIX }],
        "paths": paths,
        "components": { "schemas": operation.told.take_definitions(true), "securitySchemes": security_schemes() },
    })
}

/// Takes what was described, so that the next route begins anew.
fn described_route(route: &Route, operation: &mut Operation, problem: &Value) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let parameters: Vec<Value> = in_path.chain(std::mem::take(&mut operation.parameters)).collect();
    let mut responses = operation.answer.take();
    let refused =
        json!({ "description": "Refused, in words", "content": { "application/problem+json": { "schema": problem } } });
    responses["default"] = refused;
    let mut described = json!({
        "operationId": route.call.name,
        "tags": [route.path.split('/').nth(1)],
        "parameters": parameters,
        "responses": responses,
        "security": security(route.access),
    });
    if let Some(schema) = operation.body.take() {
        described["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    if let Access::Needs(permission) = route.access {
        described["x-permission"] = json!(permission);
    }
    described
}

/// Any one of these will do.
fn security(access: Access) -> Value {
    match access {
        Access::Public | Access::Report => json!([]),
        Access::Open => json!([{}, { "session": [] }, { "basic": [] }, { "token": [] }]),
        Access::Needs(permission) => match permission.scope().map(Scope::name) {
            Some(scope) => json!([{ "session": [] }, { "basic": [] }, { "token": [scope] }]),
            None => json!([{ "session": [] }, { "basic": [] }]),
        },
    }
}

fn security_schemes() -> Value {
    json!({
        "session": { "type": "apiKey", "in": "cookie", "name": "__Host-fleetlight" },
        "basic": { "type": "http", "scheme": "basic" },
        "token": { "type": "http", "scheme": "bearer", "description": "An API token, or a JWT of the configured issuer" },
    })
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
