//! Joins the controller's parts by bounded channels and waits for the signal to stop.
//!
//! Order of starting: ports (so that a taken one costs nothing), CA, database, the live view as the
//! database knows it, then whoever feeds it. Order of stopping: sessions, what they brought, the
//! page, the database.

use crate::api::settings::{Sites, WebError};
use crate::api::{AgentSessions, Joining, Parts, Web, setup};
use crate::ca::Authority;
use crate::config::ControllerConfig;
use crate::directory::StoreDirectory;
use crate::dispatch::Dispatch;
use crate::failure::Failure;
use crate::feed;
use crate::ingest::Ingest;
use crate::limits::{INBOUND, PRESENCE};
use crate::live::Live;
use crate::postgres::PrivatePostgres;
use crate::store::Store;
use crate::store::audit::{Act, Who};
use crate::store::users::Role;
use crate::transport::{Credits, Paces, Registry, WallClock, enrolment, listener, system_clock};
use fleetlight_protocol::control::{Refusal, RefusalCode};
use fleetlight_protocol::join_token::JoinToken;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What is open before anything runs.
struct Ports {
    web: Web,
    sessions: quinn::Endpoint,
    enrolment: TcpListener,
}

/// The database, private or configured.
struct Database {
    store: Store,
    private: Option<PrivatePostgres>,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`Failure`] names what is missing and the key that sets it.
pub async fn run(config: ControllerConfig) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let clock = system_clock();
    let authority = Arc::new(authority(&config, &clock)?);
    let ports = open(&config, &authority, &clock).await?;
    let database = tokio::select! {
        database = Database::open(&config) => database?,
        () = stop.cancelled() => return Ok(()),
    };
    let served = serve(&config, ports, authority, &database.store, clock, stop).await;
    database.close().await;
    served
}

/// A join token, stored in the database that the running controller uses.
///
/// # Errors
/// [`Failure`] if no controller was ever started there, or its database does not answer.
pub async fn join_token(config: ControllerConfig, host: Option<&str>) -> Result<JoinToken, Failure> {
    let clock = system_clock();
    let authority = Authority::load(&config.state_dir.join("ca"), clock())
        .map_err(|error| Failure::Config(format!("state_dir: {error}")))?;
    let database = Database::join(&config).await?;
    let made = database.store.create_join_token(host, clock()).await;
    database.close().await;
    let made = made.map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok(JoinToken {
        ca_fingerprint: authority.fingerprint(),
        id: made.id,
        secret: made.secret,
        endpoint: config.public_endpoint,
    })
}

/// A one-time link that sets a user's password: of `name`, else of the first admin.
///
/// # Errors
/// [`Failure`] if nobody active has the name, or the controller's database does not answer.
pub async fn reset_password(config: ControllerConfig, name: Option<&str>) -> Result<String, Failure> {
    let sites = Sites::new(&config.web_settings(), config.web_listen)
        .map_err(|error| Failure::Config(format!("{}: {error}", error.setting())))?;
    let database = Database::join(&config).await?;
    let made = reset_link(&database.store, &sites.origin(), name, system_clock()()).await;
    database.close().await;
    made
}

async fn reset_link(store: &Store, origin: &str, name: Option<&str>, now_ms: i64) -> Result<String, Failure> {
    let users = store.users().await.map_err(|error| Failure::Unavailable(error.to_string()))?;
    let chosen = match name {
        Some(name) => users.iter().find(|user| user.name == name),
        None => users.iter().filter(|user| user.active && user.role == Role::Admin).min_by_key(|user| user.id),
    };
    let unknown = || {
        let known: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        Failure::Config(format!("--user: there is no user {:?}; known: {}", name.unwrap_or_default(), known.join(", ")))
    };
    let user = chosen.ok_or_else(unknown)?;
    let link = setup::link_for(store, origin, user.id, now_ms).await;
    let disabled = || Failure::Config(format!("--user: {:?} is disabled; an admin enables it on the page", user.name));
    let link = link.map_err(|error| Failure::Unavailable(format!("{error:#}")))?.ok_or_else(disabled)?;
    let noted = store.note_audit(&operator(), &link_made(&user.name), "done", now_ms).await;
    noted.map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok(link)
}

/// Whoever may read the controller's state on its machine.
fn operator() -> Who {
    Who {
        user_id: None,
        name: "command line".into(),
        role: String::new(),
        authenticated: "this machine".into(),
        address: String::new(),
        request_id: String::new(),
    }
}

fn link_made(user: &str) -> Act {
    Act { action: "user.reset_password".into(), host_id: None, subject: user.to_owned(), detail: serde_json::json!({}) }
}

fn authority(config: &ControllerConfig, clock: &WallClock) -> Result<Authority, Failure> {
    Authority::load_or_create(&config.state_dir.join("ca"), clock()).map_err(|error| Failure::Config(error.to_string()))
}

async fn open(config: &ControllerConfig, authority: &Authority, clock: &WallClock) -> Result<Ports, Failure> {
    let web = Web::bind(config.web_settings()).await.map_err(|error| {
        let message = format!("{}: {error}", error.setting());
        if let WebError::Listen { .. } = error { Failure::Listen(message) } else { Failure::Config(message) }
    })?;
    let sessions = listener::bind(config.session_listen, authority, clock, true)
        .map_err(|error| Failure::Listen(format!("session_listen: {error}")))?;
    let enrolment = TcpListener::bind(config.enrol_listen).await.map_err(|error| {
        let address = config.enrol_listen;
        Failure::Listen(format!(
            "enrol_listen: cannot listen on TCP {address}: {error}; stop what uses it, or set another port"
        ))
    })?;
    Ok(Ports { web, sessions, enrolment })
}

