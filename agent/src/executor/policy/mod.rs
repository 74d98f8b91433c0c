//! What this host does when it is asked: `/etc/fleetlight/policy.toml` (`policy_file`), owned by root, read anew for each
//! command. The controller cannot widen it. docs/policy.md shows its rules.
//!
//! - [`Policy`]: the rules and their verdict. [`glob`]: patterns of names.

pub mod glob;

use super::actions::Refused;
use super::trusted_file;
use crate::limits::POLICY_BYTES;
use fleetlight_protocol::allowed::{Allowed, AllowedAction, EmergencyStop};
use fleetlight_protocol::command::{ContainerVerb, UnitVerb};
use fleetlight_protocol::limits::ALLOWED_PATTERNS;
use glob::Glob;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rules as the file has them now.
#[derive(Debug)]
pub struct Policy {
    file: PathBuf,
    /// There is a file.
    stated: bool,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
    emergency_stop: BTreeMap<String, Vec<Glob>>,
    compose_folders: Vec<PathBuf>,
}

#[derive(Debug)]
struct Rule {
    /// For people: `[[deny]] number 2`.
    place: String,
    actions: Vec<Glob>,
    names: Vec<Glob>,
}

/// The file's shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    #[serde(default)]
    allow: Vec<StatedRule>,
    #[serde(default)]
    deny: Vec<StatedRule>,
    #[serde(default)]
    emergency_stop: BTreeMap<String, StatedStop>,
    #[serde(default)]
    compose_folders: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedRule {
    actions: Vec<String>,
    names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedStop {
    containers: Vec<String>,
}

/// Which containers an emergency stop stops.
#[derive(Debug, Clone)]
pub struct Stop {
    containers: Vec<Glob>,
    /// Names that a `[[deny]]` spares.
    spared: Vec<Glob>,
}

/// What rules call an emergency stop, a runbook, and reading logs.
const EMERGENCY_STOP: &str = "emergency_stop";
pub const RUNBOOK: &str = "runbook.run";
const READ_LOGS: &str = "logs.read";

/// The policy as it is now.
///
/// # Errors
/// [`Refused`]: nothing is done while the file can have been written by somebody else, or is not understood.
pub async fn load(path: &Path) -> Result<Policy, Refused> {
    let place = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let text = trusted_file::read_if_there(&place, POLICY_BYTES).map_err(|error| error.to_string())?;
        Policy::parse(&place, text.as_deref())
    });
    let loaded = read.await.unwrap_or_else(|error| Err(error.to_string()));
    loaded.map_err(|why| {
        tracing::error!("every command is refused: {why}");
        Refused::new(format!("this host does nothing while its policy cannot be trusted: {why}"))
    })
}

impl Policy {
    /// From the file's text; without one containers may be restarted, and nothing else.
    ///
    /// # Errors
    /// In words, with the place.
    pub fn parse(file: &Path, text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else {
            return Ok(Self { stated: false, ..Self::of(file, &default())? });
        };
        let stated: Stated = toml::from_str(text).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::of(file, &stated)
    }

    fn of(file: &Path, stated: &Stated) -> Result<Self, String> {
        let at = |error: String| format!("{}: {error}", file.display());
        let rules = |name: &str, rules: &[StatedRule]| {
            let numbered = rules.iter().zip(1..);
            numbered
                .map(|(rule, number)| Rule::of(rule, format!("[[{name}]] number {number}")))
                .collect::<Result<Vec<_>, _>>()
        };
        let stops = stated.emergency_stop.iter().map(|(name, stop)| {
            let globs = globs(&stop.containers).map_err(|why| format!("[emergency_stop.{name}] containers: {why}"));
            Ok((name.clone(), globs?))
        });
        Ok(Self {
            file: file.to_owned(),
            stated: true,
            allow: rules("allow", &stated.allow).map_err(at)?,
            deny: rules("deny", &stated.deny).map_err(at)?,
            emergency_stop: stops.collect::<Result<_, _>>().map_err(at)?,
            compose_folders: compose_folders(&stated.compose_folders).map_err(at)?,
        })
    }

