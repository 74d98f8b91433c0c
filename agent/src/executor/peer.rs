//! Who may ask: the kernel says which account is at the other end.

use rustix::process::{Uid, getuid};

/// The account of the network-facing agent; the executor's own may ask too, which is root's or, for `make up`, one's own.
#[derive(Debug, Clone, Copy)]
pub struct Peers {
    own: Uid,
    agent: Option<Uid>,
}

impl Peers {
    /// `agent`: name of the agent's account; one that does not exist lets nobody in.
    #[must_use]
    pub fn new(agent: &str) -> Self {
        Self { own: getuid(), agent: uid_of(agent) }
    }

    #[must_use]
    pub fn may_ask(self, uid: u32) -> bool {
        uid == self.own.as_raw() || self.agent.is_some_and(|agent| uid == agent.as_raw())
    }
}

/// From the text of `/etc/passwd`: system accounts are local ones.
fn uid_of(name: &str) -> Option<Uid> {
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok().map(Uid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_accounts_may_ask() {
        let peers = Peers { own: Uid::from_raw(0), agent: Some(Uid::from_raw(990)) };
        assert!(peers.may_ask(0) && peers.may_ask(990) && !peers.may_ask(991));
        assert!(!Peers { own: Uid::from_raw(5), agent: None }.may_ask(0));
        assert_eq!(uid_of("root"), Some(Uid::ROOT));
        assert_eq!(uid_of("no-such-account"), None);
    }
}
