//! What an audited call is done to, for people, before it is done: the name that its body gives, or that of what its path
//! numbers.

use super::{Api, ApiError, extract};
use crate::limits::AUDIT_SUBJECT_CHARS;
use axum::body::Body;
use axum::extract::Request;
use serde_json::Value;

/// What a join token without a name is for.
const ANY_HOST: &str = "any host";

/// The request as it came, and the name; none where the path says all that there is. `is_whole`: its body is here; one
/// that is not is not waited for.
pub(super) async fn of(
    api: &Api,
    path: &str,
    request: Request,
    is_whole: bool,
) -> (Request, Result<Option<String>, ApiError>) {
    let field = match path {
        "/users" | "/tokens" if is_whole => "name",
        "/join-tokens" if is_whole => "host_name",
        _ => {
            let named = of_path(api, path, request.uri().path()).await;
            return (request, named.map(|name| name.as_deref().map(clipped)));
        }
    };
    let (parts, body) = request.into_parts();
    let (body, named) = match extract::bytes(Request::from_parts(parts.clone(), body)).await {
        Ok(bytes) => {
            let body: Option<Value> = serde_json::from_slice(&bytes).ok();
            let name =
                body.as_ref().and_then(|body| body[field].as_str()).map(str::trim).filter(|name| !name.is_empty());
            let name = name.or((field == "host_name").then_some(ANY_HOST));
            (Body::from(bytes), Ok(name.map(clipped)))
        }
        Err(error) => (Body::empty(), Err(error)),
    };
    (Request::from_parts(parts, body), named)
}

async fn of_path(api: &Api, path: &str, given: &str) -> Result<Option<String>, ApiError> {
    let id = path.rsplit('/').zip(given.rsplit('/')).find(|(stated, _)| *stated == "{id}").map_or("", |(_, id)| id);
    Ok(match path {
        "/users/{id}" | "/users/{id}/reset-password" => match id.parse() {
            Ok(id) => api.store().user_by_id(id).await?.map(|user| user.name),
            Err(_) => None,
        },
        "/tokens/{id}" => {
            let tokens = api.store().api_tokens(None).await?;
            tokens.into_iter().find(|token| token.id.to_string() == id).map(|token| token.name)
        }
        "/agents/{id}/revoke" => {
            let agents = api.store().agents().await?;
            agents.into_iter().find(|agent| agent.id.to_string() == id).map(|agent| agent.host_name)
        }
        _ => None,
    })
}

fn clipped(name: &str) -> String {
    name.chars().take(AUDIT_SUBJECT_CHARS).collect()
}
