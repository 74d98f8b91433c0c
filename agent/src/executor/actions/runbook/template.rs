//! Arguments with places for parameters: `{name}`; `{{` and `}}` are braces. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// One argument of a step. A parameter fills its place and nothing else: one argument stays one, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Parameter(String),
}

impl Template {
    /// # Errors
    /// In words: a brace without its other half.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = vec![Part::Text(String::new())];
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '{' | '}' if chars.next_if_eq(&char).is_some() => push(&mut parts, char),
                '{' => {
                    let name: String =
                        std::iter::from_fn(|| chars.next_if(|char| *char != '}' && *char != '{')).collect();
                    if chars.next() != Some('}') {
                        return Err(format!("{text:?} has a {{ without its }}; write {{{{ for a brace"));
                    }
                    parts.push(Part::Parameter(name));
                }
                '}' => return Err(format!("{text:?} has a }} without its {{; write }}}} for a brace")),
                char => push(&mut parts, char),
            }
        }
        Ok(Self(parts))
    }

    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text, if it has no parameters.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The argument with its values. `may_be_option` names parameters that may begin it with a dash.
    ///
    /// # Errors
    /// In words: a value would make an option of the argument.
    pub fn fill(&self, values: &BTreeMap<String, String>, may_be_option: &BTreeSet<String>) -> Result<String, String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Parameter(name) => {
                    let value = values.get(name).map_or("", String::as_str);
                    if filled.is_empty() && value.starts_with('-') && !may_be_option.contains(name) {
                        return Err(format!("{name}: its value begins with a dash, which makes an option of it"));
                    }
                    filled.push_str(value);
                }
            }
        }
        Ok(filled)
    }
}

fn push(parts: &mut Vec<Part>, char: char) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push(char),
        _ => parts.push(Part::Text(char.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, value: &str) -> Result<String, String> {
        let values = [("user".to_owned(), value.to_owned())].into();
        Template::parse(template).expect("a template").fill(&values, &BTreeSet::new())
    }

    #[test]
    fn a_value_fills_its_place_and_is_never_split() {
        for (template, value, filled) in [
            ("{user}", "user001", "user001"),
            ("/srv/{user}/cache", "user001", "/srv/user001/cache"),
            ("--user={user}", "a b; rm -rf /", "--user=a b; rm -rf /"),
            ("{user}{user}", "x", "xx"),
            ("{{user}}", "x", "{user}"),
            ("{user}", "{user}", "{user}"),
            ("{user}", "$(reboot) %n ${HOME}", "$(reboot) %n ${HOME}"),
            ("", "x", ""),
        ] {
            assert_eq!(fill(template, value).as_deref(), Ok(filled), "{template}");
        }
    }

    #[test]
    fn a_value_makes_no_option_of_an_argument() {
        assert!(fill("{user}", "--delete").is_err());
        assert!(fill("{user}/x", "-x").is_err());
        assert_eq!(fill("--user={user}", "-x").as_deref(), Ok("--user=-x"));
        let (values, may) = ([("level".to_owned(), "-5".to_owned())].into(), ["level".to_owned()].into());
        assert_eq!(Template::parse("{level}").expect("a template").fill(&values, &may).as_deref(), Ok("-5"));
        // An empty first value leaves the second one at the beginning.
        let values = [("a".to_owned(), String::new()), ("b".to_owned(), "-x".to_owned())].into();
        assert!(Template::parse("{a}{b}").expect("a template").fill(&values, &BTreeSet::new()).is_err());
    }

    #[test]
    fn braces_that_do_not_match_are_refused() {
        for bad in ["{user", "user}", "{us{er}", "{", "}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let template = Template::parse("{a}/{b}").expect("a template");
        assert_eq!(template.parameters().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Template::parse("plain").expect("a template").literal(), Some("plain"));
    }
}
