//! The key of an enrolment that has no answer yet: `enrolling.json` (mode 600) in the state folder.
//!
//! The controller may have used the token up for it and the answer been lost: it then answers the same token again,
//! for the same key. So the key is on disk before it is sent, and stays until its identity is.

use super::{IdentityError, NewKey, write};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use zeroize::Zeroizing;

const FILE: &str = "enrolling.json";

/// Kept for one token only: hosts that were cloned after a failed attempt must not share a key.
#[derive(Serialize, Deserialize)]
struct Enrolling {
    token_id: String,
    private_key: Zeroizing<String>,
}

impl NewKey {
    /// The key that `state_dir` holds for this token, or else a fresh one, which it holds from now on.
    ///
    /// # Errors
    /// [`IdentityError`] names the file.
    pub fn enrolling(state_dir: &Path, token_id: &str) -> Result<Self, IdentityError> {
        let path = state_dir.join(FILE);
        match fs::read(&path).map(Zeroizing::new) {
            Ok(text) => {
                if let Some(key) = kept(&text, token_id) {
                    return Ok(key);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(IdentityError::Io { operation: "read", path, source }),
        }
        let key = Self::generate()?;
        let kept = Enrolling { token_id: token_id.into(), private_key: Zeroizing::new(key.0.serialize_pem()) };
        let text = serde_json::to_vec(&kept).map_err(|error| IdentityError::Certificate(error.to_string()))?;
        write(&path, &Zeroizing::new(text)).map_err(|source| IdentityError::Io { operation: "write", path, source })?;
        Ok(key)
    }

    /// The identity is saved: nobody will ask for this key again.
    pub fn enrolled(state_dir: &Path) {
        // A file that stays does no harm: its token is used.
        let _ = fs::remove_file(state_dir.join(FILE));
    }
}

/// What is damaged, or was kept for another token, is of no use.
fn kept(text: &[u8], token_id: &str) -> Option<NewKey> {
    let kept: Enrolling = serde_json::from_slice(text).ok()?;
    let key = (kept.token_id == token_id).then(|| KeyPair::from_pem(&kept.private_key))?;
    key.ok().map(NewKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_kept_for_its_token_until_it_is_enrolled() {
        let folder = std::env::temp_dir().join(format!("fleetlight-enrolling-{}", uuid::Uuid::new_v4()));
        let public = |token| NewKey::enrolling(&folder, token).expect("a key").0.public_key_pem();
        let first = public("one");
        assert_eq!(public("one"), first);
        let mode = fs::metadata(folder.join(FILE)).expect("kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = public("two");
        assert_ne!(other, first, "another token, perhaps on a clone of this host");
        fs::write(folder.join(FILE), "{").expect("damaged");
        assert_ne!(public("two"), other);
        NewKey::enrolled(&folder);
        assert!(!folder.join(FILE).exists());
        fs::remove_dir_all(folder).expect("removed");
    }
}
