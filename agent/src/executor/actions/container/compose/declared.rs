//! What a container's labels say of its compose project. Pure.

use super::super::words::text;
use crate::docker::Inspection;
use crate::executor::actions::Refused;
use crate::limits::COMPOSE_FILES;
use std::path::PathBuf;

/// As both composes label what they make.
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const FOLDER: &str = "com.docker.compose.project.working_dir";
const FILES: &str = "com.docker.compose.project.config_files";
/// Docker's own compose only.
const ENVIRONMENT: &str = "com.docker.compose.project.environment_file";

/// Longest name of a project or service.
const NAME_BYTES: usize = 128;

/// A pointer, not yet trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub project: String,
    pub service: String,
    pub folder: PathBuf,
    /// As the labels have them: relative ones are meant from the folder.
    pub files: Vec<PathBuf>,
    pub environment: Vec<PathBuf>,
}

/// # Errors
/// It is of no project, or of one that cannot be named to compose.
pub fn of(container: &Inspection) -> Result<Declared, Refused> {
    let label = |key: &str| container.labels.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let name = text(&container.name);
    let needed = |key: &str| {
        label(key).ok_or_else(|| {
            Refused::new(format!("{name} has no label {key}: compose did not make it, or too old a one"))
        })
    };
    let word = |key: &str| {
        let word = needed(key)?;
        let is_name = is_name(word);
        is_name
            .then(|| word.to_owned())
            .ok_or_else(|| Refused::new(format!("the label {key} of {name} is no name: {}", text(word))))
    };
    let declared = Declared {
        project: word(PROJECT)?,
        service: word(SERVICE)?,
        folder: needed(FOLDER)?.into(),
        files: paths(needed(FILES)?),
        environment: label(ENVIRONMENT).map(paths).unwrap_or_default(),
    };
    if label(ONE_OFF).is_some_and(|is| is.eq_ignore_ascii_case("true")) {
        return Err(Refused::new(format!(
            "{name} was made by `compose run` for one use: there is nothing to make anew"
        )));
    }
    if !declared.folder.is_absolute() {
        return Err(Refused::new(format!(
            "the label {FOLDER} of {name} is no absolute path: {}",
            super::shown(&declared.folder)
        )));
    }
    if declared.files.len() + declared.environment.len() > COMPOSE_FILES {
        return Err(Refused::new(format!("the project of {name} has more than {COMPOSE_FILES} files")));
    }
    Ok(declared)
}

impl Declared {
    /// What the service's containers bear, those for one use left out.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        vec![format!("{PROJECT}={}", self.project), format!("{SERVICE}={}", self.service), format!("{ONE_OFF}=False")]
    }
}

fn paths(list: &str) -> Vec<PathBuf> {
    list.split(',').map(|path| path.trim().into()).collect()
}

/// Nothing that a program could take for an option or a path.
fn is_name(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = word.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphanumeric()) && word.len() <= NAME_BYTES && word.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_be_an_option() {
        let long = "a".repeat(129);
        for bad in ["", "-f", "--file=/tmp/x", "../web", "a/b", "a b", "a\0", "wörk", ".web", &long] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name("comfy-user_001.a"));
    }

    #[test]
    fn paths_stand_beside_each_other() {
        assert_eq!(
            paths("docker-compose.yml, /srv/app/more.yml"),
            [PathBuf::from("docker-compose.yml"), "/srv/app/more.yml".into()]
        );
    }
}
