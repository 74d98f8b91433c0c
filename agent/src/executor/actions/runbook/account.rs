//! The account that a plain child runs as.

use rustix::process::geteuid;

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    user: u32,
    group: u32,
    home: String,
    shell: String,
}

impl Account {
    /// # Errors
    /// In words: there is none, or the executor cannot become it.
    pub fn find(name: &str) -> Result<Self, String> {
        let accounts = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
        let account =
            Self::in_passwd(&accounts, name).ok_or_else(|| format!("there is no account {name} on this host"))?;
        if account.user != geteuid().as_raw() && !geteuid().is_root() {
            return Err(format!("the executor is not root and cannot become {name}"));
        }
        Ok(account)
    }

    fn in_passwd(accounts: &str, name: &str) -> Option<Self> {
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
        let fields: Vec<_> = line.split(':').collect();
        let [_, _, user, group, _, home, shell] = fields.as_slice() else { return None };
        Some(Self {
            name: name.to_owned(),
            user: user.parse().ok()?,
            group: group.parse().ok()?,
            home: (*home).to_owned(),
            shell: (*shell).to_owned(),
        })
    }

    /// Numbers of user and group, if it is another account than the executor's.
    pub fn to_become(&self) -> Option<(u32, u32)> {
        (self.user != geteuid().as_raw()).then_some((self.user, self.group))
    }

    /// What systemd would set too.
    pub fn environment(&self) -> [(&'static str, &str); 6] {
        [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
            ("HOME", &self.home),
            ("USER", &self.name),
            ("LOGNAME", &self.name),
            ("SHELL", &self.shell),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\nbackup:x:34:35:backup:/var/backups:/usr/sbin/nologin\n";
        let backup = Account::in_passwd(accounts, "backup").expect("is there");
        assert_eq!((backup.user, backup.group, backup.home.as_str()), (34, 35, "/var/backups"));
        assert_eq!(Account::in_passwd(accounts, "back"), None);
        assert_eq!(Account::in_passwd("broken:x:1", "broken"), None);
    }
}
