//! Ids that may stand in a request's path.
//!
//! bollard puts ids into the path as they are: `../../v1.40/containers/prune?x=` would be another
//! call. So nothing but these types reaches it, and they hold nothing but an id.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A container's id: `[A-Za-z0-9][A-Za-z0-9_.-]{0,127}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(Arc<str>);

/// An image's id, `sha256:` and 64 digits of hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(Arc<str>);

impl ContainerId {
    /// Longest id.
    pub const BYTES: usize = 128;

    /// `None` for anything that is no id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let is_id = first.is_ascii_alphanumeric() && text.len() <= Self::BYTES && text.bytes().all(fits);
        is_id.then(|| Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ImageId {
    /// `None` for anything that is no id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digest = text.strip_prefix("sha256:")?;
        (digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was said to be an id is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id that Docker gives")]
pub struct NotAnId;

impl TryFrom<String> for ContainerId {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        Self::parse(&text).ok_or(NotAnId)
    }
}

impl TryFrom<String> for ImageId {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        Self::parse(&text).ok_or(NotAnId)
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.as_str().to_owned()
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_id_is_an_id() {
        let long = "a".repeat(128);
        for good in ["5001cea49bbd", "a", "my_app-1.2", &long] {
            assert_eq!(ContainerId::parse(good).expect("is an id").as_str(), good);
        }
        let too_long = "a".repeat(129);
        let bad = [
            "",
            "../../v1.40/containers/prune?x=",
            ".hidden",
            "-x",
            "a/b",
            "a?b",
            "a b",
            "ä",
            "a%2f",
            "a\n",
            &too_long,
        ];
        for bad in bad {
            assert_eq!(ContainerId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_image_is_named_by_its_digest_only() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(ImageId::parse(&digest).expect("is an id").as_str(), digest);
        for bad in ["alpine", "sha256:", "sha256:../../x", &digest[..70], &format!("{digest}0")] {
            assert_eq!(ImageId::parse(bad), None, "{bad:?}");
        }
    }
}
