//! Names of units.

use std::fmt;

/// Endings of units that can be started and stopped.
const ENDINGS: [&str; 10] =
    ["service", "socket", "timer", "path", "target", "mount", "automount", "swap", "slice", "scope"];

/// A unit's whole name, `nginx.service`: letters, digits and `:_.@\-`, not beginning with `-`, so that it can stand in an
/// argument list; at most 255 bytes; no template without its instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitName(String);

impl UnitName {
    /// Longest name, as systemd has it.
    pub const BYTES: usize = 255;

    /// `None` for anything that is no such name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":_.@\\-".contains(&byte);
        let (stem, ending) = text.rsplit_once('.')?;
        let is_name = text.len() <= Self::BYTES
            && !stem.is_empty()
            && !stem.starts_with('-')
            && !stem.ends_with('@')
            && text.bytes().all(fits)
            && ENDINGS.contains(&ending);
        is_name.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_service(&self) -> bool {
        self.0.ends_with(".service")
    }

    /// The service that runs a command's runbook.
    #[must_use]
    pub fn of_run(command: uuid::Uuid) -> Self {
        Self(format!("fleetlight-run-{command}.service"))
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_units_are_names() {
        let longest = format!("{}.service", "a".repeat(247));
        for good in [
            "nginx.service",
            "getty@tty1.service",
            r"dev-disk-by\x2duuid-1.swap",
            "fstrim.timer",
            "system.slice",
            &longest,
        ] {
            assert_eq!(UnitName::parse(good).expect("is a name").as_str(), good);
        }
        let too_long = format!("{}.service", "a".repeat(248));
        let megabyte = format!("{}.service", "a".repeat(1 << 20));
        for bad in [
            "",
            "nginx",
            ".service",
            "-.service",
            "--now.service",
            "-H.mount",
            "../../etc/passwd.service",
            "/etc/nginx.service",
            "a/b.service",
            "a b.service",
            "*.service",
            "nginx.service\0",
            "nginx.service\n",
            "nginx.service;reboot",
            "$(reboot).service",
            "ngïnx.service",
            "getty@.service",
            "nginx.device",
            "nginx.exe",
            &too_long,
            &megabyte,
        ] {
            assert_eq!(UnitName::parse(bad), None, "{bad:.80?}");
        }
    }

    #[test]
    fn the_name_of_a_run_is_one() {
        let name = UnitName::of_run(uuid::Uuid::now_v7());
        assert_eq!(UnitName::parse(name.as_str()), Some(name));
    }
}
