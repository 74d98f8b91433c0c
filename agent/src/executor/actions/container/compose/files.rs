//! Whose a project's files are.

use crate::executor::trusted_file::{Distrust, guarded};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A project's folder and files, without links and dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub folder: PathBuf,
    pub files: Vec<PathBuf>,
    pub environment: Vec<PathBuf>,
}

/// Why a project is not worked from.
#[derive(Debug, thiserror::Error)]
pub enum Distrusted {
    #[error(transparent)]
    File(#[from] Distrust),
    #[error("{file} is not in the compose project's folder {folder}")]
    Outside { file: PathBuf, folder: PathBuf },
}

/// The project's files, if nobody but root and the folder's owner can have written them: neither a file nor a folder
/// above it. May block.
///
/// # Errors
/// [`Distrusted`] names what is wrong.
pub fn trusted(folder: &Path, files: &[PathBuf], environment: &[PathBuf]) -> Result<Files, Distrusted> {
    let folder = real(folder)?;
    let owner = metadata(&folder)?.uid();
    guarded(&folder, owner)?;
    // Compose reads it unasked. A link may lead out of the folder, and is judged by where it leads.
    match real(&folder.join(".env")) {
        Ok(variables) => guarded(&variables, owner)?,
        Err(Distrust::Unreadable { error, .. }) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let each = |paths: &[PathBuf]| paths.iter().map(|path| within(&folder, path, owner)).collect::<Result<Vec<_>, _>>();
    Ok(Files { files: each(files)?, environment: each(environment)?, folder })
}

fn within(folder: &Path, file: &Path, owner: u32) -> Result<PathBuf, Distrusted> {
    let file = real(&folder.join(file))?;
    if !file.starts_with(folder) {
        return Err(Distrusted::Outside { file, folder: folder.to_owned() });
    }
    if !metadata(&file)?.is_file() {
        return Err(Distrust::NoFile(file).into());
    }
    guarded(&file, owner)?;
    Ok(file)
}

fn real(path: &Path) -> Result<PathBuf, Distrust> {
    path.canonicalize().map_err(|error| Distrust::Unreadable { path: path.to_owned(), error })
}

fn metadata(path: &Path) -> Result<std::fs::Metadata, Distrust> {
    path.symlink_metadata().map_err(|error| Distrust::Unreadable { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::geteuid;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    struct Project(PathBuf);

    impl Project {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("fleetlight-project-{}", uuid::Uuid::new_v4()));
            fs::create_dir_all(folder.join("more")).expect("folders");
            let project = Self(folder.canonicalize().expect("is there"));
            for file in ["docker-compose.yml", "more/gpu.yml", ".env"] {
                fs::write(project.0.join(file), "services: {}\n").expect("writes");
                project.mode(file, 0o644);
            }
            project.mode("more", 0o755);
            project.mode("", 0o755);
            project
        }

        fn mode(&self, path: &str, mode: u32) {
            fs::set_permissions(self.0.join(path), Permissions::from_mode(mode)).expect("a mode");
        }

        fn trusted(&self, files: &[&str]) -> Result<Files, Distrusted> {
            trusted(&self.0, &files.iter().map(PathBuf::from).collect::<Vec<_>>(), &[".env".into()])
        }
    }

    impl Drop for Project {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn ones_own_files_are_trusted() {
        let project = Project::new();
        let found = project.trusted(&["docker-compose.yml", "./more/../more/gpu.yml"]).expect("is trusted");
        assert_eq!(found.files, [project.0.join("docker-compose.yml"), project.0.join("more/gpu.yml")]);
        assert_eq!(found.environment, [project.0.join(".env")]);
    }

    #[test]
    fn what_leads_out_of_the_folder_is_not() {
        let project = Project::new();
        symlink("/etc/hostname", project.0.join("link.yml")).expect("a link");
        for outside in ["/etc/hostname", "../../etc/hostname", "link.yml"] {
            let error = project.trusted(&[outside]).expect_err("is outside");
            assert!(
                matches!(error, Distrusted::Outside { .. } | Distrusted::File(Distrust::Unreadable { .. })),
                "{error}"
            );
        }
        assert!(matches!(project.trusted(&["more"]), Err(Distrusted::File(Distrust::NoFile(_)))));
        assert!(matches!(project.trusted(&["-"]), Err(Distrusted::File(Distrust::Unreadable { .. }))));
    }

    #[test]
    fn what_others_can_write_is_not() {
        let project = Project::new();
        for (path, mode) in [("docker-compose.yml", 0o664), ("more", 0o777), (".env", 0o606), ("", 0o775)] {
            project.mode(path, mode);
            let error = project.trusted(&["docker-compose.yml", "more/gpu.yml"]).expect_err("others can write it");
            assert!(
                matches!(error, Distrusted::File(Distrust::Writable { .. }))
                    && error.to_string().contains("chmod go-w"),
                "{error}"
            );
            project.mode(path, if path.is_empty() || path == "more" { 0o755 } else { 0o644 });
        }
        project.mode(".env", 0o606);
        trusted(&project.0, &["docker-compose.yml".into()], &[]).expect_err("compose reads it unasked");
        fs::remove_file(project.0.join(".env")).expect("removed");
        trusted(&project.0, &["docker-compose.yml".into()], &[]).expect("there need not be one");
        fs::write(project.0.join(".env"), "").expect("writes");
        project.mode(".env", 0o644);
        if !geteuid().is_root() {
            return println!("SKIPPED: a file of another account: giving one away needs root");
        }
        chown(project.0.join("docker-compose.yml"), Some(12_345), None).expect("given away");
        assert!(matches!(
            project.trusted(&["docker-compose.yml"]),
            Err(Distrusted::File(Distrust::Owner { owner: 12_345, .. }))
        ));
        chown(&project.0, Some(12_345), None).expect("given away");
        project.trusted(&["docker-compose.yml"]).expect("the folder's owner may write what is in it");
    }
}
