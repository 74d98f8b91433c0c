//! What is said of a command that was not run to its end, and of what it was about.

use super::journal::Asked;
use super::live::words;
use crate::executor::actions::Finding;
use crate::executor::message::Ended;
use crate::limits::NAME_BYTES;
use fleetlight_protocol::command::{Action, Command, CommandResult, Outcome};
use fleetlight_protocol::limits::TEXT_CHARS;
use fleetlight_protocol::samples::EntityKind;

/// By the host's clock; the two clocks need not agree.
pub(super) fn asked(command: &Command, left_ms: i64, now_ms: i64) -> Asked {
    let until_ms = now_ms.saturating_add(left_ms);
    let patience_ms = command.deadline_ms.saturating_sub(command.asked_ms).max(0);
    Asked { asked_ms: until_ms.saturating_sub(patience_ms), until_ms }
}

pub(super) fn ended(action: &Action, result: CommandResult) -> Ended {
    let (kind, key) = match action {
        Action::Container { container, .. } => (EntityKind::Container, words(clipped(&container.id), TEXT_CHARS)),
        _ => (EntityKind::Host, String::new()),
    };
    let subject = if action.subject().is_empty() { action.name() } else { action.subject() };
    Ended { kind, key, subject: words(clipped(subject), TEXT_CHARS), result }
}

pub(super) fn expired(asked: Asked, since_ms: i64) -> (Outcome, String) {
    if asked.asked_ms < since_ms {
        return (
            Outcome::Interrupted,
            "the host's journal is younger than the command: whether it was begun before is not known, and it is not begun now".into(),
        );
    }
    (Outcome::Expired, "its deadline had passed when it reached the host".into())
}

pub(super) fn late() -> (Outcome, String) {
    (Outcome::Expired, "its deadline passed before it could begin".into())
}

pub(super) fn cancelled() -> (Outcome, String) {
    (Outcome::Cancelled, "it was cancelled before it began".into())
}

fn wish(action: &Action) -> String {
    format!("{} {}", action.name(), clipped(action.subject())).trim_end().to_owned()
}

/// A name as it came may be of any length.
fn clipped(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES)]
}

pub(super) fn not_begun(action: &Action, outcome: Outcome, reason: String) -> Finding {
    let observed = if outcome == Outcome::Interrupted { "not known" } else { "nothing was done" };
    Finding { outcome, asked: wish(action), observed: observed.into(), reason: Some(reason), exit_code: None }
}

/// `found`: what was left of it.
pub(super) fn interrupted(action: &Action, found: Option<String>) -> Finding {
    let found = found.unwrap_or_else(|| "how far it came is not known".into());
    Finding {
        outcome: Outcome::Interrupted,
        asked: wish(action),
        observed: format!("the host or its executor went down while it ran; {found}"),
        reason: Some(
            "it is not begun again by itself: look at what is there, and ask anew if it is still wanted".into(),
        ),
        exit_code: None,
    }
}

pub(super) fn broken(action: &Action) -> Finding {
    Finding {
        outcome: Outcome::Failed,
        asked: wish(action),
        observed: "how far it came is not known".into(),
        reason: Some(
            "the action broke off by a fault of Fleetlight: please report this with the executor's log".into(),
        ),
        exit_code: None,
    }
}