    /// Whether `action` ([`fleetlight_protocol::command::Action::name`]) may be done to `name`, the name that this host
    /// gives to the container, unit or runbook.
    ///
    /// # Errors
    /// [`Refused`] names the rule, or that no rule allows it.
    pub fn allow(&self, action: &str, name: &str) -> Result<(), Refused> {
        let file = self.file.display();
        if let Some(rule) = self.deny.iter().find(|rule| rule.covers(action, name)) {
            return Err(self.denied(rule, action, name));
        }
        if self.allow.iter().any(|rule| rule.covers(action, name)) {
            return Ok(());
        }
        Err(Refused::new(if self.stated {
            format!("no [[allow]] of {file} covers {action} on {name}: who may write that file can add it")
        } else {
            format!(
                "{action} on {name} is not allowed: this host has no {file}, and without one containers may be restarted and nothing else"
            )
        }))
    }

    /// Whether the logs of `name`, the name that this host gives, may be read: unless a `[[deny]]` says otherwise.
    ///
    /// # Errors
    /// [`Refused`] names the rule.
    pub fn read_logs(&self, name: &str) -> Result<(), Refused> {
        match self.deny.iter().find(|rule| rule.covers(READ_LOGS, name)) {
            Some(rule) => Err(self.denied(rule, READ_LOGS, name)),
            None => Ok(()),
        }
    }

    /// Whether no `[[deny]]` is about reading logs.
    #[must_use]
    pub fn reads_all_logs(&self) -> bool {
        !self.deny.iter().any(|rule| rule.actions.iter().any(|glob| glob.matches(READ_LOGS)))
    }

    /// Whether compose may work from `folder`, a path without links: `compose_folders` names it.
    ///
    /// # Errors
    /// [`Refused`] says what to add.
    pub fn allow_compose(&self, folder: &Path) -> Result<(), Refused> {
        if self.compose_folders.iter().any(|named| named == folder) {
            return Ok(());
        }
        let (file, folder) = (self.file.display(), folder.display());
        Err(Refused::new(format!(
            "compose_folders of {file} does not name {folder}: who may write that file can add it"
        )))
    }

    fn denied(&self, rule: &Rule, action: &str, name: &str) -> Refused {
        Refused::new(format!("{} of {} denies {action} on {name}", rule.place, self.file.display()))
    }

    /// All of it, as people read it.
    #[must_use]
    pub fn told(&self) -> Allowed {
        let mut told = Allowed::default();
        let all = [Glob::all()];
        for action in known_actions().filter(|action| *action != EMERGENCY_STOP) {
            let names = covering(&self.allow, action);
            let names: Vec<&Glob> = if action == READ_LOGS { all.iter().collect() } else { names.collect() };
            if names.is_empty() {
                continue;
            }
            let what = |list| format!("{list} {action}");
            let names = shown(names.into_iter(), &what("patterns of"), &mut told.problems);
            let except = shown(covering(&self.deny, action), &what("exceptions from"), &mut told.problems);
            told.actions.push(AllowedAction { action: action.into(), names, except });
        }
        let except = shown(covering(&self.deny, EMERGENCY_STOP), "exceptions from emergency stops", &mut told.problems);
        for (name, globs) in self.emergency_stop.iter().take(ALLOWED_PATTERNS) {
            let containers = shown(globs.iter(), &format!("patterns of emergency_stop.{name}"), &mut told.problems);
            told.emergency_stops.push(EmergencyStop { name: name.clone(), containers, except: except.clone() });
        }
        if self.emergency_stop.len() > ALLOWED_PATTERNS {
            told.problems.push(format!("emergency stops after the first {ALLOWED_PATTERNS} are not shown here"));
        }
        told
    }

    /// Names under which emergency stops are declared.
    pub fn emergency_stops(&self) -> impl Iterator<Item = &str> {
        self.emergency_stop.keys().map(String::as_str)
    }

    /// The emergency stop that is declared under this name.
    ///
    /// # Errors
    /// [`Refused`]: none is.
    pub fn emergency_stop(&self, name: &str) -> Result<Stop, Refused> {
        let containers = self.emergency_stop.get(name).ok_or_else(|| {
            let file = self.file.display();
            Refused::new(format!(
                "no [emergency_stop.{name}] is declared in {file}: who may write that file can add it"
            ))
        })?;
        let spared = covering(&self.deny, EMERGENCY_STOP).cloned().collect();
        Ok(Stop { containers: containers.clone(), spared })
    }
}

