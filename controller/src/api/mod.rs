//! The page's API under `/admin/api` (docs/api.md), and the page itself.
//!
//! Reads `store`, watches `live`, acts on hosts through `dispatch` and on sessions of agents through
//! [`AgentSessions`]; holds no SQL.
//!
//! - [`settings`], [`server`]: where and how it is served; [`Web`] is the way in.
//! - [`routes`]: every call with what it takes to make it; [`access`]: who may do what; [`caller`]: who asks, by
//!   session, token, password or JWT; [`envelope`], [`guard`]: what each call passes through.
//! - one file a noun: [`hosts`], [`events`], [`series`], [`stream`], …
//!
//! Invariants: no call by nobody but the few that [`routes`] lists as public or open; no request for
//! another host name, and none that another site caused; every refusal is a problem in words.

pub mod access;
pub mod account;
pub mod agents;
pub mod allowed;
pub mod audit;
mod audit_subject;
pub mod basic;
pub mod bulks;
pub mod caller;
pub mod catalogue;
pub mod command_stream;
pub mod commands;
pub mod containers;
pub mod csp_report;
mod csv;
pub mod device;
pub mod envelope;
pub mod error;
pub mod events;
pub mod extract;
mod glob;
pub mod guard;
pub mod hosts;
pub mod join_tokens;
pub mod jwt;
pub mod login;
pub mod logs;
pub mod moment;
pub mod open_streams;
pub mod openapi;
pub mod page;
pub mod password;
pub mod refusals;
pub mod routes;
pub mod series;
pub mod server;
pub mod session;
pub mod sessions;
pub mod settings;
pub mod setup;
mod sse;
pub mod stream;
pub mod throttle;
pub mod tokens;
pub mod users;

pub use error::ApiError;
pub use server::Web;
pub use settings::{TlsFiles, WebSettings};

use crate::dispatch::Dispatch;
use crate::limits::{ALLOWED_AT_ONCE, API_CONCURRENCY, API_PUBLIC_CONCURRENCY};
use crate::live::Live;
use crate::store::Store;
use crate::transport::Registry;
use csp_report::CspReports;
use open_streams::OpenStreams;
use password::Passwords;
use settings::Sites;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use throttle::Throttle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What the API asks of the sessions that agents hold.
pub trait AgentSessions: Send + Sync + 'static {
    /// Ends the agent's session, if there is one: its key was revoked.
    fn close_revoked(&self, agent_id: Uuid);
}

/// What a host needs to know to join.
#[derive(Debug, Clone)]
pub struct Joining {
    /// SHA-256 of the CA's SubjectPublicKeyInfo.
    pub ca_fingerprint: [u8; 32],
    /// `host:port` of the enrolment listener, as hosts reach it.
    pub endpoint: String,
}

/// The rest of the controller, as the API needs it.
pub struct Parts {
    pub live: Arc<Live>,
    pub store: Store,
    pub dispatch: Dispatch,
    pub agents: Arc<dyn AgentSessions>,
    pub joining: Joining,
    /// By which hosts are asked for their logs.
    pub registry: Registry,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parts").field("joining", &self.joining).finish_non_exhaustive()
    }
}

/// What the settings have come to.
struct Own {
    sites: Sites,
    dashboard_dir: PathBuf,
    jwt: Option<jwt::Verifier>,
    /// Random, of this process.
    basic_key: [u8; 32],
}

/// What every call can reach.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    parts: Parts,
    sites: Sites,
    dashboard_dir: PathBuf,
    passwords: Passwords,
    throttle: Throttle,
    basic: basic::Remembered,
    jwt: Option<jwt::Verifier>,
    streams: OpenStreams,
    log_room: logs::Room,
    reports: CspReports,
    failed_logins: audit::Written,
    refusals: audit::Written,
    acts: audit::Written,
    /// Room for calls at the same time: of whoever is logged in, and of anybody.
    room: Semaphore,
    public_room: Semaphore,
    /// For questions to hosts what they allow.
    allowed_room: Semaphore,
    /// Some admin has a password: it is never taken back, so it is asked for only until then.
    set_up: AtomicBool,
    stop: CancellationToken,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Api").field("sites", &self.0.sites).finish_non_exhaustive()
    }
}

impl Api {
    fn new(parts: Parts, own: Own, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            parts,
            sites: own.sites,
            dashboard_dir: own.dashboard_dir,
            passwords: Passwords::default(),
            throttle: Throttle::default(),
            basic: basic::Remembered::new(own.basic_key),
            jwt: own.jwt,
            streams: OpenStreams::default(),
            log_room: logs::Room::default(),
            reports: CspReports::default(),
            failed_logins: audit::Written::default(),
            refusals: audit::Written::default(),
            acts: audit::Written::default(),
            room: Semaphore::new(API_CONCURRENCY),
            public_room: Semaphore::new(API_PUBLIC_CONCURRENCY),
            allowed_room: Semaphore::new(ALLOWED_AT_ONCE),
            set_up: AtomicBool::new(false),
            stop,
        }))
    }

    fn store(&self) -> &Store {
        &self.0.parts.store
    }

    fn dispatch(&self) -> &Dispatch {
        &self.0.parts.dispatch
    }

    fn live(&self) -> &Arc<Live> {
        &self.0.parts.live
    }
}
