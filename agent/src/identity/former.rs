//! Keys before the current one. A controller that was restored from a backup knows the key that this agent had then,
//! and none since: so each renewal keeps the keys before it, in the same file, while their certificates are good for a
//! renewal. A controller that knows a newer key refuses them.

use super::{Identity, IdentityError, NewKey, validity_ms};
use crate::limits::{FORMER_KEPT, FORMER_KEYS};
use pem::Pem;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use std::iter;
use zeroize::Zeroizing;

/// A key and its certificate.
#[derive(Clone)]
pub(super) struct Former {
    leaf: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
}

/// As the file has it.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredFormer {
    certificate: String,
    private_key: Zeroizing<String>,
}

impl Former {
    pub fn stored(&self) -> StoredFormer {
        StoredFormer {
            certificate: pem::encode(&Pem::new("CERTIFICATE", self.leaf.to_vec())),
            private_key: Zeroizing::new(pem::encode(&Pem::new("PRIVATE KEY", self.key.to_vec()))),
        }
    }

    /// Nothing if it is damaged: the agent goes on without.
    pub fn read(stored: &StoredFormer) -> Option<Self> {
        let leaf = CertificateDer::from_pem_slice(stored.certificate.as_bytes()).ok()?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(stored.private_key.as_bytes()).ok()?;
        Some(Self { leaf, key: Zeroizing::new(key.secret_pkcs8_der().to_vec()) })
    }
}

impl Identity {
    /// The same agent with a new key. `now_ms` is the controller's time, if it is known.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`].
    pub fn renewed(&self, key: &NewKey, chain: &[Vec<u8>], now_ms: Option<i64>) -> Result<Self, IdentityError> {
        let is_good = |former: &Former| {
            let ended = |(_, ends_ms)| now_ms.is_some_and(|now_ms| now_ms - ends_ms > FORMER_KEPT.as_millis() as i64);
            !validity_ms(&former.leaf).is_ok_and(ended)
        };
        let last = Former { leaf: self.leaf.clone(), key: self.key.clone() };
        let all = iter::once(last).chain(self.former.iter().cloned());
        let former = all.filter(is_good).take(FORMER_KEYS).collect();
        Ok(self.with(key.leaf(chain)?, Zeroizing::new(key.0.serialize_der()), former))
    }

    /// The same agent with the key that it had so many renewals ago, if that is kept.
    #[must_use]
    pub fn before(&self, renewals: usize) -> Option<Self> {
        let former = self.former.get(renewals.checked_sub(1)?)?;
        Some(self.with(former.leaf.clone(), former.key.clone(), Vec::new()))
    }

    /// How many keys before this one are kept.
    #[must_use]
    pub fn formers(&self) -> usize {
        self.former.len()
    }

    fn with(&self, leaf: CertificateDer<'static>, key: Zeroizing<Vec<u8>>, former: Vec<Former>) -> Self {
        Self {
            agent_id: self.agent_id,
            host_name: self.host_name.clone(),
            session_endpoint: self.session_endpoint.clone(),
            leaf,
            authority: self.authority.clone(),
            key,
            former,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::key_hash;
    use fleetlight_protocol::control::Enrolled;
    use rcgen::CertificateParams;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use uuid::Uuid;

    /// A key and a certificate for it that ends with that year.
    fn certified(year: i32) -> (NewKey, Vec<Vec<u8>>) {
        let key = NewKey::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let leaf = params.self_signed(&key.0).expect("a certificate").der().to_vec();
        (key, vec![leaf])
    }

    fn enrolled() -> Identity {
        let (key, mut chain) = certified(2030);
        let authority = certified(2030).1.remove(0);
        let pin = key_hash(&authority).expect("a certificate");
        chain.push(authority);
        let (host_name, session_endpoint) = ("alpha".into(), "controller.example:7443".into());
        let enrolled = Enrolled { agent_id: Uuid::nil(), host_name, chain, session_endpoint, wall_ms: 0 };
        Identity::enrolled(&key, &enrolled, pin).expect("an identity")
    }

    fn renewed(identity: &Identity, year: i32, now_ms: Option<i64>) -> Identity {
        let (key, chain) = certified(year);
        identity.renewed(&key, &chain, now_ms).expect("renewed")
    }

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("fleetlight-former-{}", Uuid::new_v4()))
    }

    #[test]
    fn former_keys_are_kept_in_their_order_and_in_the_file_that_only_the_agent_reads() {
        let first = enrolled();
        let second = renewed(&first, 2030, None);
        let third = renewed(&second, 2030, None);
        let folder = folder();
        third.save(&folder).expect("saved");
        let mode = fs::metadata(folder.join(super::super::FILE)).expect("saved").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Identity::load(&folder).expect("readable").expect("there");
        for (renewals, then) in [(1, &second), (2, &first)] {
            let before = read.before(renewals).expect("kept");
            assert_eq!((&before.leaf, &before.key, &before.authority), (&then.leaf, &then.key, &then.authority));
        }
        assert_eq!((&read.leaf, read.formers()), (&third.leaf, 2));
        assert!(read.before(0).is_none() && read.before(3).is_none());
        enrolled().save(&folder).expect("saved");
        let again = Identity::load(&folder).expect("readable").expect("there");
        assert_eq!(again.formers(), 0, "a new enrolment is a new agent");
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn former_keys_go_when_no_controller_would_renew_them_and_beyond_their_bound() {
        let old = renewed(&enrolled(), 2029, None);
        let ended_ms = old.validity_ms().expect("a certificate").1;
        let kept_ms = FORMER_KEPT.as_millis() as i64;
        assert_eq!(renewed(&old, 2031, Some(ended_ms + kept_ms)).formers(), 2);
        assert_eq!(renewed(&old, 2031, Some(ended_ms + kept_ms + 1)).formers(), 1, "the younger one");
        let many = (0..2 * FORMER_KEYS).fold(old, |identity, _| renewed(&identity, 2031, None));
        assert_eq!(many.formers(), FORMER_KEYS);
        assert_eq!(many.before(1).expect("the last").validity_ms().ok(), many.validity_ms().ok());
    }

    #[test]
    fn the_files_of_older_agents_are_read_and_a_damaged_former_key_is_left_out() {
        let identity = renewed(&renewed(&enrolled(), 2030, None), 2030, None);
        let folder = folder();
        identity.save(&folder).expect("saved");
        let file = folder.join(super::super::FILE);
        let mut stored: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("saved")).expect("JSON");
        stored["former"][0]["certificate"] = "torn".into();
        fs::write(&file, stored.to_string()).expect("written");
        assert_eq!(Identity::load(&folder).expect("readable").expect("there").formers(), 1);
        stored.as_object_mut().expect("an object").remove("former");
        fs::write(&file, stored.to_string()).expect("written");
        let older = Identity::load(&folder).expect("readable").expect("there");
        assert_eq!((&older.leaf, older.formers()), (&identity.leaf, 0));
        fs::remove_dir_all(folder).expect("removed");
    }
}
