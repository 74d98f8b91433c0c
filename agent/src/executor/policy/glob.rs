//! Patterns of names: `*` stands for any characters or none, `?` for one, everything else for itself.

use crate::limits::NAME_BYTES;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// `None`: empty, or longer than any name.
    #[must_use]
    pub fn new(pattern: &str) -> Option<Self> {
        (!pattern.is_empty() && pattern.len() <= NAME_BYTES).then(|| Self(pattern.into()))
    }

    /// Fits any name.
    #[must_use]
    pub fn all() -> Self {
        Self("*".into())
    }

    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.0.chars().collect(), name.chars().collect());
        let (mut at, mut in_name) = (0, 0);
        // Behind the last `*`, and up to where in the name that star reaches: it takes one more when the rest does not fit.
        let mut star = None;
        while in_name < name.len() {
            match pattern.get(at) {
                Some('*') => {
                    at += 1;
                    star = Some((at, in_name));
                }
                Some(wanted) if *wanted == '?' || *wanted == name[in_name] => {
                    at += 1;
                    in_name += 1;
                }
                _ => {
                    let Some((behind, reach)) = star else { return false };
                    star = Some((behind, reach + 1));
                    (at, in_name) = (behind, reach + 1);
                }
            }
        }
        pattern[at..].iter().all(|char| *char == '*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By the definition, one character at a time.
    fn by_definition(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', pattern @ ..], []) => by_definition(pattern, name),
            (['*', after @ ..], [_, rest @ ..]) => by_definition(after, name) || by_definition(pattern, rest),
            (['?', pattern @ ..], [_, rest @ ..]) => by_definition(pattern, rest),
            ([wanted, pattern @ ..], [found, rest @ ..]) => wanted == found && by_definition(pattern, rest),
            _ => false,
        }
    }

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("web", "web", true),
            ("web", "webs", false),
            ("web", "Web", false),
            ("comfy-*", "comfy-user001", true),
            ("comfy-*", "a-comfy-user001", false),
            ("*-db", "shop-db", true),
            ("*-db", "shop-db-1", false),
            ("a*b*c", "a-b-b-c", true),
            ("user00?", "user001", true),
            ("user00?", "user00", false),
            ("[ab]", "a", false),
            (".", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).expect("a pattern").matches(name), fits, "{pattern} {name}");
        }
        assert!(Glob::new("").is_none() && Glob::new(&"a".repeat(NAME_BYTES + 1)).is_none());
    }

    proptest! {
        #[test]
        fn any_pattern_matches_as_defined(pattern in "[ab*?]{1,8}", name in "[abü]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = by_definition(&chars(&pattern), &chars(&name));
            prop_assert_eq!(Glob::new(&pattern).expect("a pattern").matches(&name), expected);
        }
    }
}
