//! Password hashes: argon2id, off the async workers, a few at a time. bcrypt's from elsewhere are verified too, and
//! replaced at the next login.

use crate::limits::{
    ARGON2_AT_ONCE, ARGON2_MEMORY_KIB_MAX, ARGON2_TIME_MAX, BCRYPT_COST_MAX, PASSWORD_BYTES, PASSWORD_MIN_CHARS,
};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The one place that hashes and verifies. Each hash takes 19 MiB and tens of milliseconds.
#[derive(Debug)]
pub struct Passwords(Arc<Semaphore>);

/// Why nothing could be said about a password.
#[derive(Debug, thiserror::Error)]
#[error("hashing a password failed: {0}")]
pub struct PasswordError(String);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ARGON2_AT_ONCE)))
    }
}

/// What is wrong with a new password, if anything.
#[must_use]
pub fn fault(password: &str) -> Option<String> {
    if password.chars().count() < PASSWORD_MIN_CHARS {
        return Some(format!("the password is too short: use {PASSWORD_MIN_CHARS} characters or more"));
    }
    (password.len() > PASSWORD_BYTES)
        .then(|| format!("the password is too long: use at most {PASSWORD_BYTES} bytes in UTF-8"))
}

/// What is wrong with a password hash from elsewhere, if anything: it must be one that can be verified, in bounded
/// time.
#[must_use]
pub fn hash_fault(hash: &str) -> Option<String> {
    let allowed = || {
        Some(format!(
            "the password hash must be bcrypt of cost {BCRYPT_COST_MAX} at most ($2b$…) or argon2id with at most \
             {ARGON2_MEMORY_KIB_MAX} KiB and {ARGON2_TIME_MAX} passes ($argon2id$…)"
        ))
    };
    if is_bcrypt(hash) {
        let parts = hash.parse::<bcrypt::HashParts>().ok().filter(|parts| parts.get_cost() <= BCRYPT_COST_MAX);
        return if parts.is_some() { None } else { allowed() };
    }
    let parsed = PasswordHash::new(hash).ok().filter(|hash| hash.algorithm.as_str() == "argon2id");
    let params = parsed.filter(|hash| hash.hash.is_some()).and_then(|hash| Params::try_from(&hash).ok());
    let bounded = |params: &Params| params.m_cost() <= ARGON2_MEMORY_KIB_MAX && params.t_cost() <= ARGON2_TIME_MAX;
    if params.as_ref().is_some_and(bounded) { None } else { allowed() }
}

/// Whether a hash is of a kind that is not made any more.
#[must_use]
pub fn is_outdated(hash: &str) -> bool {
    is_bcrypt(hash)
}

fn is_bcrypt(hash: &str) -> bool {
    hash.starts_with("$2")
}

impl Passwords {
    /// The PHC string of a new password.
    ///
    /// # Errors
    /// If the machine gives no random bytes or no memory.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.run(move || hash(&password)).await
    }

    /// Whether `password` is the one behind `stored`. Without `stored` it works as long and says no,
    /// so that nobody can measure which names exist.
    ///
    /// # Errors
    /// If `stored` is no PHC string, or the machine gives no memory.
    pub async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, PasswordError> {
        self.run(move || {
            if password.len() > PASSWORD_BYTES {
                return Ok(false);
            }
            match stored {
                Some(stored) => verify(&password, &stored),
                None => hash(&password).map(|_| false),
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let words = |error: &dyn std::error::Error| PasswordError(error.to_string());
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(|error| words(&error))?;
        // A caller who gives up does not end the work: its place is taken until that is done.
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| words(&error))?
    }
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| PasswordError(error.to_string()))
}

