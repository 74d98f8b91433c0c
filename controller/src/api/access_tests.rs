use super::*;
use std::fmt::Write as _;

/// The table of docs/people.md, from the code.
fn table() -> String {
    let mark = |holds: bool| if holds { "yes" } else { "" };
    let mut text = "| may | admin | support | developer | sysops | password within 5 min | scope of a token |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for permission in Permission::ALL {
        let _ = write!(text, "| {} ", permission.words());
        for role in Role::ALL {
            let _ = write!(text, "| {} ", mark(role.allows(permission)));
        }
        let scope = permission.scope().map_or("none", Scope::name);
        let _ = writeln!(text, "| {} | {scope} |", mark(permission.needs_fresh_password()));
    }
    text
}

#[test]
fn the_documented_table_is_this_one() {
    let document = include_str!("../../../docs/people.md");
    assert!(document.contains(&table()), "docs/people.md must hold this table:\n{}", table());
}

#[test]
fn only_admins_act() {
    use Permission::{Account, Audit, MakeTokens, Own, Read};
    for permission in Permission::ALL {
        assert!(Role::Admin.allows(permission), "{permission:?}");
        for role in [Role::Support, Role::Developer, Role::Sysops] {
            let reads = matches!(permission, Account | Own | MakeTokens | Read | Audit);
            assert!(reads || !role.allows(permission), "{role:?} {permission:?}");
        }
    }
}

#[test]
fn no_token_prolongs_itself() {
    for permission in [Permission::Account, Permission::Own, Permission::MakeTokens, Permission::ChangePeople] {
        assert_eq!(permission.scope(), None, "{permission:?}");
    }
}

#[test]
fn names_come_back() {
    assert!(Role::ALL.into_iter().all(|role| Role::from_name(role.name()) == Some(role)));
    assert!(Scope::ALL.into_iter().all(|scope| Scope::from_name(scope.name()) == Some(scope)));
}
