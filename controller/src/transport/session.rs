//! One agent's session, from the end of its handshake to its close.

use super::control::Company;
use super::credit::Account;
use super::listener::Context;
use super::present::Present;
use super::registry::{Close, Line};
use super::uplink::{self, Lane};
use super::{Directory, Presence, Stored, control, opening};
use crate::limits::{ACKS, CONTROL_QUEUE, LAST_WORDS_WAIT};
use fleetlight_protocol::control::{AgentControl, ControllerControl, Ping, Refusal, RefusalCode, Welcome, close};
use opening::Opened;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The connection is gone.
    Lost(String),
    /// The agent broke the protocol.
    Broken(String),
    Refused(Refusal),
    Superseded,
    /// The controller stops.
    Stopping,
    /// The agent stops on purpose.
    Goodbye(String),
    /// It came to renew its certificate, and has.
    Renewed,
}

/// Serves a connection until it ends, and says why, once.
pub(super) async fn run<D: Directory>(connection: Connection, context: Arc<Context<D>>) {
    let peer = connection.remote_address();
    let (mut send, recv) = match opening::streams(&connection).await {
        Ok(streams) => streams,
        Err(end) => {
            log(peer, None, &end);
            let (code, reason) = code(&end);
            connection.close(VarInt::from_u32(code), reason.as_bytes());
            return;
        }
    };
    let (host, end) = serve(&connection, &mut send, recv, &context).await;
    log(peer, host.as_deref(), &end);
    last_words(&connection, send, &end).await;
}

async fn serve<D: Directory>(
    connection: &Connection,
    send: &mut SendStream,
    mut recv: RecvStream,
    context: &Arc<Context<D>>,
) -> (Option<String>, End) {
    let presented = match opening::presented(connection) {
        Ok(presented) => presented,
        Err(end) => return (None, end),
    };
    let opened = match opening::open(presented, (context.wall)(), send, &mut recv, context.directory.as_ref()).await {
        Ok(opened) => opened,
        Err(end) => return (None, end),
    };
    let host = Some(opened.host_name.clone());
    if let Some(gone) = connection.close_reason() {
        // It did not wait for us. An older session of its, which may be alive, must not give way to nobody.
        return (host, End::Lost(gone.to_string()));
    }
    let mut present = match Present::enter(connection.remote_address(), &opened, context).await {
        Ok(present) => present,
        Err(end) => return (host, end),
    };
    let end = tokio::select! {
        biased;
        refused = revoked(presented.key_hash, context) => refused,
        end = welcomed(connection, send, recv, context, &opened, presented.ends_ms, &mut present) => end,
    };
    present.leave(matches!(end, End::Goodbye(_)), code(&end).1).await;
    (host, end)
}

/// Looks once more whether the key may come in: a revocation between the first look and the registry would have
/// found nobody to close. The welcome does not wait for it.
async fn revoked<D: Directory>(key_hash: [u8; 32], context: &Context<D>) -> End {
    match opening::ask(context.directory.authorise(key_hash)).await {
        Err(End::Refused(refusal)) if refusal.code.is_final() => End::Refused(refusal),
        _ => std::future::pending().await,
    }
}

async fn welcomed<D: Directory>(
    connection: &Connection,
    send: &mut SendStream,
    recv: RecvStream,
    context: &Arc<Context<D>>,
    opened: &Opened,
    certificate_ends_ms: i64,
    present: &mut Present,
) -> End {
    let welcome = ControllerControl::Welcome(Welcome {
        version: opened.version,
        controller_version: env!("CARGO_PKG_VERSION").into(),
        wall_ms: (context.wall)(),
        stored: opened.stored.clone(),
        wanted: opened.wanted.clone(),
        certificate_ends_ms,
    });
    match control::write(send, &welcome).await {
        Ok(()) => {
            tracing::info!(peer = %connection.remote_address(), host = opened.host_name, version = opened.hello.agent_version, "agent connected");
            let host_id = opened.agent.host_id;
            present.welcomed(Line { host_id, connection: connection.clone(), version: opened.version });
            streams(connection, send, recv, context, opened, present).await
        }
        Err(end) => end,
    }
}

/// Runs the session's streams until one of them, or the registry, ends it.
async fn streams<D: Directory>(
    connection: &Connection,
    send: &mut SendStream,
    recv: RecvStream,
    context: &Arc<Context<D>>,
    opened: &Opened,
    present: &mut Present,
) -> End {
    let (answers, answers_out) = mpsc::channel(CONTROL_QUEUE);
    let (acks, acks_out) = mpsc::channel::<Stored>(ACKS);
    let company = Arc::new(Company::default());
    let account = Arc::new(context.credits.account());
    let lane = Arc::new(Lane {
        agent: opened.agent,
        epochs: opened.hello.held_epochs.clone(),
        inbound: context.inbound.clone(),
        acks,
        pace: context.paces.of(opened.agent.host_id),
        account: Arc::clone(&account),
        company: Arc::clone(&company),
        wall: Arc::clone(&context.wall),
    });
    let mut uplinks = JoinSet::new();
    let end = tokio::select! {
        biased;
        close = present.closed() => close.into(),
        end = listen(recv, opened, context, &company, &account, &answers) => end,
        end = control::write_all(send, answers_out, acks_out, &company, &account, opened.hello.epoch) => end,
        end = accept(connection, &lane, &mut uplinks) => end,
    };
    if matches!(end, End::Goodbye(_)) {
        // What the agent sent before its goodbye may still be on the way into ingest.
        let _ = timeout(LAST_WORDS_WAIT, async { while uplinks.join_next().await.is_some() {} }).await;
    }
    end
}

