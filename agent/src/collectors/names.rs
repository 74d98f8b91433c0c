//! Names of containers and of the users that they name, shared between collectors.
//!
//! The containers collector fills the map; the gpu collector reads it, so that a process on a GPU
//! gets the user of its container without asking Docker. No I/O here; the lock is held for a look-up.

use crate::limits::CONTAINER_NAMES;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Name of each container by its full id.
#[derive(Debug, Default)]
pub struct ContainerNames {
    by_id: RwLock<HashMap<String, String>>,
}

impl ContainerNames {
    /// Takes over a whole list of `(id, name)`; what is not in it is forgotten. Names beyond
    /// [`CONTAINER_NAMES`] are not kept.
    pub fn replace(&self, names: impl IntoIterator<Item = (String, String)>) {
        let fresh = names.into_iter().take(CONTAINER_NAMES).collect();
        *self.by_id.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Adds or renames one container.
    pub fn insert(&self, id: &str, name: &str) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if by_id.len() < CONTAINER_NAMES || by_id.contains_key(id) {
            by_id.insert(id.to_owned(), name.to_owned());
        }
    }

    /// Forgets one container.
    pub fn remove(&self, id: &str) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// The name of the container with this full id, if it is known.
    #[must_use]
    pub fn name(&self, id: &str) -> Option<String> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// The configured `user_pattern`: finds the user in a container's name.
#[derive(Debug, Clone, Default)]
pub struct UserPattern(Option<regex_lite::Regex>);

impl UserPattern {
    /// A pattern with one group. The configuration has checked it; one that does not parse finds
    /// nobody.
    #[must_use]
    pub fn new(pattern: Option<&str>) -> Self {
        Self(pattern.and_then(|pattern| regex_lite::Regex::new(pattern).ok()))
    }

    /// What the group matches in `container_name`.
    #[must_use]
    pub fn user(&self, container_name: &str) -> Option<String> {
        let found = self.0.as_ref()?.captures(container_name)?;
        Some(found.get(1)?.as_str().to_owned()).filter(|user| !user.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_list_forgets_what_is_not_in_it() {
        let names = ContainerNames::default();
        names.insert("a", "comfy-user001");
        names.replace([("b".to_owned(), "redis".to_owned())]);
        assert_eq!(names.name("a"), None);
        assert_eq!(names.name("b").as_deref(), Some("redis"));
        names.remove("b");
        assert_eq!(names.name("b"), None);
    }

    #[test]
    fn the_map_is_bounded_and_full_still_renames() {
        let names = ContainerNames::default();
        names.replace((0..CONTAINER_NAMES + 10).map(|number| (number.to_string(), "old".to_owned())));
        names.insert("one more", "x");
        assert_eq!(names.name("one more"), None);
        names.insert("0", "new");
        assert_eq!(names.name("0").as_deref(), Some("new"));
    }

    #[test]
    fn the_group_is_the_user() {
        let pattern = UserPattern::new(Some("^comfy-(user[0-9]+)$"));
        assert_eq!(pattern.user("comfy-user007").as_deref(), Some("user007"));
        assert_eq!(pattern.user("redis"), None);
        assert_eq!(UserPattern::new(None).user("comfy-user007"), None);
    }
}
