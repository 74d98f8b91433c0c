//! A run's environment on its way to systemd: a file that root alone can read.
//!
//! As properties of the unit anybody on the host could read it.

use super::declared::Environment;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A file that is gone when this is.
#[derive(Debug)]
pub struct PutDown(PathBuf);

impl PutDown {
    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

impl Drop for PutDown {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// None for a run without variables.
///
/// # Errors
/// In words, with the file.
pub async fn put_down(environment: &Environment, path: PathBuf) -> Result<Option<PutDown>, String> {
    if environment.0.is_empty() {
        return Ok(None);
    }
    let (text, place) = (text(environment), path.display().to_string());
    let written = tokio::task::spawn_blocking(move || write(&text, path)).await;
    written.map_err(io::Error::other).and_then(|written| written).map(Some).map_err(|error| format!("{place}: {error}"))
}

fn write(text: &str, path: PathBuf) -> io::Result<PutDown> {
    // One that a killed executor left behind is of the same command.
    let _ = fs::remove_file(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let put_down = PutDown(path);
    file.write_all(text.as_bytes())?;
    Ok(put_down)
}

/// As `systemd.exec(5)` reads it, EnvironmentFile=: in double quotes, in which four characters need a backslash.
fn text(environment: &Environment) -> String {
    let mut text = String::new();
    for (name, value) in &environment.0 {
        let _ = write!(text, "{name}=\"");
        for char in value.chars() {
            if matches!(char, '"' | '\\' | '`' | '$') {
                text.push('\\');
            }
            text.push(char);
        }
        text.push_str("\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn values_are_quoted() {
        let environment = Environment([("A".to_owned(), "a b\n\"$HOME\" `x` \\ 'y' #z".to_owned())].into());
        assert_eq!(text(&environment), "A=\"a b\n\\\"\\$HOME\\\" \\`x\\` \\\\ 'y' #z\"\n");
    }

    #[tokio::test]
    async fn the_file_is_ours_alone_and_goes_with_the_run() {
        let path = std::env::temp_dir().join(format!("fleetlight-environment-{}", uuid::Uuid::new_v4()));
        assert!(put_down(&Environment::default(), path.clone()).await.expect("nothing to write").is_none());
        let environment = Environment([("A".to_owned(), "secret".to_owned())].into());
        let file = put_down(&environment, path.clone()).await.expect("writes").expect("a file");
        assert_eq!(fs::metadata(file.path()).expect("is there").permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
    }
}
