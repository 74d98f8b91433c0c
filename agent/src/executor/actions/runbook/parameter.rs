//! Parameters of a runbook: what an asker may choose, and within which limits. Pure.

use fleetlight_protocol::allowed::{self, Values};
use fleetlight_protocol::limits::PARAMETER_CHARS;
use regex_lite::Regex;
use serde::Deserialize;
use std::ops::RangeInclusive;

/// As the file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    #[serde(rename = "type")]
    kind: Kind,
    /// For people.
    #[serde(default)]
    description: String,
    /// What it is when nobody says; without it somebody must.
    default: Option<String>,
    pattern: Option<String>,
    max_chars: Option<usize>,
    min: Option<i64>,
    max: Option<i64>,
    values: Option<Vec<String>>,
    /// Whether an argument may begin with it if it begins with a dash.
    #[serde(default)]
    may_begin_with_dash: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    String,
    Integer,
    Enum,
}

#[derive(Debug, Clone)]
pub struct Parameter {
    pub description: String,
    pub default: Option<String>,
    pub may_begin_with_dash: bool,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    /// The whole value must match.
    Text {
        pattern: Regex,
        said: String,
        max_chars: usize,
    },
    Integer(RangeInclusive<i64>),
    OneOf(Vec<String>),
}

/// Characters of a value where its declaration does not say: names, dates, paths.
const MAX_CHARS: usize = 256;

impl TryFrom<Declared> for Parameter {
    type Error = String;

    fn try_from(declared: Declared) -> Result<Self, String> {
        let Declared { kind, description, default, pattern, max_chars, min, max, values, may_begin_with_dash } =
            declared;
        let strange = [
            ("pattern", pattern.is_some(), Kind::String),
            ("max_chars", max_chars.is_some(), Kind::String),
            ("min", min.is_some(), Kind::Integer),
            ("max", max.is_some(), Kind::Integer),
            ("values", values.is_some(), Kind::Enum),
        ];
        if let Some((key, ..)) = strange.iter().find(|(_, given, of)| *given && *of != kind) {
            return Err(format!("{key} does not belong to this type"));
        }
        let rule = match kind {
            Kind::String => text(pattern, max_chars.unwrap_or(MAX_CHARS))?,
            Kind::Integer => match min.ok_or("min is missing")?..=max.ok_or("max is missing")? {
                range if range.is_empty() => return Err("min is above max".into()),
                range => Rule::Integer(range),
            },
            Kind::Enum => Rule::OneOf(values.filter(|values| !values.is_empty()).ok_or("values is missing or empty")?),
        };
        let parameter = Self { description, default, may_begin_with_dash, rule };
        if let Some(default) = &parameter.default {
            parameter.check(default).map_err(|why| format!("default: {why}"))?;
        }
        Ok(parameter)
    }
}

fn text(pattern: Option<String>, max_chars: usize) -> Result<Rule, String> {
    let said =
        pattern.ok_or("pattern is missing: a regular expression for the whole value, such as \"user[0-9]{3}\"")?;
    if !(1..=PARAMETER_CHARS).contains(&max_chars) {
        return Err(format!("max_chars = {max_chars} is out of range; allowed: 1 to {PARAMETER_CHARS}"));
    }
    // By itself first: `a)|(b` would close the group that anchors it.
    let pattern = Regex::new(&said).and_then(|_| Regex::new(&format!(r"\A(?:{said})\z")));
    let pattern = pattern.map_err(|error| format!("pattern: {error}"))?;
    Ok(Rule::Text { pattern, said, max_chars })
}

impl Parameter {
    #[must_use]
    pub fn told(self, name: String) -> allowed::Parameter {
        let Self { description, default, rule, .. } = self;
        let values = match rule {
            Rule::Text { said, max_chars, .. } => Values::Text { pattern: said, max_chars: max_chars as u32 },
            Rule::Integer(range) => Values::Integer { min: *range.start(), max: *range.end() },
            Rule::OneOf(values) => Values::OneOf(values),
        };
        allowed::Parameter { name, description, default, values }
    }

