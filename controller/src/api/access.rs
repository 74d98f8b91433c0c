//! Who may do what: the one place that decides.
//!
//! Every route states an [`Access`]; [`super::guard::admit`] lets nobody past it. A call whose body says what is
//! asked (a command) asks [`Caller::may`](super::caller::Caller::may) again.
//!
//! The table below is what docs/people.md shows, and a test holds it to that.

use crate::store::users::Role;
use fleetlight_protocol::command::{Action, ContainerVerb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody at the page: what comes before a session.
    Public,
    /// As [`Access::Public`], and without proof of origin: browsers send it by themselves.
    Report,
    /// Anybody, who is told apart from somebody.
    Open,
    /// Whoever may do this.
    Needs(Permission),
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// One's own password, and leaving: open also while a new password is due.
    Account,
    /// One's own sessions and tokens: looking at them and ending them.
    Own,
    /// Making tokens of one's own.
    MakeTokens,
    /// All that hosts tell, and what was asked of them.
    Read,
    /// Who did what, from where.
    Audit,
    /// Acts that can be undone: start, stop, restart, pause, pull; units; runbooks.
    Act,
    /// What destroys or costs: containers removed or rebuilt, the emergency stop, an agent shut out.
    Destroy,
    /// Letting hosts join.
    Enrol,
    /// Everybody's accounts, sessions and tokens: looking at them and ending sessions and tokens.
    SeePeople,
    /// Adding and changing accounts.
    ChangePeople,
}

impl Permission {
    pub const ALL: [Self; 10] = [
        Self::Account,
        Self::Own,
        Self::MakeTokens,
        Self::Read,
        Self::Audit,
        Self::Act,
        Self::Destroy,
        Self::Enrol,
        Self::SeePeople,
        Self::ChangePeople,
    ];

    /// For sentences: "the role support may not …".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Account => "change the own password and log out",
            Self::Own => "see and end own sessions and tokens",
            Self::MakeTokens => "make API tokens",
            Self::Read => "read what hosts tell",
            Self::Audit => "read the audit log",
            Self::Act => "act on hosts",
            Self::Destroy => "do what destroys or costs",
            Self::Enrol => "let hosts join",
            Self::SeePeople => "see people",
            Self::ChangePeople => "change people",
        }
    }

    /// Whether a session must have given the password within [`crate::limits::FRESH_FOR`].
    #[must_use]
    pub fn needs_fresh_password(self) -> bool {
        matches!(self, Self::MakeTokens | Self::Destroy | Self::ChangePeople)
    }

    /// The scope that a token needs for it; without one no token has it, nor a JWT: whoever finds a token must not
    /// be able to make it outlive its end.
    #[must_use]
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::Read | Self::Audit => Some(Scope::Read),
            Self::Act => Some(Scope::Act),
            Self::Destroy | Self::Enrol => Some(Scope::Admin),
            Self::Account | Self::Own | Self::MakeTokens | Self::SeePeople | Self::ChangePeople => None,
        }
    }
}

/// What a command takes.
#[must_use]
pub fn permission_of(action: &Action) -> Permission {
    match action {
        Action::Container { verb, .. } => permission_of_verb(*verb),
        Action::EmergencyStop { .. } => Permission::Destroy,
        Action::Check | Action::Unit { .. } | Action::Runbook { .. } => Permission::Act,
    }
}

/// The same of what containers can be asked for.
#[must_use]
pub fn permission_of_verb(verb: ContainerVerb) -> Permission {
    match verb {
        ContainerVerb::Remove | ContainerVerb::Recreate | ContainerVerb::Rebuild => Permission::Destroy,
        ContainerVerb::Start
        | ContainerVerb::Stop
        | ContainerVerb::Restart
        | ContainerVerb::Kill
        | ContainerVerb::Pause
        | ContainerVerb::Unpause
        | ContainerVerb::Pull => Permission::Act,
    }
}

impl Role {
    /// The table: admins act, the others read.
    #[must_use]
    pub fn allows(self, permission: Permission) -> bool {
        use Permission::{Account, Act, Audit, ChangePeople, Destroy, Enrol, MakeTokens, Own, Read, SeePeople};
        match permission {
            Account | Own | MakeTokens | Read => true,
            Audit => matches!(self, Self::Admin | Self::Sysops),
            Act | Destroy | Enrol | SeePeople | ChangePeople => self == Self::Admin,
        }
    }
}

/// What an API token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Read,
    Act,
    Admin,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Act, Self::Admin];

    /// As it is stored and told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
            Self::Admin => "admin",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
