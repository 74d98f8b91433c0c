//! A runbook as its file declares it. Pure.

use super::expect::Expect;
use super::parameter::{self, Parameter};
use super::template::Template;
use crate::limits::{
    RUN_ARGUMENT_BYTES, RUN_ARGUMENTS, RUN_OUTPUT_DEFAULT_BYTES, RUN_STEPS, RUN_TIMEOUT_DEFAULT_SECONDS,
    RUN_TIMEOUT_SECONDS, RUN_VARIABLES,
};
use fleetlight_protocol::allowed;
use fleetlight_protocol::limits::PARAMETERS;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: String,
    steps: Vec<Vec<String>>,
    user: String,
    #[serde(default = "root_folder")]
    working_dir: PathBuf,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    parameters: BTreeMap<String, parameter::Declared>,
    #[serde(default = "default_timeout")]
    timeout_seconds: u64,
    #[serde(default = "default_output")]
    output_max_bytes: u64,
    #[serde(default)]
    sandbox: Sandbox,
    #[serde(default)]
    expect: Expect,
}

/// What a run may do beyond its user's rights, or not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sandbox {
    /// Whether it may gain rights, as by sudo.
    pub new_privileges: bool,
    pub network: bool,
    /// If given, it can write nowhere else.
    pub write: Option<Vec<PathBuf>>,
    pub memory_max_bytes: Option<u64>,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { new_privileges: false, network: true, write: None, memory_max_bytes: None }
    }
}

impl Sandbox {
    /// Whether it asks for what only systemd gives.
    #[must_use]
    pub fn needs_systemd(&self) -> bool {
        !self.network || self.write.is_some() || self.memory_max_bytes.is_some()
    }
}

/// Variables that may be secrets: their values are never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A runbook that holds together.
#[derive(Debug, Clone)]
pub struct Runbook {
    pub name: String,
    pub description: String,
    pub steps: Vec<Vec<Template>>,
    pub user: String,
    pub working_dir: PathBuf,
    pub environment: Environment,
    pub parameters: BTreeMap<String, Parameter>,
    pub timeout: Duration,
    pub output_max_bytes: u64,
    pub sandbox: Sandbox,
    pub expect: Expect,
}

impl Runbook {
    /// # Errors
    /// In words, with line or key. No line of the file is quoted: it may hold a secret.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map_or_else(String::new, |line| format!("line {line}: "));
            format!("{place}{}", error.message())
        })?;
        Self::of(name, file)
    }

    fn of(name: &str, file: File) -> Result<Self, String> {
        file.check()?;
        let parameters = file.parameters.into_iter().map(|(name, declared)| {
            let parameter = declared.try_into().map_err(|why| format!("parameters.{name}: {why}"))?;
            Ok((name, parameter))
        });
        let parameters: BTreeMap<String, Parameter> = parameters.collect::<Result<_, String>>()?;
        let steps = file.steps.iter().enumerate().map(|(index, step)| {
            self::step(step, &parameters).map_err(|why| format!("steps: step {}: {why}", index + 1))
        });
        let runbook = Self {
            name: name.to_owned(),
            description: file.description,
            steps: steps.collect::<Result<_, _>>()?,
            user: file.user,
            working_dir: file.working_dir,
            environment: file.environment,
            parameters,
            timeout: Duration::from_secs(file.timeout_seconds),
            output_max_bytes: file.output_max_bytes,
            sandbox: file.sandbox,
            expect: file.expect,
        };
        runbook.uses_what_it_declares()?;
        Ok(runbook)
    }

    /// As people read it who are to give its values.
    #[must_use]
    pub fn told(self) -> allowed::Runbook {
        let Self { name, description, parameters, timeout, .. } = self;
        let parameters = parameters.into_iter().map(|(name, parameter)| parameter.told(name)).collect();
        allowed::Runbook { name, description, timeout_seconds: timeout.as_secs(), parameters }
    }

    fn uses_what_it_declares(&self) -> Result<(), String> {
        let used: BTreeSet<_> = self.steps.iter().flatten().flat_map(Template::parameters).collect();
        match self.parameters.keys().find(|name| !used.contains(name.as_str())) {
            Some(name) => Err(format!("parameters.{name}: no step has {{{name}}}")),
            None => Ok(()),
        }
    }

    /// The steps with these values.
    ///
    /// # Errors
    /// In words: a parameter that is not declared, is missing, or is not allowed to be that.
    pub fn fill(&self, given: &BTreeMap<String, String>) -> Result<Vec<Vec<String>>, String> {
        if let Some(name) = given.keys().find(|name| !self.parameters.contains_key(*name)) {
            let shown = crate::mask::cut(crate::mask::plain(name.as_bytes()), 80);
            let known: Vec<_> = self.parameters.keys().map(String::as_str).collect();
            return Err(format!("{} has no parameter {shown:?}; it has: {}", self.name, known.join(", ")));
        }
        let mut values = BTreeMap::new();
        for (name, parameter) in &self.parameters {
            let value = given.get(name).or(parameter.default.as_ref());
            let value = value.ok_or_else(|| format!("{}: the parameter {name} is missing", self.name))?;
            parameter.check(value).map_err(|why| format!("{}: parameter {name}: {why}", self.name))?;
            values.insert(name.clone(), value.clone());
        }
        let may = |(name, parameter): (&String, &Parameter)| parameter.may_begin_with_dash.then(|| name.clone());
        let may_be_option: BTreeSet<_> = self.parameters.iter().filter_map(may).collect();
        let fill = |argument: &Template| match argument.fill(&values, &may_be_option)? {
            filled if filled.len() > RUN_ARGUMENT_BYTES => Err("an argument gets too long".to_owned()),
            filled => Ok(filled),
        };
        self.steps.iter().map(|step| step.iter().map(fill).collect()).collect()
    }
}

