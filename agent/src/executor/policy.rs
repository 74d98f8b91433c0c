//! What this host does: `/etc/fleetlight/policy.toml`, owned by root. The controller cannot widen it.

use super::actions::Refused;

/// The rules as the file has them now.
#[derive(Debug, Default)]
pub struct Policy {}

impl Policy {
    /// Whether `action` ([`fleetlight_protocol::command::Action::name`]) may be done to `name`, the name that this host
    /// gives to the container, unit, runbook or emergency pattern.
    ///
    /// # Errors
    /// [`Refused`] names the rule, or that no rule allows it.
    pub fn allow(&self, action: &str, name: &str) -> Result<(), Refused> {
        Err(Refused::new(format!("no rule of the policy allows {action} on {name}")))
    }
}
