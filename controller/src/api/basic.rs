//! HTTP Basic, for scripts: name and password with each call.
//!
//! A right password is remembered for a minute, so that a script's calls do not cost an argon2 each. What is
//! remembered is a keyed hash over account, stored hash and password: it says nothing without the process's key, and a
//! changed password or a disabled account is found out at once, since the account is looked up with each call.

use super::envelope::Guest;
use super::extract::Secret;
use super::guard::Asked;
use super::throttle::Way;
use super::{Api, ApiError, audit, login};
use crate::limits::{BASIC_REMEMBERED, BASIC_REMEMBERED_FOR};
use crate::store::users::User;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Passwords that were right just now.
#[derive(Debug)]
pub struct Remembered {
    key: hmac::Key,
    until: Mutex<HashMap<[u8; 32], Instant>>,
}

/// What the header says.
#[derive(Debug)]
pub struct Credentials {
    name: String,
    password: Secret,
}

impl Credentials {
    /// Of `dXNlcjpzZWNyZXQ=`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let decoded = String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()?;
        let (name, password) = decoded.split_once(':')?;
        Some(Self { name: name.to_owned(), password: Secret(password.to_owned()) })
    }
}

impl Remembered {
    /// With a key of this process's own.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), until: Mutex::default() }
    }

    fn tag(&self, user: &User, password: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&user.id.to_be_bytes());
        // Has no zero byte of its own: Postgres would not hold it.
        context.update(user.password_hash.as_deref().unwrap_or_default().as_bytes());
        context.update(&[0]);
        context.update(password.as_bytes());
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    fn holds(&self, tag: &[u8; 32], now: Instant) -> bool {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).get(tag).is_some_and(|until| *until > now)
    }

    fn add(&self, tag: [u8; 32], now: Instant) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= BASIC_REMEMBERED {
            until.clear();
        }
        until.insert(tag, now + BASIC_REMEMBERED_FOR);
    }
}

/// The user, if the password was right just now.
pub(super) async fn remembered(api: &Api, credentials: &Credentials) -> Result<Option<User>, ApiError> {
    let user = api.store().user(&credentials.name).await?.filter(|user| user.active && user.password_hash.is_some());
    let basic = &api.0.basic;
    Ok(user.filter(|user| basic.holds(&basic.tag(user, &credentials.password.0), Instant::now())))
}

/// The user, once the password has been found to be right; as a login, it counts against guesses.
pub(super) async fn judged(api: &Api, credentials: Credentials, asked: &Asked) -> Result<User, ApiError> {
    let mut guest = Guest::of(api).await?;
    let Credentials { name, password } = credentials;
    let user = login::judge(api, &name, password.clone(), Way::Address(asked.client), asked, Some(&mut guest)).await?;
    audit::logged_in(api, &user, asked, "login.basic").await?;
    api.0.basic.add(api.0.basic.tag(&user, &password.0), Instant::now());
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::users::Role;
    use std::time::Duration;

    fn user(hash: &str) -> User {
        User {
            id: 1,
            name: "admin".into(),
            role: Role::Admin,
            active: true,
            must_change_password: false,
            password_hash: Some(hash.into()),
            created_ms: 0,
            last_login_ms: None,
        }
    }

    #[test]
    fn the_header_is_parsed_at_its_first_colon() {
        let parsed = Credentials::parse("YWRtaW46YTpi").unwrap();
        assert_eq!((parsed.name.as_str(), parsed.password.0.as_str()), ("admin", "a:b"));
        assert!(Credentials::parse("YWRtaW4=").is_none(), "no colon");
        assert!(Credentials::parse("%%%").is_none() && Credentials::parse("/w==").is_none());
    }

    #[tokio::test]
    async fn what_is_remembered_is_this_password_of_this_hash_for_a_while() {
        let (remembered, now) = (Remembered::new([1; 32]), Instant::now());
        let tag = remembered.tag(&user("hash"), "secret");
        remembered.add(tag, now);
        assert!(remembered.holds(&tag, now));
        assert!(!remembered.holds(&tag, now + BASIC_REMEMBERED_FOR));
        assert!(!remembered.holds(&remembered.tag(&user("hash"), "secreT"), now));
        assert!(!remembered.holds(&remembered.tag(&user("other"), "secret"), now), "a changed password");
        assert_ne!(Remembered::new([2; 32]).tag(&user("hash"), "secret"), tag, "keyed");
        for number in 0..=BASIC_REMEMBERED {
            remembered.add(remembered.tag(&user(&number.to_string()), ""), now + Duration::from_millis(1));
        }
        assert!(remembered.until.lock().unwrap().len() <= BASIC_REMEMBERED);
    }
}
