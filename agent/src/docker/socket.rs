//! Whether the socket is there and lets us in; the kernel's answer becomes words.

use super::DockerError;
use crate::limits;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tokio::net::UnixStream;

/// Dials and hangs up.
pub async fn probe(socket: &Path) -> Result<(), DockerError> {
    let within = limits::DOCKER_CALL;
    let silent = || DockerError::Silent { socket: socket.to_owned(), call: "connect".into(), within };
    let dialled = tokio::time::timeout(within, UnixStream::connect(socket)).await.map_err(|_| silent())?;
    dialled.map(drop).map_err(|error| match error.kind() {
        ErrorKind::NotFound => DockerError::NoSocket(socket.to_owned()),
        ErrorKind::PermissionDenied => DockerError::Denied(denied(socket)),
        ErrorKind::ConnectionRefused => DockerError::NotRunning(socket.to_owned()),
        // Its queue of connections is full: it has stopped accepting.
        ErrorKind::WouldBlock => silent(),
        _ => DockerError::Denied(format!("{} cannot be opened: {error}", socket.display())),
    })
}

/// Says which group may open the socket.
fn denied(socket: &Path) -> String {
    let place = socket.display();
    let Ok(metadata) = std::fs::metadata(socket) else {
        return format!("the executor may not enter the folder of {place}: give its account the right to");
    };
    let gid = metadata.gid();
    let group = std::fs::read_to_string("/etc/group").ok().and_then(|groups| group_name(&groups, gid));
    let group = group.unwrap_or_else(|| format!("with id {gid}"));
    let mode = metadata.mode() & 0o777;
    format!(
        "the executor may not open {place} (mode {mode:o}, group {group}): run it as root, or add its account to group {group}, whose members are as mighty as root, and restart it"
    )
}

/// The name of a group in the text of `/etc/group`.
fn group_name(groups: &str, gid: u32) -> Option<String> {
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        (fields.nth(1)?.parse() == Ok(gid)).then_some(name)
    };
    groups.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_number() {
        let groups = "root:x:0:\nbroken\ndocker:x:998:alice,bob\n";
        assert_eq!(group_name(groups, 998).as_deref(), Some("docker"));
        assert_eq!(group_name(groups, 5), None);
    }
}