    /// # Errors
    /// In words, what is allowed.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.len() > PARAMETER_CHARS * 4 {
            return Err(format!("{} bytes are too long", value.len()));
        }
        if value.chars().any(char::is_control) {
            return Err("it holds a control character".into());
        }
        match &self.rule {
            Rule::Text { max_chars, .. } if value.chars().count() > *max_chars => {
                Err(format!("it has more than {max_chars} characters"))
            }
            Rule::Text { pattern, said, .. } if !pattern.is_match(value) => Err(format!("it does not match {said}")),
            Rule::Integer(range) if !whole(value).is_some_and(|number| range.contains(&number)) => {
                Err(format!("it is not a whole number from {} to {}", range.start(), range.end()))
            }
            Rule::OneOf(values) if !values.iter().any(|allowed| allowed == value) => {
                Err(format!("it is none of {}", values.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// In one way of writing only: neither `+5` nor `007`.
fn whole(value: &str) -> Option<i64> {
    value.parse().ok().filter(|number: &i64| number.to_string() == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(text: &str) -> Result<Parameter, String> {
        toml::from_str::<Declared>(text).map_err(|error| error.message().to_owned())?.try_into()
    }

    #[test]
    fn values_within_limits_pass_and_others_say_what_is_allowed() {
        let user = r#"type = "string"
            pattern = "user[0-9]{3}""#;
        let path = r#"type = "string"
            pattern = "[a-z/.]+"
            max_chars = 8"#;
        let either = r#"type = "string"
            pattern = "a|b""#;
        let level = r#"type = "integer"
            min = -5
            max = 10"#;
        let kind = r#"type = "enum"
            values = ["full", "quick"]"#;
        let long = "a".repeat(9);
        let megabyte = "a".repeat(1 << 20);
        for (declared, value, allowed) in [
            (user, "user001", true),
            (user, "user0011", false),
            (user, "xuser001", false),
            (user, "user001\n", false),
            (user, "user001\0", false),
            (user, "user001; reboot", false),
            (user, "../user001", false),
            (user, "--user001", false),
            (user, "", false),
            (user, "user٠٠١", false),
            (path, "a/b", true),
            (path, &long, false),
            (path, &megabyte, false),
            (either, "a", true),
            (either, "b", true),
            (either, "ax", false),
            (either, "xb", false),
            (level, "10", true),
            (level, "-5", true),
            (level, "11", false),
            (level, "-6", false),
            (level, "007", false),
            (level, "+1", false),
            (level, "1e1", false),
            (level, " 1", false),
            (level, "99999999999999999999", false),
            (kind, "full", true),
            (kind, "Full", false),
            (kind, "full,quick", false),
            (kind, "", false),
        ] {
            let checked = parameter(declared).expect("is declared").check(value);
            assert_eq!(checked.is_ok(), allowed, "{value:.40?} by {declared}: {checked:?}");
        }
    }

    #[test]
    fn a_pattern_cannot_leave_its_anchors() {
        for pattern in ["a)|(b", "(", "(?x)a #", "a\\"] {
            let declared = format!("type = \"string\"\npattern = '{pattern}'");
            assert!(parameter(&declared).is_err(), "{pattern}");
        }
        let lines = parameter("type = \"string\"\npattern = '(?m)^a$'").expect("is declared");
        assert!(lines.check("a").is_ok() && lines.check("b\na").is_err());
        let all = parameter("type = \"string\"\npattern = '(?s).*'").expect("is declared");
        assert!(all.check("any thing").is_ok() && all.check("a\nb").is_err(), "control characters never pass");
    }

    #[test]
    fn a_declaration_that_does_not_fit_is_refused() {
        for (declared, word) in [
            ("type = \"string\"", "pattern is missing"),
            ("type = \"integer\"\nmin = 1", "max is missing"),
            ("type = \"integer\"\nmin = 2\nmax = 1", "min is above max"),
            ("type = \"enum\"", "values is missing"),
            ("type = \"enum\"\nvalues = []", "values is missing"),
            ("type = \"enum\"\nvalues = ['a']\ndefault = 'b'", "default: it is none of a"),
            ("type = \"integer\"\nmin = 1\nmax = 2\npattern = 'x'", "pattern does not belong"),
            ("type = \"string\"\npattern = 'x'\nmax_chars = 0", "out of range"),
            ("type = \"string\"\npattern = 'x'\nmaximum = 3", "unknown field `maximum`"),
            ("type = \"shell\"", "unknown variant `shell`"),
        ] {
            let error = parameter(declared).expect_err(declared);
            assert!(error.contains(word), "{declared}: {error}");
        }
    }
}