/// Takes the agent's streams and reads each in a task of its own.
async fn accept(
    connection: &Connection,
    lane: &Arc<Lane>,
    uplinks: &mut JoinSet<Result<(), uplink::UplinkError>>,
) -> End {
    loop {
        tokio::select! {
            biased;
            Some(ended) = uplinks.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return End::Broken(error.to_string()),
                Err(panic) => return End::Lost(format!("reading its stream failed: {panic}")),
            },
            stream = connection.accept_uni() => match stream {
                Ok(stream) => {
                    uplinks.spawn(uplink::run(stream, Arc::clone(lane)));
                }
                Err(error) => return End::Lost(error.to_string()),
            },
        }
    }
}

/// Reads the control stream and puts answers into its queue.
async fn listen<D: Directory>(
    mut recv: RecvStream,
    opened: &Opened,
    context: &Context<D>,
    company: &Company,
    account: &Account,
    answers: &mpsc::Sender<ControllerControl>,
) -> End {
    loop {
        let answer = match control::read(&mut recv).await {
            Ok(Some(AgentControl::Ping(ping))) => {
                measured(opened, context, ping);
                ControllerControl::Pong { nonce: ping.nonce, wall_ms: (context.wall)() }
            }
            Ok(Some(AgentControl::Renew { csr })) => {
                match opening::renew(context.directory.as_ref(), opened.agent, csr).await {
                    Ok(renewed) => renewed,
                    // The old certificate still holds; the agent asks again.
                    Err(End::Refused(refusal)) => ControllerControl::Refused(refusal),
                    Err(end) => return end,
                }
            }
            Ok(Some(AgentControl::History { batches })) => {
                account.asks(batches);
                let _ = context.presence.send(Presence::History { agent: opened.agent, batches }).await;
                continue;
            }
            Ok(Some(AgentControl::Stopping)) => {
                company.hurry();
                continue;
            }
            Ok(Some(AgentControl::Goodbye { reason })) => return End::Goodbye(reason),
            Ok(Some(AgentControl::Hello(_))) => return End::Broken("a second hello".into()),
            Ok(None) => return End::Lost("it closed its control stream".into()),
            Err(control::ReadError::Lost(error)) => return End::Lost(error.to_string()),
            Err(error) => return End::Broken(format!("control stream: {error}")),
        };
        if answers.send(answer).await.is_err() {
            return End::Lost("its session has ended".into());
        }
    }
}

/// Passes on what the agent measured; it measures again soon, so a full queue may lose it.
fn measured<D>(opened: &Opened, context: &Context<D>, ping: Ping) {
    if let Some(round_trip_ms) = ping.round_trip_ms {
        let clock_offset_ms = ping.clock_offset_ms;
        let _ = context.presence.try_send(Presence::Measured { agent: opened.agent, clock_offset_ms, round_trip_ms });
    }
}

/// Says why, gives the agent a moment to read it, and closes.
async fn last_words(connection: &Connection, mut send: SendStream, end: &End) {
    let frame = match end {
        End::Refused(refusal) => Some(ControllerControl::Refused(refusal.clone())),
        End::Broken(reason) => Some(ControllerControl::Refused(Refusal {
            code: RefusalCode::Malformed,
            message: format!("the agent broke the protocol: {reason}"),
        })),
        End::Superseded => Some(ControllerControl::Superseded),
        End::Renewed => None,
        End::Lost(_) | End::Stopping | End::Goodbye(_) => {
            let (code, reason) = code(end);
            return connection.close(VarInt::from_u32(code), reason.as_bytes());
        }
    };
    let said = async {
        if let Some(frame) = frame {
            control::write(&mut send, &frame).await.ok();
        }
        send.finish().ok();
        connection.closed().await
    };
    let _ = timeout(LAST_WORDS_WAIT, said).await;
    let (code, reason) = code(end);
    connection.close(VarInt::from_u32(code), reason.as_bytes());
}

fn code(end: &End) -> (u32, String) {
    match end {
        End::Lost(reason) => (close::DONE, reason.clone()),
        End::Broken(reason) => (close::BROKEN, reason.clone()),
        End::Refused(refusal) => (close::REFUSED, refusal.message.clone()),
        End::Superseded => (close::SUPERSEDED, "a newer connection of this agent has taken over".into()),
        End::Stopping => (close::STOPPING, "the controller stops".into()),
        End::Goodbye(reason) => (close::DONE, reason.clone()),
        End::Renewed => (close::DONE, "renewed".into()),
    }
}

fn log(peer: SocketAddr, host: Option<&str>, end: &End) {
    let host = host.unwrap_or("unknown");
    match end {
        End::Broken(reason) => tracing::warn!(%peer, host, reason, "session closed: the agent broke the protocol"),
        End::Refused(refusal) => tracing::warn!(%peer, host, reason = %refusal, "agent refused"),
        End::Lost(reason) => tracing::info!(%peer, host, reason, "agent lost"),
        End::Goodbye(reason) => tracing::info!(%peer, host, reason, "agent said goodbye"),
        End::Superseded => tracing::info!(%peer, host, "session superseded by a newer one of the same agent"),
        End::Renewed => tracing::info!(%peer, host, "expired certificate renewed"),
        End::Stopping => {}
    }
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        match close {
            Close::Superseded => Self::Superseded,
            Close::Refused(refusal) => Self::Refused(refusal),
            Close::Stopping => Self::Stopping,
        }
    }
}
