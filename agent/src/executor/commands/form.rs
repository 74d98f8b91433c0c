//! The form of a command: that of its action, and who asks until when.

use crate::executor::actions::Refused;
use crate::limits::COMMAND_LEFT;
use fleetlight_protocol::command::Command;
use fleetlight_protocol::form;
use fleetlight_protocol::limits::TEXT_CHARS;

/// # Errors
/// [`Refused`] names what does not fit, never its text as it came.
pub(super) fn check(command: &Command, left_ms: i64) -> Result<(), Refused> {
    if left_ms > COMMAND_LEFT.as_millis() as i64 {
        return refuse("its deadline is more than a day away: ask for it with a nearer one");
    }
    if command.by.chars().count() > TEXT_CHARS {
        return refuse("the name of who asks is too long");
    }
    form::check(&command.action).map_err(Refused::new)
}

fn refuse(reason: impl Into<String>) -> Result<(), Refused> {
    Err(Refused::new(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::command::{Action, ContainerTarget, ContainerVerb, UnitVerb};
    use fleetlight_protocol::limits::{PARAMETERS, STABLE_SECONDS};
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
