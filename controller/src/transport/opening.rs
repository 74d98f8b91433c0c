//! From a finished handshake to a welcome, a renewal, or a refusal in words.

use super::session::End;
use super::tls::Presented;
use super::{AgentRef, Directory, Intervals, control};
use crate::limits::{CSR_BYTES, DIRECTORY_WAIT, HELLO_VERSIONS, HELLO_WAIT};
use fleetlight_protocol::VERSIONS;
use fleetlight_protocol::control::{AgentControl, ControllerControl, Hello, Refusal, RefusalCode};
use fleetlight_protocol::limits::{HELD_EPOCHS, TEXT_CHARS};
use fleetlight_protocol::samples::EntityKind;
use quinn::{Connection, RecvStream, SendStream};
use std::future::Future;
use tokio::time::timeout;
use uuid::Uuid;

/// A hello that was found good.
#[derive(Debug)]
pub(super) struct Opened {
    pub agent: AgentRef,
    pub host_name: String,
    pub hello: Hello,
    pub version: u16,
    pub stored: Vec<(Uuid, Intervals)>,
    pub wanted: Vec<EntityKind>,
}

/// The key that the handshake proved.
pub(super) fn presented(connection: &Connection) -> Result<Presented, End> {
    let identity = connection.peer_identity();
    let chain = identity.and_then(|any| any.downcast::<Vec<rustls_pki_types::CertificateDer<'static>>>().ok());
    let leaf = chain.as_deref().and_then(|chain| chain.first());
    let leaf = leaf.ok_or_else(|| End::Broken("no certificate was presented".into()))?;
    Presented::read(leaf).map_err(|error| End::Broken(format!("its certificate cannot be read: {error}")))
}

/// Waits for the agent's control stream.
pub(super) async fn streams(connection: &Connection) -> Result<(SendStream, RecvStream), End> {
    match timeout(HELLO_WAIT, connection.accept_bi()).await {
        Ok(Ok(streams)) => Ok(streams),
        Ok(Err(error)) => Err(End::Lost(error.to_string())),
        Err(_) => Err(End::Broken(format!("no hello within {} s", HELLO_WAIT.as_secs()))),
    }
}

/// Authorises the key and reads the first frame. A first frame that renews is answered here.
pub(super) async fn open<D: Directory>(
    presented: Presented,
    now_ms: i64,
    send: &mut SendStream,
    recv: &mut RecvStream,
    directory: &D,
) -> Result<Opened, End> {
    let first = match timeout(HELLO_WAIT, control::read(recv)).await {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None)) => return Err(End::Lost("it closed its control stream before the hello".into())),
        Ok(Err(error)) => return Err(End::Broken(format!("hello: {error}"))),
        Err(_) => return Err(End::Broken(format!("no hello within {} s", HELLO_WAIT.as_secs()))),
    };
    let authorised = ask(directory.authorise(presented.key_hash)).await?;
    let agent = authorised.agent;
    match first {
        AgentControl::Renew { csr } => {
            let renewed = renew(directory, agent, csr).await?;
            control::write(send, &renewed).await?;
            Err(End::Renewed)
        }
        AgentControl::Hello(_) if presented.ends_ms < now_ms => Err(End::Refused(Refusal {
            code: RefusalCode::CertificateExpired,
            message: "the certificate has ended; the agent may only renew it, which it does by itself".into(),
        })),
        AgentControl::Hello(mut hello) => {
            let version = check(&mut hello)?;
            // At once: one after the other, a database that hangs would take longer than agents wait for a welcome.
            let (stored, wanted) = tokio::try_join!(
                ask(directory.stored(agent, hello.held_epochs.clone())),
                ask(directory.wanted(agent, hello.inventory.clone())),
            )?;
            Ok(Opened { agent, host_name: authorised.host_name, hello, version, stored, wanted })
        }
        AgentControl::Ping(_)
        | AgentControl::History { .. }
        | AgentControl::Stopping
        | AgentControl::Goodbye { .. } => Err(End::Broken("the first frame is no hello".into())),
    }
}

/// A certificate for a new key.
pub(super) async fn renew<D: Directory>(
    directory: &D,
    agent: AgentRef,
    csr: Vec<u8>,
) -> Result<ControllerControl, End> {
    if csr.len() > CSR_BYTES {
        return Err(End::Broken(format!("certificate request of {} bytes, more than {CSR_BYTES}", csr.len())));
    }
    let chain = ask(directory.renew(agent, csr)).await?;
    Ok(ControllerControl::Renewed { chain })
}

/// Asks the directory, which must not keep an agent waiting.
pub(super) async fn ask<T>(answer: impl Future<Output = Result<T, Refusal>>) -> Result<T, End> {
    match timeout(DIRECTORY_WAIT, answer).await {
        Ok(answer) => answer.map_err(End::Refused),
        Err(_) => Err(End::Refused(Refusal {
            code: RefusalCode::Unavailable,
            message: "the controller's database does not answer; the agent keeps its data and tries again".into(),
        })),
    }
}

/// Holds the hello against its bounds and picks the version.
fn check(hello: &mut Hello) -> Result<u16, End> {
    let counts = [
        ("versions", hello.versions.len(), HELLO_VERSIONS),
        ("held epochs", hello.held_epochs.len(), HELD_EPOCHS),
        ("inventory hashes", hello.inventory.len(), EntityKind::ALL.len()),
    ];
    if let Some((what, count, bound)) = counts.into_iter().find(|(_, count, bound)| count > bound) {
        return Err(End::Broken(format!("hello names {count} {what}, more than {bound}")));
    }
    let texts = [&mut hello.agent_version, &mut hello.boot_id, &mut hello.hostname];
    for text in texts.into_iter().chain(hello.inventory.iter_mut().map(|(_, hash)| hash)) {
        if text.chars().nth(TEXT_CHARS).is_some() {
            return Err(End::Broken(format!("a text of the hello is longer than {TEXT_CHARS} characters")));
        }
    }
    if !hello.held_epochs.contains(&hello.epoch) {
        hello.held_epochs.push(hello.epoch);
    }
    negotiate(&hello.versions).map_err(End::Refused)
}

/// The newest version that both sides speak.
fn negotiate(theirs: &[u16]) -> Result<u16, Refusal> {
    let common = theirs.iter().filter(|version| VERSIONS.contains(version)).max();
    common.copied().ok_or_else(|| {
        let older = theirs.iter().max() < VERSIONS.iter().max();
        let advice = if older { "update the agent on this host" } else { "update the controller" };
        Refusal {
            code: RefusalCode::Version,
            message: format!(
                "the agent speaks session version {}, the controller {}: {advice}",
                list(theirs),
                list(VERSIONS)
            ),
        }
    })
}

fn list(versions: &[u16]) -> String {
    match versions {
        [] => "none".into(),
        versions => versions.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_taken() {
        assert_eq!(negotiate(&[9, 1]), Ok(1));
        let refusal = negotiate(&[9, 7]).expect_err("nothing in common");
        assert_eq!(
            refusal.message,
            "the agent speaks session version 9, 7, the controller 4, 3, 2, 1: update the controller"
        );
        assert!(negotiate(&[]).expect_err("none").message.contains("update the agent"));
    }
}