fn verify(password: &str, stored: &str) -> Result<bool, PasswordError> {
    if is_bcrypt(stored) {
        let right = bcrypt::verify(password, stored);
        return right.map_err(|error| PasswordError(format!("the stored hash: {error}")));
    }
    let stored = PasswordHash::new(stored).map_err(|error| PasswordError(format!("the stored hash: {error}")))?;
    match Argon2::default().verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_let_in() {
        let passwords = Passwords::default();
        let stored = passwords.hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf".into(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert!(passwords.verify("x".into(), Some("no hash".into())).await.is_err());
        assert_ne!(passwords.hash("correct horse".into()).await.unwrap(), stored, "salted");
    }

    #[tokio::test]
    async fn a_caller_who_gives_up_frees_no_place_before_the_work_is_done() {
        let passwords = Arc::new(Passwords::default());
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let hashing = Arc::clone(&passwords);
        let caller = tokio::spawn(async move {
            let work = move || {
                let _ = begin.send(());
                let _ = finished.recv();
                Ok(())
            };
            hashing.run(work).await
        });
        begun.await.expect("begins");
        caller.abort();
        assert!(caller.await.expect_err("gave up").is_cancelled());
        assert_eq!(passwords.0.available_permits(), ARGON2_AT_ONCE - 1);
        drop(finish);
        let all = passwords.0.acquire_many(ARGON2_AT_ONCE as u32);
        let _all = tokio::time::timeout(std::time::Duration::from_secs(10), all).await.expect("free once it is done");
    }

    /// As PHP, Python and htpasswd write them; the first is of the algorithm's own test vectors.
    #[tokio::test]
    async fn hashes_of_bcrypt_are_verified() {
        let passwords = Passwords::default();
        for (password, stored) in [
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ] {
            assert_eq!(hash_fault(stored), None);
            assert!(is_outdated(stored));
            assert!(passwords.verify(password.into(), Some(stored.into())).await.unwrap(), "{stored}");
            assert!(!passwords.verify("U*u".into(), Some(stored.into())).await.unwrap(), "{stored}");
        }
    }

    #[test]
    fn hashes_from_elsewhere_have_bounds() {
        let bcrypt = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        let argon2 = "c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
        let good = format!("$argon2id$v=19$m=19456,t=2,p=1${argon2}");
        assert_eq!(hash_fault(&good), None);
        assert!(!is_outdated(&good));
        for wrong in [
            format!("$2b$15${bcrypt}"),
            format!("$2b$31${bcrypt}"),
            "$2b$10$short".to_owned(),
            format!("$argon2i$v=19$m=19456,t=2,p=1${argon2}"),
            format!("$argon2id$v=19$m=4194304,t=2,p=1${argon2}"),
            format!("$argon2id$v=19$m=19456,t=1000,p=1${argon2}"),
            "$argon2id$v=19$m=19456,t=2,p=1".to_owned(),
            "correct horse battery".to_owned(),
            String::new(),
        ] {
            assert!(hash_fault(&wrong).is_some(), "{wrong}");
        }
    }

    /// Medians, in turn, so that another load of the machine meets both.
    #[tokio::test]
    async fn a_name_that_nobody_has_costs_as_much_as_a_wrong_password() {
        let passwords = Passwords::default();
        let stored = passwords.hash("correct horse".into()).await.unwrap();
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..15 {
            for (times, stored) in times.iter_mut().zip([Some(stored.clone()), None]) {
                let began = std::time::Instant::now();
                assert!(!passwords.verify("wrong".into(), stored).await.unwrap());
                times.push(began.elapsed());
            }
        }
        let [known, unknown] = times.map(|mut times| {
            times.sort();
            times[7].as_secs_f64()
        });
        let ratio = unknown / known;
        assert!((0.5..2.0).contains(&ratio), "known {known} s, unknown {unknown} s");
    }

    #[test]
    fn new_passwords_have_bounds() {
        assert!(fault("123456789").is_some());
        assert!(fault("äöüäöüäöüä").is_none(), "characters, not bytes");
        assert!(fault(&"x".repeat(PASSWORD_BYTES)).is_none());
        assert!(fault(&"x".repeat(PASSWORD_BYTES + 1)).is_some());
    }
}
