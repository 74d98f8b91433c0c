//! Accounts, for admins.

use super::audit::Said;
use super::caller::Caller;
use super::extract::{Body, Secret};
use super::{Api, ApiError, extract, password, setup};
use crate::limits::{USER_NAME_CHARS, USERS};
use crate::live::presence::Now;
use crate::store::users::{Changed, NewUser, Role, User, UserChange};
use axum::extract::{Extension, Path, State};
use axum::response::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Serialize, JsonSchema)]
pub struct UserView {
    id: i32,
    name: String,
    role: Role,
    active: bool,
    /// Without one, the one-time link comes first.
    has_password: bool,
    must_change_password: bool,
    created_ms: i64,
    last_login_ms: Option<i64>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            role: user.role,
            active: user.active,
            has_password: user.password_hash.is_some(),
            must_change_password: user.must_change_password,
            created_ms: user.created_ms,
            last_login_ms: user.last_login_ms,
        }
    }
}

/// A user and, where there is no password, the link that sets one.
#[derive(Serialize, JsonSchema)]
pub struct Made {
    #[serde(flatten)]
    user: UserView,
    link: Option<String>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Made").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Newcomer {
    name: String,
    role: Role,
    /// Known to two, so it must be changed at the first login.
    password: Option<Secret>,
    /// From elsewhere: bcrypt's or argon2id's.
    password_hash: Option<Secret>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    name: Option<String>,
    role: Option<Role>,
    active: Option<bool>,
    must_change_password: Option<bool>,
}

/// What is wrong with a name, if anything.
pub(super) fn name_fault(name: &str) -> Option<String> {
    let long = name.chars().count() > USER_NAME_CHARS;
    let wrong = long || name.trim().is_empty() || name.trim() != name || name.contains(char::is_control);
    wrong.then(|| format!("{name:?}: a name has 1 to {USER_NAME_CHARS} characters, none of them a control character, and no space at its ends"))
}

/// Also without a colon, which would end the name in HTTP Basic.
fn user_name_fault(name: &str) -> Option<String> {
    name_fault(name).or_else(|| name.contains(':').then(|| format!("{name:?}: a name has no colon")))
}

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<UserView>>, ApiError> {
    Ok(Json(api.store().users().await?.into_iter().map(UserView::from).collect()))
}

pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Body(newcomer): Body<Newcomer>,
) -> Result<(Extension<Said>, Json<Made>), ApiError> {
    if let Some(fault) = user_name_fault(&newcomer.name) {
        return Err(ApiError::bad_request(fault));
    }
    if api.store().users().await?.len() >= USERS {
        return Err(ApiError::conflict(format!("there are {USERS} users already, which is all that there may be")));
    }
    let must_change_password = newcomer.password.is_some();
    let password_hash = hash_of(&api, newcomer.password, newcomer.password_hash).await?;
    let (name, role) = (newcomer.name.as_str(), newcomer.role);
    let new = NewUser { name, role, password_hash: password_hash.as_deref(), must_change_password };
    let taken = || ApiError::conflict(format!("there is a user {name:?} already"));
    let user = api.store().create_user(new).await?.ok_or_else(taken)?;
    tracing::info!(by = caller.name, name, role = role.name(), "user added");
    let link = if password_hash.is_none() { Some(link(&api, user.id).await?) } else { None };
    let said = Said(json!({ "user": user.id, "name": user.name, "role": user.role.name() }));
    Ok((Extension(said), Json(Made { user: user.into(), link })))
}

async fn hash_of(api: &Api, password: Option<Secret>, hash: Option<Secret>) -> Result<Option<String>, ApiError> {
    match (password, hash) {
        (Some(_), Some(_)) => Err(ApiError::bad_request("give password or password_hash, not both")),
        (Some(password), None) => match password::fault(&password.0) {
            Some(fault) => Err(ApiError::bad_request(fault)),
            None => Ok(Some(api.0.passwords.hash(password.0).await.map_err(ApiError::internal)?)),
        },
        (None, Some(hash)) => match password::hash_fault(&hash.0) {
            Some(fault) => Err(ApiError::bad_request(fault)),
            None => Ok(Some(hash.0)),
        },
        (None, None) => Ok(None),
    }
}

/// Whoever is disabled is out at once: sessions, streams and tokens end. Streams of whoever may do something else from
/// now on end too; the page opens them anew, if it may.
pub async fn change(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(wish): Body<Wish>,
) -> Result<(Extension<Said>, Json<UserView>), ApiError> {
    let id: i32 = extract::id(&id, "user")?;
    if let Some(fault) = wish.name.as_deref().and_then(user_name_fault) {
        return Err(ApiError::bad_request(fault));
    }
    let Wish { name, role, active, must_change_password } = wish;
    let change = UserChange { name, role, active, must_change_password };
    let user = match api.store().change_user(id, &change, Now::take().wall_ms).await? {
        Changed::Done(user) => user,
        Changed::Unknown => return Err(ApiError::not_found(format!("there is no user {id}"))),
        Changed::NameTaken => return Err(ApiError::conflict("there is a user of that name already")),
        Changed::LastAdmin => {
            return Err(ApiError::conflict(
                "this is the last active admin with a password: give somebody else that role first",
            ));
        }
    };
    if !user.active || user.must_change_password || role.is_some() {
        api.0.streams.end_user(id);
    }
    tracing::info!(by = caller.name, user = user.name, ?change, "user changed");
    let said = json!({ "name": user.name, "role": user.role.name(), "active": user.active });
    Ok((Extension(Said(said)), Json(user.into())))
}

/// For who forgot the password.
pub async fn reset_password(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Link>, ApiError> {
    let id: i32 = extract::id(&id, "user")?;
    let link = link(&api, id).await?;
    tracing::info!(by = caller.name, user_id = id, "one-time link made for a user");
    Ok(Json(Link { link }))
}

/// Shown once, good for a day.
#[derive(Serialize, JsonSchema)]
pub struct Link {
    link: String,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Link(…)")
    }
}

async fn link(api: &Api, user_id: i32) -> Result<String, ApiError> {
    let made = setup::link_for(api.store(), &api.0.sites.origin(), user_id, Now::take().wall_ms).await;
    let made = made.map_err(|error| ApiError::internal(format!("{error:#}")))?;
    made.ok_or_else(|| ApiError::not_found(format!("there is no active user {user_id}")))
}