impl Database {
    async fn open(config: &ControllerConfig) -> Result<Self, Failure> {
        if config.database_url.is_some() {
            return Self::join(config).await;
        }
        let private = PrivatePostgres::start(&config.state_dir.join("postgres"))
            .await
            .map_err(|error| Failure::Unavailable(format!("private Postgres: {error}")))?;
        let store = Store::connect(private.url()).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
        Ok(Self { store: store.keeping(config.retention), private: Some(private) })
    }

    /// Connects to the database that is there, and starts none.
    async fn join(config: &ControllerConfig) -> Result<Self, Failure> {
        let url = match &config.database_url {
            Some(url) => url.clone(),
            None => PrivatePostgres::url_of_running(&config.state_dir.join("postgres"))
                .map_err(|error| Failure::Unavailable(format!("{error}")))?,
        };
        let store = Store::connect(&url).await.map_err(|error| {
            let place = config.database_url.as_deref().map_or("private Postgres".into(), without_password);
            Failure::Unavailable(format!("database_url: {place} does not answer: {error}"))
        })?;
        Ok(Self { store: store.keeping(config.retention), private: None })
    }

    async fn close(self) {
        self.store.close().await;
        if let Some(private) = self.private {
            private.stop().await;
        }
    }
}

/// `postgres://user:secret@host/db` → `host/db`: who and what, not by which secret.
fn without_password(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, place)| place).to_owned()
}

async fn serve(
    config: &ControllerConfig,
    ports: Ports,
    authority: Arc<Authority>,
    store: &Store,
    clock: WallClock,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let unavailable = |error: &dyn std::fmt::Display| Failure::Unavailable(error.to_string());
    let live = Arc::new(Live::default());
    feed::restore(&live, store).await.map_err(|error| unavailable(&error))?;
    let registry = Registry::default();
    let endpoint = config.public_endpoint.clone();
    let directory = Arc::new(StoreDirectory::new(
        store.clone(),
        Arc::clone(&authority),
        registry.clone(),
        Arc::clone(&clock),
        endpoint.clone(),
    ));
    let acceptor = enrolment::acceptor(&authority, clock()).map_err(|error| Failure::Other(error.to_string()))?;
    let joining = Joining { ca_fingerprint: authority.fingerprint(), endpoint };
    let dispatch = Dispatch::new(store.clone(), registry.clone(), Arc::clone(&clock));
    let parts = Parts {
        live: Arc::clone(&live),
        store: store.clone(),
        dispatch: dispatch.clone(),
        agents: directory.clone(),
        registry: registry.clone(),
        joining,
    };
    announce(&ports.web, store).await?;

    let (inbound, arriving) = mpsc::channel(INBOUND);
    let (presence, changes) = mpsc::channel(PRESENCE);
    let (closing, closed) = (registry.clone(), dispatch.clone());
    let ingest = Ingest {
        store: store.clone(),
        live: Arc::clone(&live),
        clock: Arc::clone(&clock),
        reconnect: Arc::new(move |agent_id| {
            closing.close(agent_id, come_again());
        }),
        closed: Arc::new(move |ids| closed.closed(ids.iter().copied())),
    };
    let context = listener::Context {
        directory: Arc::clone(&directory),
        inbound,
        presence,
        registry,
        paces: Paces::default(),
        credits: Credits::default(),
        wall: clock,
    };
    let ingesting = tokio::spawn(ingest.run(arriving));
    let names = store.clone();
    tokio::join!(
        listener::serve(ports.sessions, context, stop.clone()),
        enrolment::serve(ports.enrolment, acceptor, directory, stop.clone()),
        feed::follow(&live, changes, |host_id| {
            let names = names.clone();
            async move { names.host_name(host_id).await.ok().flatten() }
        }),
        live.run(stop.clone()),
        dispatch.run(stop.clone()),
        ports.web.serve(parts, stop.clone()),
    );
    // The sessions are over: what they brought is stored before the database goes.
    ingesting.await.map_err(|error| Failure::Other(format!("ingest failed: {error}")))
}

fn come_again() -> Refusal {
    Refusal {
        code: RefusalCode::Unavailable,
        message: "the controller could not store all that this agent sent; connect again and send the rest".into(),
    }
}

/// The lines that `make up` and people wait for.
async fn announce(web: &Web, store: &Store) -> Result<(), Failure> {
    let link = web.setup_link(store).await.map_err(|error| Failure::Unavailable(format!("{error:#}")))?;
    if let Some(link) = link {
        println!("setup link: {link}");
    }
    println!("ready: {}", web.origin());
    Ok(())
}

impl AgentSessions for StoreDirectory {
    fn close_revoked(&self, agent_id: Uuid) {
        self.shut_out(agent_id, "an administrator revoked it");
    }
}

fn stop_on_signal(stop: CancellationToken) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::Other(format!("cannot listen for signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    });
    Ok(())
}