impl File {
    fn check(&self) -> Result<(), String> {
        bounded("steps", self.steps.len(), 1, RUN_STEPS)?;
        bounded("parameters", self.parameters.len(), 0, PARAMETERS)?;
        bounded("environment", self.environment.0.len(), 0, RUN_VARIABLES)?;
        if let Some(name) = self.parameters.keys().find(|name| !is_word(name) || name.starts_with('_')) {
            return Err(format!("parameters: {name:?} is no name: letters, digits and _, a letter first"));
        }
        if !RUN_TIMEOUT_SECONDS.contains(&self.timeout_seconds) {
            let (from, to) = (RUN_TIMEOUT_SECONDS.start(), RUN_TIMEOUT_SECONDS.end());
            return Err(format!("timeout_seconds = {} is out of range; allowed: {from} to {to}", self.timeout_seconds));
        }
        let folders = [("working_dir", &self.working_dir)];
        let write = self.sandbox.write.iter().flatten().map(|path| ("sandbox.write", path));
        if let Some((key, path)) = folders.into_iter().chain(write).find(|(_, path)| !path.is_absolute()) {
            return Err(format!("{key}: {} is not absolute", path.display()));
        }
        if !is_account(&self.user) {
            return Err(format!("user: {:?} is not the name of an account", self.user));
        }
        self.environment.check()?;
        self.expect.check()
    }
}

impl Environment {
    fn check(&self) -> Result<(), String> {
        for (name, value) in &self.0 {
            if !is_word(name) {
                return Err(format!("environment: {name:?} is not the name of a variable: letters, digits and _"));
            }
            if value.chars().any(|char| char.is_control() && !matches!(char, '\t' | '\n')) {
                return Err(format!("environment.{name}: its value holds a control character"));
            }
        }
        Ok(())
    }
}

fn step(arguments: &[String], parameters: &BTreeMap<String, Parameter>) -> Result<Vec<Template>, String> {
    bounded("arguments", arguments.len(), 1, RUN_ARGUMENTS)?;
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument holds a NUL".into());
    }
    let templates: Vec<Template> = arguments.iter().map(|text| Template::parse(text)).collect::<Result<_, _>>()?;
    if let Some(name) = templates.iter().flat_map(Template::parameters).find(|name| !parameters.contains_key(*name)) {
        return Err(format!("{{{name}}} is not declared: add [parameters.{name}]"));
    }
    match templates.first().and_then(Template::literal) {
        Some(program) if program.starts_with('/') => Ok(templates),
        _ => Err("its program must be an absolute path without parameters".into()),
    }
}

fn bounded(key: &str, count: usize, least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&count) { Ok(()) } else { Err(format!("{key}: {count}; allowed: {least} to {most}")) }
}

fn is_word(name: &str) -> bool {
    let begins = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.len() <= 64
        && name.bytes().next().is_some_and(begins)
        && name.bytes().all(|byte| begins(byte) || byte.is_ascii_digit())
}

/// As `useradd` allows them; a number is no name.
fn is_account(name: &str) -> bool {
    let begins = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let goes_on = |byte: u8| begins(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    name.len() <= 32 && name.bytes().next().is_some_and(begins) && name.bytes().all(goes_on)
}

fn root_folder() -> PathBuf {
    "/".into()
}

fn default_timeout() -> u64 {
    RUN_TIMEOUT_DEFAULT_SECONDS
}

fn default_output() -> u64 {
    RUN_OUTPUT_DEFAULT_BYTES
}

#[cfg(test)]
#[path = "declared_tests.rs"]
mod tests;
