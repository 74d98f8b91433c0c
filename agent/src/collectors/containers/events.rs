//! Events of containers as they leave the host. Pure.

use super::document::text;
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::EntityKind;
use uuid::Uuid;

/// An event of the container `id`.
#[must_use]
pub fn event(id: &str, name: &str, at_ms: i64, fact: Fact, deliberate: bool) -> Event {
    Event {
        id: Uuid::now_v7(),
        at_ms,
        kind: EntityKind::Container,
        key: id.to_owned(),
        subject: text(name),
        severity: severity(&fact, deliberate),
        fact,
    }
}

/// A death that someone asked for, or that ended well, is no trouble.
fn severity(fact: &Fact, deliberate: bool) -> Severity {
    match fact {
        Fact::CrashLoopBegan { .. } | Fact::ContainerDied { oom_killed: true, .. } => Severity::Crit,
        Fact::ContainerDied { exit_code, .. } if !deliberate && *exit_code != Some(0) => Severity::Warn,
        Fact::ContainerHealth { health } if health == "unhealthy" => Severity::Warn,
        _ => Severity::Info,
    }
}

/// Whether this signal, sent by a person, asks the container to end: not those that make a program
/// read its configuration or print its state.
#[must_use]
pub fn ends(signal: Option<u32>) -> bool {
    // HUP, USR1, USR2, CHLD, CONT, STOP, TSTP, WINCH do not end it. nginx and httpd do end by QUIT
    // and WINCH, their images' stop signals.
    !matches!(signal, Some(1 | 10 | 12 | 17..=20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_follows_what_happened() {
        let died = |exit_code, oom_killed| Fact::ContainerDied { exit_code, oom_killed, last_lines: Vec::new() };
        let cases = [
            (died(Some(0), false), false, Severity::Info),
            (died(Some(1), false), false, Severity::Warn),
            (died(None, false), false, Severity::Warn),
            (died(Some(137), false), true, Severity::Info),
            (died(Some(137), true), false, Severity::Crit),
            (Fact::ContainerHealth { health: "unhealthy".into() }, false, Severity::Warn),
            (Fact::ContainerHealth { health: "healthy".into() }, false, Severity::Info),
            (Fact::ContainerStarted, false, Severity::Info),
        ];
        for (fact, deliberate, expected) in cases {
            assert_eq!(event("id", "name", 1, fact.clone(), deliberate).severity, expected, "{fact:?}");
        }
    }

    #[test]
    fn signals_that_reload_do_not_end() {
        assert!(ends(Some(15)) && ends(Some(9)) && ends(Some(28)) && ends(None));
        assert!(!ends(Some(1)) && !ends(Some(10)));
    }
}
