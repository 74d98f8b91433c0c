//! The folder of runbooks.

use super::declared::Runbook;
use crate::config::AgentConfig;
use crate::executor::trusted_file;
use crate::limits::{RUNBOOK_BYTES, RUNBOOKS};
use crate::mask;
use fleetlight_protocol::allowed;
use std::path::{Path, PathBuf};

/// The host's runbooks: `backup.toml` declares `backup`. Read anew for each run.
#[derive(Debug, Clone)]
pub struct Runbooks {
    folder: PathBuf,
    /// For files that live as long as a run.
    run_dir: PathBuf,
}

impl Runbooks {
    #[must_use]
    pub fn new(config: &AgentConfig) -> Self {
        // Beside the socket: it is gone after a boot, as all runs are.
        let run_dir = config.executor_socket.parent().unwrap_or(Path::new("/run")).to_owned();
        Self { folder: config.runbooks_dir.clone(), run_dir }
    }

    /// The runbook `name`, from a file that only root or the executor's account can have written. May block.
    ///
    /// # Errors
    /// In words: there is none, the file is not believed, or it does not hold together.
    pub fn find(&self, name: &str) -> Result<Runbook, String> {
        let place = self.folder.display();
        let Some(known) = self.names()?.into_iter().find(|known| known == name) else {
            let shown = mask::cut(mask::plain(name.as_bytes()), 80);
            return Err(format!("this host declares no runbook {shown:?}: its runbooks are the files {place}/*.toml"));
        };
        self.read(&known)
    }

    /// All of them as people read them, or why not. May block.
    ///
    /// # Errors
    /// In words: the folder cannot be read.
    pub fn all(&self) -> Result<Vec<Result<allowed::Runbook, String>>, String> {
        Ok(self.names()?.iter().map(|name| Ok(self.read(name)?.told())).collect())
    }

    fn read(&self, name: &str) -> Result<Runbook, String> {
        let path = self.folder.join(format!("{name}.toml"));
        let text = trusted_file::read(&path, RUNBOOK_BYTES).map_err(|error| error.to_string())?;
        Runbook::parse(name, &text).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Names of the folder's files, sorted; a file whose name is none is left out.
    fn names(&self) -> Result<Vec<String>, String> {
        let place = self.folder.display();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| format!("runbooks_dir: {place}: {error}"))?,
        };
        let name = |file: std::ffi::OsString| {
            let stem = file.to_str()?.strip_suffix(".toml")?;
            is_name(stem).then(|| stem.to_owned())
        };
        let mut names: Vec<_> = entries.filter_map(|entry| name(entry.ok()?.file_name())).collect();
        names.sort();
        if names.len() > RUNBOOKS {
            tracing::warn!("{place} holds {} runbooks; those after the first {RUNBOOKS} do not count", names.len());
            names.truncate(RUNBOOKS);
        }
        Ok(names)
    }

    /// Where a run's environment is put down for systemd.
    pub(super) fn environment_file(&self, command: uuid::Uuid) -> PathBuf {
        self.run_dir.join(format!("run-{command}.environment"))
    }
}

/// `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    text.len() <= 64 && text.bytes().all(plain) && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    const TRUE: &str = "description = \"\"\nuser = \"root\"\nsteps = [[\"/bin/true\"]]";

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn folder() -> (Folder, Runbooks) {
        let path = std::env::temp_dir().join(format!("fleetlight-runbooks-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).expect("a folder");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a mode");
        let runbooks = Runbooks::new(&AgentConfig { runbooks_dir: path.clone(), ..AgentConfig::default() });
        (Folder(path), runbooks)
    }

    fn write(folder: &Folder, file: &str, mode: u32) {
        let path = folder.0.join(file);
        fs::write(&path, TRUE).expect("writes");
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn a_name_selects_from_the_folder_and_nothing_else() {
        let (folder, runbooks) = folder();
        write(&folder, "backup.toml", 0o644);
        write(&folder, "-rf.toml", 0o644);
        write(&folder, ".hidden.toml", 0o644);
        assert_eq!(runbooks.find("backup").expect("is there").name, "backup");
        let outside = format!("../{}/backup", folder.0.file_name().expect("a name").to_string_lossy());
        let megabyte = "x".repeat(1 << 20);
        for bad in ["", "-rf", ".hidden", "backup.toml", "Backup", "backup\0", "/etc/passwd", &outside, &megabyte] {
            let error = runbooks.find(bad).expect_err("is no runbook");
            assert!(error.contains("declares no runbook") && error.len() < 300, "{error:.300}");
        }
    }

    #[test]
    fn a_file_that_others_could_have_written_is_refused() {
        let (folder, runbooks) = folder();
        write(&folder, "backup.toml", 0o666);
        assert!(runbooks.find("backup").expect_err("is open").contains("can be written by others"));
        write(&folder, "prune.toml", 0o600);
        assert!(runbooks.find("prune").is_ok(), "the others go on");
    }

    #[test]
    fn no_folder_is_no_runbook() {
        let runbooks_dir = "/nonexistent/runbooks".into();
        let runbooks = Runbooks::new(&AgentConfig { runbooks_dir, ..AgentConfig::default() });
        assert!(runbooks.find("backup").expect_err("none").contains("declares no runbook"));
    }
}
