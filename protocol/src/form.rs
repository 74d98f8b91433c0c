//! The form of an action: names that could be anything else than a name are refused before anybody looks for them, by the
//! controller before it writes them down, and by the host, which believes nobody.
//!
//! What passes is still only compared with the host's own lists. Values of parameters are judged by their runbook.

use crate::command::{Action, ContainerTarget};
use crate::limits::{NAME_BYTES, PARAMETER_CHARS, PARAMETERS, STABLE_SECONDS};

/// # Errors
/// What does not fit, in words, and never its text as it came.
pub fn check(action: &Action) -> Result<(), String> {
    match action {
        Action::Check => Ok(()),
        Action::Container { container, stable_seconds, .. } => {
            check_container(container)?;
            check_stable(*stable_seconds)
        }
        Action::Unit { unit, stable_seconds, .. } => {
            // systemd's own: letters, digits, and these.
            name("the unit", unit, |byte| matches!(byte, b':' | b'_' | b'.' | b'@' | b'\\' | b'-'))?;
            check_stable(*stable_seconds)
        }
        Action::Runbook { name: runbook, parameters } => {
            declared("the runbook", runbook)?;
            if parameters.len() > PARAMETERS {
                return refuse(format!("{} parameters are too many; at most {PARAMETERS}", parameters.len()));
            }
            parameters.iter().try_for_each(|(key, value)| {
                declared("a parameter", key)?;
                check_value(key, value)
            })
        }
        Action::EmergencyStop { pattern } => declared("the emergency stop", pattern),
    }
}

fn check_container(target: &ContainerTarget) -> Result<(), String> {
    if target.id.len() != 64 || !target.id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return refuse("the container's id is not one that Docker gives: 64 hex digits");
    }
    name("the container", &target.name, |byte| matches!(byte, b'_' | b'.' | b'-'))?;
    name("the container's image", &target.image, |byte| matches!(byte, b'_' | b'.' | b'-' | b':' | b'/' | b'@' | b'+'))
}

/// A name that this host's files declare.
fn declared(what: &str, text: &str) -> Result<(), String> {
    name(what, text, |byte| matches!(byte, b'_' | b'-' | b'.'))
}

/// ASCII letters and digits, and `also` behind the first one; nothing climbs out of a folder.
fn name(what: &str, text: &str, also: impl Fn(u8) -> bool) -> Result<(), String> {
    if text.is_empty() {
        return refuse(format!("the name of {what} is empty"));
    }
    if text.len() > NAME_BYTES {
        return refuse(format!("the name of {what} has {} bytes; at most {NAME_BYTES}", text.len()));
    }
    let fits = text.bytes().enumerate().all(|(at, byte)| byte.is_ascii_alphanumeric() || (at > 0 && also(byte)));
    if !fits || text.split('/').any(|part| part == "..") {
        return refuse(format!("the name of {what} has characters that no such name has"));
    }
    Ok(())
}

fn check_value(key: &str, value: &str) -> Result<(), String> {
    if value.chars().count() > PARAMETER_CHARS {
        return refuse(format!("parameter {key} is too long; at most {PARAMETER_CHARS} characters"));
    }
    if value.chars().any(char::is_control) {
        return refuse(format!("parameter {key} has control characters"));
    }
    Ok(())
}

fn check_stable(seconds: u32) -> Result<(), String> {
    if seconds > STABLE_SECONDS {
        return refuse(format!("the effect is to hold for {seconds} s; at most {STABLE_SECONDS}"));
    }
    Ok(())
}

fn refuse(reason: impl Into<String>) -> Result<(), String> {
    Err(reason.into())
}
