//! From the controller's name to a welcome, or to words that say why not.

use super::session::Ended;
use super::{Link, control, tls};
use crate::identity::{Identity, NewKey};
use crate::limits::{ADDRESS_HEAD_START, HANDSHAKE_WAIT, WELCOME_WAIT};
use fleetlight_protocol::control::{AgentControl, ControllerControl, Hello, Refusal, Welcome, close};
use fleetlight_protocol::{SERVER_NAME, VERSIONS};
use futures_util::future::select_ok;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use std::sync::Arc;
use tokio::time::{sleep, timeout};

/// A connection whose hello was answered.
#[derive(Debug)]
pub(super) struct Welcomed {
    pub endpoint: Endpoint,
    pub connection: Connection,
    pub send: SendStream,
    pub recv: RecvStream,
    pub welcome: Welcome,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("the controller at {0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// Certificates do not fit together: only an operator can change that.
    #[error("{0}")]
    Rejected(String),
    #[error("{0}")]
    Refused(Refusal),
}

/// Dials and says hello as this agent's connection number `number`.
pub(super) async fn dial(link: &Link, identity: &Identity, number: u64) -> Result<Welcomed, DialError> {
    let (endpoint, connection) = connect(link, identity).await?;
    let hello = Hello {
        versions: VERSIONS.to_vec(),
        agent_version: link.about.agent_version.clone(),
        epoch: link.spool.epoch(),
        connection: number,
        boot_id: link.about.boot_id.clone(),
        hostname: link.about.hostname.clone(),
        wall_ms: link.clock.wall_ms(),
        inventory: link.inventory.hashes(),
        held_epochs: link.spool.held_epochs(),
    };
    let (answer, send, recv) = exchange(&connection, identity, AgentControl::Hello(hello)).await?;
    let ControllerControl::Welcome(welcome) = answer else {
        return Err(unexpected(identity));
    };
    if !VERSIONS.contains(&welcome.version) {
        return Err(DialError::Rejected(format!(
            "the controller chose session version {}, which this agent does not speak: update the agent",
            welcome.version
        )));
    }
    link.clock.learn(welcome.wall_ms);
    Ok(Welcomed { endpoint, connection, send, recv, welcome })
}

/// Renews a certificate that has ended, which is all that the controller then allows.
pub(super) async fn renew(link: &Link, identity: &Identity) -> Result<(), DialError> {
    let failed = |error: crate::identity::IdentityError| DialError::Rejected(error.to_string());
    let key = NewKey::generate().map_err(failed)?;
    let csr = key.request().map_err(failed)?;
    let (_endpoint, connection) = connect(link, identity).await?;
    let (answer, _send, _recv) = exchange(&connection, identity, AgentControl::Renew { csr }).await?;
    connection.close(VarInt::from_u32(close::DONE), b"renewed");
    let ControllerControl::Renewed { chain } = answer else {
        return Err(unexpected(identity));
    };
    let renewed = link.identity.current().renewed(&key, &chain, link.clock.controller_ms()).map_err(failed)?;
    link.identity.replace(renewed).await.map_err(failed)?;
    tracing::info!("the certificate had ended and was renewed");
    Ok(())
}

/// Sends the first frame and waits for its answer.
async fn exchange(
    connection: &Connection,
    identity: &Identity,
    first: AgentControl,
) -> Result<(ControllerControl, SendStream, RecvStream), DialError> {
    let answered = async {
        let (mut send, mut recv) = connection.open_bi().await.map_err(Ended::lost)?;
        control::write(&mut send, &first).await?;
        let answer = control::read(&mut recv).await?;
        Ok::<_, Ended>((answer, send, recv))
    };
    match timeout(WELCOME_WAIT, answered).await {
        Ok(Ok((ControllerControl::Refused(refusal), ..))) => {
            connection.close(VarInt::from_u32(close::DONE), b"refused");
            Err(DialError::Refused(refusal))
        }
        Ok(Ok(answered)) => Ok(answered),
        Ok(Err(ended)) => Err(match connection.close_reason() {
            Some(error) => explain(identity, &error),
            None => DialError::Unreachable(identity.session_endpoint.clone(), format!("{ended:?}")),
        }),
        Err(_) => {
            connection.close(VarInt::from_u32(close::DONE), b"no answer in time");
            let reason = format!("no answer to the hello within {} s", WELCOME_WAIT.as_secs());
            Err(DialError::Unreachable(identity.session_endpoint.clone(), reason))
        }
    }
}

/// A handshake with the first of the controller's addresses that answers.
async fn connect(link: &Link, identity: &Identity) -> Result<(Endpoint, Connection), DialError> {
    let name = &identity.session_endpoint;
    let unreachable = |reason: String| DialError::Unreachable(name.clone(), reason);
    let addresses = link.resolver.addresses(name).await.map_err(unreachable)?;
    let config = tls::session_config(identity, Arc::clone(&link.clock))
        .map_err(|error| DialError::Rejected(error.to_string()))?;
    let endpoint = (link.sockets)().map_err(|error| unreachable(format!("no UDP socket: {error}")))?;
    let tries = addresses.into_iter().zip(0_u32..).map(|(address, position)| {
        let (endpoint, config) = (&endpoint, config.clone());
        Box::pin(async move {
            sleep(ADDRESS_HEAD_START * position).await;
            let connecting = endpoint.connect_with(config, address, SERVER_NAME);
            let connecting = connecting.map_err(|error| unreachable(error.to_string()))?;
            match timeout(HANDSHAKE_WAIT, connecting).await {
                Ok(connected) => connected.map_err(|error| explain(identity, &error)),
                Err(_) => Err(unreachable(format!("no answer from {address} within {} s", HANDSHAKE_WAIT.as_secs()))),
            }
        })
    });
    let tries: Vec<_> = tries.collect();
    if tries.is_empty() {
        return Err(unreachable("its name has no address".into()));
    }
    let connection = select_ok(tries).await?.0;
    Ok((endpoint, connection))
}

fn unexpected(identity: &Identity) -> DialError {
    DialError::Unreachable(identity.session_endpoint.clone(), "it answered with an unexpected message".into())
}

/// TLS alerts (RFC 8446) that the controller sends as QUIC errors, from [`CRYPTO`] on.
const CRYPTO: u64 = 0x100;
const BAD_CERTIFICATE: u64 = 42;
const CERTIFICATE_REVOKED: u64 = 44;
const CERTIFICATE_EXPIRED: u64 = 45;
const CERTIFICATE_UNKNOWN: u64 = 46;
const UNKNOWN_CA: u64 = 48;
const DECRYPT_ERROR: u64 = 51;
const NO_APPLICATION_PROTOCOL: u64 = 120;

/// Says what a failed handshake means and what to do.
fn explain(identity: &Identity, error: &ConnectionError) -> DialError {
    let name = &identity.session_endpoint;
    let again = "make a new join token there and run `fleetlight-agent enrol --token <token>`";
    match error {
        ConnectionError::TransportError(error) if (CRYPTO..CRYPTO + 256).contains(&u64::from(error.code)) => {
            DialError::Rejected(format!(
                "whoever answers at {name} is not the controller that this host was enrolled with ({}): check the address; if the controller has a new CA, {again}",
                error.reason
            ))
        }
        ConnectionError::ConnectionClosed(closed) => match u64::from(closed.error_code).wrapping_sub(CRYPTO) {
            CERTIFICATE_EXPIRED => DialError::Rejected(format!(
                "the controller at {name} says that this host's certificate ended too long ago to be renewed: {again}"
            )),
            BAD_CERTIFICATE | CERTIFICATE_REVOKED | CERTIFICATE_UNKNOWN | UNKNOWN_CA | DECRYPT_ERROR => {
                DialError::Rejected(format!(
                    "the controller at {name} does not accept this host's certificate, which is not of its CA: {again}"
                ))
            }
            NO_APPLICATION_PROTOCOL => DialError::Rejected(format!(
                "whatever listens at {name} does not speak Fleetlight's session protocol: check the address"
            )),
            _ => DialError::Unreachable(name.clone(), closed.to_string()),
        },
        ConnectionError::ApplicationClosed(closed) => {
            DialError::Unreachable(name.clone(), String::from_utf8_lossy(&closed.reason).into_owned())
        }
        error => DialError::Unreachable(name.clone(), error.to_string()),
    }
}