impl Stop {
    /// Whether it stops the container of this name: its patterns match, and no `[[deny]]` spares it.
    #[must_use]
    pub fn stops(&self, container: &str) -> bool {
        let spared = self.spared.iter().any(|glob| glob.matches(container));
        !spared && self.containers.iter().any(|glob| glob.matches(container))
    }
}

impl Rule {
    fn of(stated: &StatedRule, place: String) -> Result<Self, String> {
        let actions = globs(&stated.actions).map_err(|why| format!("{place}: actions: {why}"))?;
        if let Some(unknown) = actions.iter().find(|glob| !known_actions().any(|action| glob.matches(action))) {
            let all: Vec<_> = known_actions().collect();
            return Err(format!("{place}: no action is called {unknown}; there are {}", all.join(", ")));
        }
        let names = globs(&stated.names).map_err(|why| format!("{place}: names: {why}"))?;
        Ok(Self { place, actions, names })
    }

    fn covers(&self, action: &str, name: &str) -> bool {
        self.actions.iter().any(|glob| glob.matches(action)) && self.names.iter().any(|glob| glob.matches(name))
    }
}

/// Names in rules that cover an action.
fn covering<'a>(rules: &'a [Rule], action: &str) -> impl Iterator<Item = &'a Glob> {
    let covers = move |rule: &&Rule| rule.actions.iter().any(|glob| glob.matches(action));
    rules.iter().filter(covers).flat_map(|rule| &rule.names)
}

/// The first [`ALLOWED_PATTERNS`]; that there are more is a problem.
fn shown<'a>(globs: impl Iterator<Item = &'a Glob>, what: &str, problems: &mut Vec<String>) -> Vec<String> {
    let mut shown: Vec<String> = globs.take(ALLOWED_PATTERNS + 1).map(Glob::to_string).collect();
    if shown.len() > ALLOWED_PATTERNS {
        shown.truncate(ALLOWED_PATTERNS);
        problems.push(format!("{what} after the first {ALLOWED_PATTERNS} are not shown here"));
    }
    shown
}

fn globs(patterns: &[String]) -> Result<Vec<Glob>, String> {
    if patterns.is_empty() {
        return Err("the list is empty, so the rule covers nothing".into());
    }
    let glob = |pattern: &String| Glob::new(pattern).ok_or_else(|| format!("{pattern:.40?} is no pattern"));
    patterns.iter().map(glob).collect()
}

fn known_actions() -> impl Iterator<Item = &'static str> {
    let containers = ContainerVerb::ALL.into_iter().map(ContainerVerb::action);
    let units = UnitVerb::ALL.into_iter().map(UnitVerb::action);
    containers.chain(units).chain([RUNBOOK, EMERGENCY_STOP, READ_LOGS])
}

fn default() -> Stated {
    let restart = StatedRule { actions: vec![ContainerVerb::Restart.action().into()], names: vec!["*".into()] };
    Stated { allow: vec![restart], deny: Vec::new(), emergency_stop: BTreeMap::new(), compose_folders: Vec::new() }
}

