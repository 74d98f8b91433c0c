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

/// An image by a name that a registry can be asked for: `registry:5000/path/name:tag`. Never a digest: what is named by
/// one never gets newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    name: Arc<str>,
    tag: Arc<str>,
}

impl ImageName {
    /// Longest name with its tag.
    const BYTES: usize = 255 + 1 + 128;

    /// `None` for digests, ids and whatever else is no name. Without a tag it is `latest`: Docker would fetch all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (text, "latest"),
        };
        let part = |part: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            part.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) && part.bytes().all(fits)
        };
        let (registry, path) = name.split_once('/').map_or((None, name), |(first, rest)| (Some(first), rest));
        let (host, port) =
            registry.and_then(|it| it.split_once(':')).map_or((registry, None), |(h, p)| (Some(h), Some(p)));
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        let is_name = host.is_none_or(part) && port.is_none_or(is_port) && path.split('/').all(part);
        let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let fits = text.len() <= Self::BYTES && is_name && !is_id && name != "sha256" && part(tag);
        fits.then(|| Self { name: name.into(), tag: tag.into() })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
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

    #[test]
    fn an_image_to_fetch_has_a_name_and_one_tag() {
        let tagged = [
            ("comfy", "comfy:latest"),
            ("comfy:1.2", "comfy:1.2"),
            ("127.0.0.1:5000/team/comfy", "127.0.0.1:5000/team/comfy:latest"),
            ("localhost:5000/comfy:v1", "localhost:5000/comfy:v1"),
        ];
        for (text, whole) in tagged {
            assert_eq!(ImageName::parse(text).expect("is a name").to_string(), whole);
        }
        let digest = format!("sha256:{}", "0a".repeat(32));
        let by_digest = format!("comfy@{digest}");
        let long = "a".repeat(400);
        let bad = [
            "",
            ":",
            "comfy:",
            "-x",
            "a b",
            "../x",
            "a/../b",
            "a//b",
            "a?b=c",
            "a\0",
            "ä",
            "a:b:c/d",
            &digest,
            &digest[7..],
            &by_digest,
            &long,
        ];
        for bad in bad {
            assert_eq!(ImageName::parse(bad), None, "{bad:?}");
        }
    }
}
