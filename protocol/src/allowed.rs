//! What a host does when it is asked, as its own files say at that moment: the answer to
//! [`crate::errand::Errand::Allowed`]. For people who choose; what decides is the host, once it is asked.

use serde::{Deserialize, Serialize};

/// From the agent, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowedReport {
    Allowed(Box<Allowed>),
    /// The executor cannot be asked: in words.
    Unavailable {
        message: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Those that may be done to something.
    pub actions: Vec<AllowedAction>,
    pub emergency_stops: Vec<EmergencyStop>,
    /// Those that may be run, at most [`crate::limits::ALLOWED_RUNBOOK_BYTES`] of them.
    pub runbooks: Vec<Runbook>,
    /// Names of files that may be read as logs.
    pub log_files: Vec<String>,
    /// Files that are not believed or not understood, and what is left out here: in words.
    pub problems: Vec<String>,
}

/// An action with the patterns of names that it may be done to: one of `names` fits, and none of `except`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedAction {
    /// [`crate::command::Action::name`], or `logs.read`.
    pub action: String,
    /// At most [`crate::limits::ALLOWED_PATTERNS`], as `except`.
    pub names: Vec<String>,
    pub except: Vec<String>,
}

/// A declared emergency stop, with the patterns of the containers that it stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyStop {
    pub name: String,
    pub containers: Vec<String>,
    pub except: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runbook {
    pub name: String,
    pub description: String,
    pub timeout_seconds: u64,
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    pub name: String,
    pub description: String,
    /// Without one somebody must say.
    pub default: Option<String>,
    pub values: Values,
}

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// A text that the regular expression fits as a whole.
    Text {
        pattern: String,
        max_chars: u32,
    },
    Integer {
        min: i64,
        max: i64,
    },
    OneOf(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errand::Errand;

    #[test]
    fn wire_bytes_are_pinned() {
        assert_eq!(rmp_serde::to_vec_named(&Errand::Allowed).expect("encodes"), b"\xa7allowed");
        let action = AllowedAction { action: "check".into(), names: vec!["*".into()], except: Vec::new() };
        let report = AllowedReport::Allowed(Box::new(Allowed { actions: vec![action], ..Allowed::default() }));
        let expected = b"\x81\xa7allowed\x85\xa7actions\x91\x83\xa6action\xa5check\xa5names\x91\xa1*\xa6except\x90\
            \xafemergency_stops\x90\xa8runbooks\x90\xa9log_files\x90\xa8problems\x90";
        assert_eq!(rmp_serde::to_vec_named(&report).expect("encodes"), expected);
        let values = [
            Values::Text { pattern: "a".into(), max_chars: 1 },
            Values::Integer { min: -1, max: 7 },
            Values::OneOf(vec!["a".into()]),
        ];
        let parameter =
            values.map(|values| Parameter { name: "n".into(), description: "d".into(), default: None, values });
        let told = rmp_serde::to_vec_named(&parameter).expect("encodes");
        let expected: [&[u8]; 3] = [
            b"\xa4text\x82\xa7pattern\xa1a\xa9max_chars\x01",
            b"\xa7integer\x82\xa3min\xff\xa3max\x07",
            b"\xa6one_of\x91\xa1a",
        ];
        let head = b"\x84\xa4name\xa1n\xabdescription\xa1d\xa7default\xc0\xa6values\x81";
        let expected: Vec<u8> = expected.iter().flat_map(|values| [&head[..], values].concat()).collect();
        assert_eq!(told, [b"\x93".to_vec(), expected].concat());
    }
}
