//! From the container that the asker saw to the one that this host has. Pure.

use super::words::text;
use crate::docker::{ContainerId, Inspection, Listed};
use crate::executor::actions::Refused;
use fleetlight_protocol::command::ContainerTarget;

/// The host's own id of the container that `asked` names.
///
/// # Errors
/// No id, or none that this host has.
pub fn id(asked: &str, containers: &[Listed]) -> Result<ContainerId, Refused> {
    let Some(asked) = ContainerId::parse(asked) else {
        return Err(Refused::new(format!("\"{}\" is not an id that Docker gives", short(asked))));
    };
    let found = containers.iter().find(|it| it.id == asked).map(|it| it.id.clone());
    found.ok_or_else(|| {
        let asked = short(asked.as_str());
        Refused::new(format!("no container here has the id {asked}: it was removed or made anew; look again"))
    })
}

/// Whether it is still what the asker saw.
///
/// # Errors
/// What was seen, and what is there.
pub fn same(asked: &ContainerTarget, found: &Inspection) -> Result<(), Refused> {
    for (what, seen, here) in [("name", &asked.name, &found.name), ("image", &asked.image, &found.image)] {
        let here = text(here);
        if *seen != here {
            return Err(Refused::new(format!(
                "the container is another one by now: its {what} was \"{}\" when this was asked and is \"{here}\"; look again",
                short(seen)
            )));
        }
    }
    Ok(())
}

/// What somebody sent, for a message.
fn short(text: &str) -> String {
    const SHOWN: usize = 100;
    crate::mask::cut(crate::mask::plain(text.as_bytes()), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::ContainerId;
    use fleetlight_protocol::document::ContainerState;

    fn listed(ids: &[&str]) -> Vec<Listed> {
        let one = |id: &&str| Listed {
            id: ContainerId::parse(id).expect("is an id"),
            name: "web".into(),
            state: ContainerState::Running,
        };
        ids.iter().map(one).collect()
    }

    #[test]
    fn only_the_hosts_own_ids_go_on() {
        let all = listed(&["0d2f38e466aad5c2", "0d2f38e466aad5c3", "5001cea49bbd1234"]);
        assert_eq!(id("5001cea49bbd1234", &all).expect("whole").as_str(), "5001cea49bbd1234");
        let long = "a".repeat(1_000_000);
        let escaping = "../../v1.40/containers/prune?x=";
        for (asked, words) in [
            ("5001cea49bbd", "no container"),
            ("web", "no container"),
            ("ffffffffffff", "look again"),
            ("", "not an id"),
            ("-f", "not an id"),
            ("5001cea49bbd\0", "not an id"),
            (escaping, "not an id"),
            (&long, "not an id"),
        ] {
            let refused = id(asked, &all).expect_err("is refused").reason;
            assert!(refused.contains(words) && refused.len() < 200, "{refused}");
        }
    }
}