fn compose_folders(stated: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    match stated.iter().find(|folder| !folder.is_absolute()) {
        Some(folder) => Err(format!("compose_folders: {folder:?} is no whole path")),
        None => Ok(stated.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Policy, String> {
        Policy::parse(Path::new("/etc/fleetlight/policy.toml"), Some(text))
    }

    #[test]
    fn without_a_file_containers_may_be_restarted_and_nothing_else() {
        let policy = Policy::parse(Path::new("/etc/fleetlight/policy.toml"), None).expect("the default");
        policy.allow("container.restart", "web").expect("the default");
        policy.read_logs("web").expect("reading is allowed");
        for action in known_actions().filter(|action| *action != "container.restart") {
            let refused = policy.allow(action, "web").expect_err(action);
            assert!(refused.reason.contains("no /etc/fleetlight/policy.toml"), "{refused}");
        }
        policy.emergency_stop("all").expect_err("none is declared");
    }

    #[test]
    fn an_empty_file_allows_nothing() {
        let refused = parse("").expect("empty").allow("container.restart", "web").expect_err("nothing");
        assert!(refused.reason.contains("no [[allow]]"), "{refused}");
    }

    #[test]
    fn what_is_denied_stays_denied() {
        let policy = parse(
            r#"
            compose_folders = ["/srv/shop"]
            [[allow]]
            actions = ["container.*", "unit.restart"]
            names = ["*"]
            [[allow]]
            actions = ["runbook.run"]
            names = ["backup-*"]
            [[deny]]
            actions = ["container.remove"]
            names = ["*"]
            [[deny]]
            actions = ["*"]
            names = ["*-db", "postgres"]
            [emergency_stop.gpu-users]
            containers = ["comfy-*"]
            "#,
        )
        .expect("a policy");
        policy.allow("container.stop", "web").expect("allowed");
        policy.allow("unit.restart", "nginx.service").expect("allowed");
        policy.allow("runbook.run", "backup-home").expect("allowed");
        policy.allow("runbook.run", "wipe").expect_err("not covered");
        policy.allow("unit.stop", "nginx.service").expect_err("not covered");
        let refused = policy.allow("container.remove", "web").expect_err("denied");
        assert!(refused.reason.contains("[[deny]] number 1"), "{refused}");
        let refused = policy.allow("container.restart", "shop-db").expect_err("denied");
        assert!(refused.reason.contains("[[deny]] number 2"), "{refused}");
        let stop = policy.emergency_stop("gpu-users").expect("declared");
        assert!(stop.stops("comfy-user001") && !stop.stops("web"));
        assert!(!stop.stops("comfy-db"), "a deny spares it");
        policy.read_logs("web").expect("nothing denies it");
        assert!(!policy.reads_all_logs() && parse("").expect("empty").reads_all_logs());
        policy.read_logs("postgres").expect_err("all is denied");
        policy.allow_compose(Path::new("/srv/shop")).expect("named");
        policy.allow_compose(Path::new("/srv/shop/sub")).expect_err("not named");
        let told = policy.told();
        let of = |action: &str| told.actions.iter().find(|told| told.action == action);
        assert_eq!(of("container.remove").expect("allowed").except, ["*", "*-db", "postgres"]);
        assert_eq!(of("runbook.run").expect("allowed").names, ["backup-*"]);
        assert_eq!(
            (of("logs.read").expect("allowed").names.as_slice(), of("unit.stop")),
            (&["*".to_owned()][..], None)
        );
        assert_eq!((told.emergency_stops[0].name.as_str(), told.problems.len()), ("gpu-users", 0));
        assert_eq!(told.emergency_stops[0].except, ["*-db", "postgres"]);
    }

    #[test]
    fn long_lists_are_told_in_part() {
        let names: Vec<String> = (0..=ALLOWED_PATTERNS).map(|number| format!("web{number}")).collect();
        let told =
            parse(&format!("[[allow]]\nactions = [\"unit.start\"]\nnames = {names:?}\n")).expect("a policy").told();
        assert_eq!(told.actions[0].names.len(), ALLOWED_PATTERNS);
        assert!(told.problems[0].contains("patterns of unit.start after the first 64"), "{:?}", told.problems);
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        let rule = "[[allow]]\nactions = [\"container.restart\"]\nnames = [\"*\"]\n";
        for (text, expected) in [
            (format!("{rule}user = \"ada\"\n"), &["line 4", "user"][..]),
            (format!("{rule}[[permit]]\n"), &["line 4", "permit"]),
            ("[[allow]]\nnames = [\"*\"]\n".into(), &["line 1", "actions"]),
            ("[[allow]]\nactions = \"container.restart\"\nnames = [\"*\"]\n".into(), &["line 2"]),
            (
                format!("{rule}[[deny]]\nactions = [\"container.restrat\"]\nnames = [\"*\"]\n"),
                &["[[deny]] number 1", "container.restrat", "container.restart"],
            ),
            ("[[allow]]\nactions = []\nnames = [\"*\"]\n".into(), &["[[allow]] number 1", "actions", "empty"]),
            ("[[allow]]\nactions = [\"*\"]\nnames = [\"\"]\n".into(), &["[[allow]] number 1", "names"]),
            ("[emergency_stop.all]\ncontainer = [\"*\"]\n".into(), &["line 2", "container"]),
            ("[[allow]\n".into(), &["line 1"]),
            ("compose_folders = [\"srv\"]\n".into(), &["compose_folders", "srv"]),
        ] {
            let words = parse(&text).expect_err(&text);
            assert!(words.contains("/etc/fleetlight/policy.toml"), "{words}");
            for part in expected {
                assert!(words.contains(part), "{text}: {words:?} does not say {part:?}");
            }
        }
    }
}
