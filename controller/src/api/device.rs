//! Known devices: a browser in which somebody has logged in is told apart from strangers behind the same address.
//!
//! Guesses at an account slow down the address that they come from, and with it everybody behind it who logs in to
//! that account: so a device that is known has a count of its own (docs/decisions/login-back-off.md). The cookie lets
//! nobody in; whoever steals it may guess as slowly as anybody else.

use super::guard::Asked;
use super::settings::Site;
use super::throttle::Way;
use super::{Api, ApiError, session};
use crate::limits::DEVICE_KNOWN;
use crate::live::presence::Now;
use axum::http::{HeaderMap, HeaderValue};

/// The cookie's name beside the session's.
fn cookie_name(site: &Site) -> &'static str {
    if site.secure { "__Host-fleetlight-device" } else { "fleetlight-device" }
}

fn presented(headers: &HeaderMap, site: &Site) -> Option<[u8; 32]> {
    session::cookie_value(headers, cookie_name(site)).map(session::hash)
}

/// How a login's failures are counted: by the device if `name` has logged in with it before, else by the address.
pub(super) async fn way(api: &Api, name: &str, headers: &HeaderMap, asked: &Asked) -> Result<Way, ApiError> {
    let Some(hash) = presented(headers, &asked.site) else { return Ok(Way::Address(asked.client)) };
    let since_ms = Now::take().wall_ms - DEVICE_KNOWN.as_millis() as i64;
    let known = api.store().knows_device(hash, name, since_ms).await?;
    Ok(if known { Way::Known(hash) } else { Way::Address(asked.client) })
}

/// Remembers the device of a login; the cookie by which it will be known.
pub(super) async fn remember(
    api: &Api,
    user_id: i32,
    headers: &HeaderMap,
    asked: &Asked,
) -> Result<HeaderValue, ApiError> {
    let secret = session::secret::<16>()?;
    let old = presented(headers, &asked.site);
    api.store().remember_device(session::hash(&secret), old, user_id, Now::take().wall_ms).await?;
    session::set_cookie(&asked.site, cookie_name(&asked.site), &secret, DEVICE_KNOWN.as_secs())
}
