//! Who runs Postgres: ourselves, or the account `postgres` when we are root, which Postgres refuses.

use super::{PostgresError, io_error};
use rustix::fs::{Gid, Uid};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tokio::process::Command;

const NAME: &str = "postgres";

/// User and group that own the data folder and run the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    uid: u32,
    gid: u32,
    /// We are root and step down to it.
    step_down: bool,
}

impl Account {
    pub fn choose() -> Result<Self, PostgresError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if !uid.is_root() {
            return Ok(Self { uid: uid.as_raw(), gid: gid.as_raw(), step_down: false });
        }
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = find(&accounts).ok_or(PostgresError::NoAccount)?;
        Ok(Self { uid, gid, step_down: true })
    }

    /// Runs as this account, with no groups beside its own.
    pub fn apply(self, command: &mut Command) {
        if self.step_down {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Gives it a folder, closed to all others.
    pub fn own(self, folder: &Path) -> Result<(), PostgresError> {
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, closed).map_err(io_error("closing to others", folder))?;
        if self.step_down {
            rustix::fs::chown(folder, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
                .map_err(|error| io_error("giving away", folder)(error.into()))?;
        }
        Ok(())
    }

    /// Whether `folder` is its own, and nobody else's.
    pub fn owns(self, folder: &Path) -> bool {
        let Ok(metadata) = std::fs::symlink_metadata(folder) else { return false };
        metadata.is_dir() && metadata.uid() == self.uid && metadata.mode() & 0o077 == 0
    }

    /// Sees to it that the account can pass through every folder above `folder`. The nearest one
    /// is the controller's own: it is opened for passing (not listing) if need be.
    pub fn reach(self, folder: &Path) -> Result<(), PostgresError> {
        if !self.step_down {
            return Ok(());
        }
        for (distance, above) in folder.ancestors().skip(1).enumerate() {
            let metadata = std::fs::metadata(above).map_err(io_error("looking at", above))?;
            if self.passes(&metadata) {
                continue;
            }
            if distance > 0 {
                return Err(PostgresError::Unreachable { account: NAME.into(), folder: above.to_owned() });
            }
            let mode = std::fs::Permissions::from_mode(metadata.mode() & 0o7777 | 0o001);
            std::fs::set_permissions(above, mode).map_err(io_error("opening for passage", above))?;
        }
        Ok(())
    }

    fn passes(self, metadata: &std::fs::Metadata) -> bool {
        let bit = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        metadata.mode() & bit != 0
    }
}

/// User and group of the account in the text of `/etc/passwd`.
fn find(accounts: &str) -> Option<(u32, u32)> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(NAME))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:5:5::/:\npostgres:x:104:112:x:/var/lib/postgresql:/bin/sh\n";
        assert_eq!(find(accounts), Some((104, 112)));
        assert_eq!(find("root:x:0:0:root:/root:/bin/sh"), None);
    }
}
