//! Which of the machine's PostgreSQL installations runs the cluster.

use super::PostgresError;
use super::process::output;
use crate::limits::POSTGRES_VERSION_WAIT;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The oldest major version that has multiranges, which the ledger is made of.
pub const MINIMUM: u32 = 14;

/// Where distributions keep the server's programs, outside of PATH.
const ROOTS: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];

/// A folder with `postgres` and `initdb` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    pub folder: PathBuf,
    pub major: u32,
}

impl Binaries {
    /// The newest installation, or the one that made the data.
    pub async fn find(wanted: Option<u32>, data: &Path) -> Result<Self, PostgresError> {
        let mut found = Vec::new();
        for folder in candidates() {
            if let Some(major) = version(&folder).await {
                found.push(Self { folder, major });
            }
        }
        choose(found, wanted, data)
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn choose(mut found: Vec<Binaries>, wanted: Option<u32>, data: &Path) -> Result<Binaries, PostgresError> {
    found.sort_by_key(|binaries| binaries.major);
    if let Some(wanted) = wanted {
        return found.iter().find(|binaries| binaries.major == wanted).cloned().ok_or_else(|| {
            let versions: Vec<String> = found.iter().map(|binaries| binaries.major.to_string()).collect();
            let found = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
            PostgresError::OtherVersion { data: data.to_owned(), wanted, found }
        });
    }
    match found.pop() {
        None => {
            let looked = "/usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, PATH".to_owned();
            Err(PostgresError::Missing { looked })
        }
        Some(newest) if newest.major < MINIMUM => {
            Err(PostgresError::TooOld { found: newest.major, folder: newest.folder, minimum: MINIMUM })
        }
        Some(newest) => Ok(newest),
    }
}

/// Folders that hold both programs.
fn candidates() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (root, prefix) in ROOTS {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let versions = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(versions.map(|entry| entry.path().join("bin")));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders.retain(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file());
    folders
}

async fn version(folder: &Path) -> Option<u32> {
    let mut command = Command::new(folder.join("postgres"));
    command.arg("--version");
    let text = output(command, POSTGRES_VERSION_WAIT).await.ok()?;
    parse_version(&text)
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15; also `16devel`, `18beta1`.
fn parse_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits = number.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(majors: &[u32]) -> Vec<Binaries> {
        majors.iter().map(|major| Binaries { folder: format!("/pg/{major}").into(), major: *major }).collect()
    }

    #[test]
    fn versions_are_read_from_any_build() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn the_newest_runs_new_data_and_the_maker_runs_old_data() {
        let data = Path::new("/state/data");
        assert_eq!(choose(installed(&[17, 15]), None, data).expect("found").major, 17);
        assert_eq!(choose(installed(&[17, 15]), Some(15), data).expect("found").major, 15);
    }

    #[test]
    fn refusals_say_what_to_install() {
        let data = Path::new("/state/data");
        let message = |found: &[u32], wanted| choose(installed(found), wanted, data).expect_err("refused").to_string();
        assert!(message(&[], None).contains("apt-get install postgresql"));
        assert!(message(&[13], None).contains("needs 14 or later"));
        assert!(message(&[17], Some(15)).contains("install postgresql-15"));
        assert!(message(&[], Some(15)).contains("this machine has none"));
    }
}
