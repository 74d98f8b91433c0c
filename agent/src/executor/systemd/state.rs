//! A unit's properties, and what they say in words. Pure.

use std::collections::HashMap;
use zbus::{OwnedVariant, Variant};

/// How a unit is now. What its kind of unit does not have is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// The name that this host gives to it, whatever alias was asked for.
    pub id: String,
    /// `loaded`, `not-found`, `masked` …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// `running`, `exited`, `dead`, `auto-restart` …
    pub sub: String,
    /// Another one for each start.
    pub invocation: Vec<u8>,
    /// Of services: `simple`, `oneshot` …
    pub kind: Option<String>,
    /// Of services: `success`, `exit-code`, `signal`, `timeout`, `oom-kill` …
    pub result: Option<String>,
    pub main: Option<MainEnd>,
    /// Restarts by systemd itself since the last start.
    pub restarts: Option<u32>,
    /// Whether its conditions (`ConditionPathExists=` …) were met when it was to start last; absent if it never was. If
    /// not, systemd skips it and calls that done.
    pub conditions_met: Option<bool>,
    /// Of services, how many programs of its `ExecStart` were begun, and the last one's pid.
    pub begun: usize,
}

/// How a service's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MainEnd {
    Exited(i32),
    Killed(i32),
}

impl UnitState {
    pub fn of(properties: &HashMap<String, OwnedVariant>) -> Self {
        let text =
            |name: &str| properties.get(name).and_then(|value| value.downcast_ref::<&str>().ok()).map(str::to_owned);
        let number = |name: &str| properties.get(name).and_then(|value| value.downcast_ref::<i32>().ok());
        // As in siginfo_t: CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0 while it runs or never ran.
        let main = match (number("ExecMainCode"), number("ExecMainStatus")) {
            (Some(1), Some(code)) => Some(MainEnd::Exited(code)),
            (Some(2 | 3), Some(signal)) => Some(MainEnd::Killed(signal)),
            _ => None,
        };
        let conditions = properties.get("ConditionResult").and_then(|value| value.downcast_ref::<bool>().ok());
        let looked_at = properties.get("ConditionTimestamp").and_then(|value| value.downcast_ref::<u64>().ok());
        Self {
            id: text("Id").unwrap_or_default(),
            load: text("LoadState").unwrap_or_default(),
            active: text("ActiveState").unwrap_or_default(),
            sub: text("SubState").unwrap_or_default(),
            invocation: properties.get("InvocationID").map(bytes).unwrap_or_default(),
            kind: text("Type"),
            result: text("Result"),
            main,
            restarts: properties.get("NRestarts").and_then(|value| value.downcast_ref::<u32>().ok()),
            conditions_met: conditions.filter(|_| looked_at.is_some_and(|at| at > 0)),
            begun: properties.get("ExecStart").map(begun).unwrap_or_default(),
        }
    }

    /// Whether it does what it is there for.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether nothing of it runs.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }

    /// Whether systemd skipped its last start.
    #[must_use]
    pub fn is_skipped(&self) -> bool {
        self.active == "inactive" && self.conditions_met == Some(false)
    }

    /// `active (running)`
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} ({})", self.active, self.sub)
    }

    /// `exit-code 1`, `signal 9`, `timeout`: why it is not well, as far as systemd says.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let result = self.result.as_deref().filter(|result| *result != "success")?;
        Some(match self.main {
            Some(MainEnd::Exited(code)) if result == "exit-code" => format!("{result} {code}{}", hint(code)),
            Some(MainEnd::Killed(signal)) if matches!(result, "signal" | "core-dump") => format!("{result} {signal}"),
            _ => result.to_owned(),
        })
    }
}

/// What systemd says by exit codes of its own, `systemd.exec(5)`; a program may use them too.
pub fn hint(code: i32) -> &'static str {
    match code {
        200 => " (systemd: its working folder cannot be entered)",
        203 => " (systemd: its program cannot be executed)",
        216 | 217 => " (systemd: its user or group does not exist)",
        226 => " (systemd: its sandbox cannot be made, for instance a path of it is missing)",
        _ => "",
    }
}

fn bytes(value: &OwnedVariant) -> Vec<u8> {
    value.try_clone().ok().and_then(|value| Vec::<u8>::try_from(value).ok()).unwrap_or_default()
}

/// Of `a(sasbttttuii)`: path, arguments, ignored, four times, pid, code, status.
fn begun(value: &OwnedVariant) -> usize {
    let Variant::Array(programs) = &**value else { return 0 };
    let pid = |program: &Variant<'_>| match program {
        Variant::Structure(program) => match program.fields().get(7) {
            Some(Variant::U32(pid)) => *pid,
            _ => 0,
        },
        _ => 0,
    };
    programs.iter().filter(|program| pid(program) != 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(properties: Vec<(&str, Variant<'static>)>) -> UnitState {
        let owned = |value: Variant<'static>| OwnedVariant::try_from(value).expect("holds no descriptor");
        UnitState::of(&properties.into_iter().map(|(name, value)| (name.to_owned(), owned(value))).collect())
    }

    #[test]
    fn properties_are_read() {
        let program = |pid: u32| {
            ("/bin/true".to_owned(), vec!["true".to_owned()], false, 1u64, 1u64, 0u64, 0u64, pid, 0i32, 0i32)
        };
        let state = state(vec![
            ("Id", "nginx.service".into()),
            ("ActiveState", "failed".into()),
            ("SubState", "failed".into()),
            ("InvocationID", Variant::new(vec![1u8, 2])),
            ("Result", "exit-code".into()),
            ("ExecMainCode", 1i32.into()),
            ("ExecMainStatus", 203i32.into()),
            ("NRestarts", 3u32.into()),
            ("ExecStart", Variant::new(vec![program(7), program(8), program(0)])),
        ]);
        assert_eq!(state.invocation, [1, 2]);
        assert_eq!((state.restarts, state.begun), (Some(3), 2));
        assert!(state.is_down() && !state.is_active());
        assert_eq!(state.words(), "failed (failed)");
        assert!(state.trouble().expect("is not well").starts_with("exit-code 203 (systemd: its program"));
    }

    #[test]
    fn trouble_is_named_by_what_systemd_knows() {
        let of = |result: &'static str, code: i32, status: i32| {
            let state = state(vec![
                ("Result", result.into()),
                ("ExecMainCode", code.into()),
                ("ExecMainStatus", status.into()),
            ]);
            state.trouble()
        };
        assert_eq!(of("success", 1, 0), None);
        assert_eq!(of("exit-code", 1, 2).as_deref(), Some("exit-code 2"));
        assert_eq!(of("signal", 2, 9).as_deref(), Some("signal 9"));
        assert_eq!(of("timeout", 2, 15).as_deref(), Some("timeout"));
        assert_eq!(of("start-limit-hit", 0, 0).as_deref(), Some("start-limit-hit"));
        assert_eq!(state(Vec::new()).trouble(), None, "a target has no result");
    }

    #[test]
    fn one_whose_condition_is_not_met_is_skipped() {
        for (active, met, looked_at, skipped) in [
            ("inactive", true, 7_u64, false),
            ("inactive", false, 7, true),
            ("active", false, 7, false),
            ("inactive", false, 0, false),
        ] {
            let state = state(vec![
                ("ActiveState", active.into()),
                ("ConditionResult", met.into()),
                ("ConditionTimestamp", looked_at.into()),
            ]);
            assert_eq!(state.is_skipped(), skipped, "{active}, {met}, {looked_at}");
        }
    }
}
