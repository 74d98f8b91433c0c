//! The form of a command: names that could be anything else than a name are refused before anybody looks for them.
//!
//! What passes is still only compared with the host's own lists. Values of parameters are judged by their runbook.

use crate::executor::actions::Refused;
use crate::limits::{COMMAND_LEFT, NAME_BYTES};
use fleetlight_protocol::command::{Action, Command, ContainerTarget};
use fleetlight_protocol::limits::{PARAMETER_CHARS, PARAMETERS, STABLE_SECONDS, TEXT_CHARS};

/// # Errors
/// [`Refused`] names what does not fit, never its text as it came.
pub(super) fn check(command: &Command, left_ms: i64) -> Result<(), Refused> {
    if left_ms > COMMAND_LEFT.as_millis() as i64 {
        return refuse("its deadline is more than a day away: ask for it with a nearer one");
    }
    if command.by.chars().count() > TEXT_CHARS {
        return refuse("the name of who asks is too long");
    }
    match &command.action {
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

fn check_container(target: &ContainerTarget) -> Result<(), Refused> {
    if target.id.len() != 64 || !target.id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return refuse("the container's id is not one that Docker gives: 64 hex digits");
    }
    name("the container", &target.name, |byte| matches!(byte, b'_' | b'.' | b'-'))?;
    name("the container's image", &target.image, |byte| matches!(byte, b'_' | b'.' | b'-' | b':' | b'/' | b'@' | b'+'))
}

/// A name that this host's files declare.
fn declared(what: &str, text: &str) -> Result<(), Refused> {
    name(what, text, |byte| matches!(byte, b'_' | b'-' | b'.'))
}

/// ASCII letters and digits, and `also` behind the first one; nothing climbs out of a folder.
fn name(what: &str, text: &str, also: impl Fn(u8) -> bool) -> Result<(), Refused> {
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

fn check_value(key: &str, value: &str) -> Result<(), Refused> {
    if value.chars().count() > PARAMETER_CHARS {
        return refuse(format!("parameter {key} is too long; at most {PARAMETER_CHARS} characters"));
    }
    if value.chars().any(char::is_control) {
        return refuse(format!("parameter {key} has control characters"));
    }
    Ok(())
}

fn check_stable(seconds: u32) -> Result<(), Refused> {
    if seconds > STABLE_SECONDS {
        return refuse(format!("the effect is to hold for {seconds} s; at most {STABLE_SECONDS}"));
    }
    Ok(())
}

fn refuse(reason: impl Into<String>) -> Result<(), Refused> {
    Err(Refused::new(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::command::{ContainerVerb, UnitVerb};
    use uuid::Uuid;

    fn checked(action: Action) -> Result<(), Refused> {
        let command = Command { id: Uuid::nil(), asked_ms: 0, deadline_ms: 60_000, by: "ada".into(), action };
        check(&command, 60_000)
    }

    fn container(id: &str, name: &str, image: &str) -> Action {
        let container = ContainerTarget { id: id.into(), name: name.into(), image: image.into() };
        Action::Container { verb: ContainerVerb::Restart, container, stable_seconds: 10 }
    }

    fn runbook(name: &str, key: &str, value: &str) -> Action {
        Action::Runbook { name: name.into(), parameters: [(key.to_owned(), value.to_owned())].into() }
    }

    #[test]
    fn names_that_try_to_escape_are_refused_wherever_they_stand() {
        let huge = "a".repeat(1024 * 1024);
        let id = "5a".repeat(32);
        let bad = [
            "",
            "../etc",
            "..",
            "a/../../b",
            "/etc/passwd",
            "-x",
            "--force",
            ".hidden",
            "a b",
            "a\0b",
            "a\n",
            "\na",
            "a\r",
            "a;reboot",
            "$(reboot)",
            "`id`",
            "a%2f",
            "a?force=1",
            "a#b",
            "*",
            "ngіnx",
            "ｎginx",
            "a\u{202e}b",
            "a\u{200b}",
            &huge,
        ];
        for bad in bad {
            let actions = [
                container(bad, "web", "web:1"),
                container(&id, bad, "web:1"),
                Action::Unit { verb: UnitVerb::Restart, unit: bad.into(), stable_seconds: 0 },
                runbook(bad, "size", "1"),
                runbook("back-up", bad, "1"),
                Action::EmergencyStop { pattern: bad.into() },
            ];
            for action in actions {
                let refused = checked(action.clone()).expect_err(bad.get(..40).unwrap_or(bad));
                assert!(refused.reason.len() < 200, "{refused}");
                assert!(bad.len() < 3 || !refused.reason.contains(bad), "it does not go on: {refused}");
            }
            checked(container(&id, "web", bad)).expect_err("an image");
        }
        for bad in ["a\0b", "a\nb", "\u{1b}[0m", &huge] {
            checked(runbook("back-up", "target", bad)).expect_err("a value that no runbook takes");
        }
    }

    #[test]
    fn names_of_real_hosts_pass() {
        let id = "5a".repeat(32);
        for image in ["nginx:1.27", "registry.example:5000/team/app@sha256:0a1b", "sha256:0a1b"] {
            checked(container(&id, "comfy-user001", image)).expect(image);
        }
        for unit in ["nginx.service", "getty@tty1.service", "dev-disk-by\\x2duuid.swap", "a:b.timer"] {
            checked(Action::Unit { verb: UnitVerb::Stop, unit: unit.into(), stable_seconds: 300 }).expect(unit);
        }
        checked(runbook("back-up", "target_dir", "/mnt/a b/ü")).expect("values are the runbook's to judge");
        checked(Action::EmergencyStop { pattern: "gpu-users".into() }).expect("a pattern");
    }

    #[test]
    fn bounds_are_those_of_the_protocol() {
        let unit = |stable_seconds| Action::Unit { verb: UnitVerb::Stop, unit: "a.service".into(), stable_seconds };
        checked(unit(STABLE_SECONDS + 1)).expect_err("too long");
        let parameters = (0..=PARAMETERS).map(|number| (format!("p{number}"), String::new())).collect();
        checked(Action::Runbook { name: "a".into(), parameters }).expect_err("too many");
        let command = Command { id: Uuid::nil(), asked_ms: 0, deadline_ms: 0, by: "a".into(), action: Action::Check };
        check(&command, COMMAND_LEFT.as_millis() as i64 + 1).expect_err("known for longer than the journal");
    }
}
