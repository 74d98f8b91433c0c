//! One page of a test's own: database, live view, listener on port 0, and browsers.

use anyhow::{Context, Result};
use fleetlight_controller::api::jwt::JwtSettings;
use fleetlight_controller::api::{AgentSessions, Joining, Parts, Web, WebSettings};
use fleetlight_controller::dispatch::Dispatch;
use fleetlight_controller::live::presence::Connected;
use fleetlight_controller::live::{KnownHost, Live};
use fleetlight_controller::store::Store;
use fleetlight_controller::store::api_tokens::NewApiToken;
use fleetlight_controller::store::users::{NewUser, Role};
use fleetlight_controller::store::web_sessions::NewWebSession;
use fleetlight_controller::transport::{Registry, system_clock};
use fleetlight_tests::client::Client;
use fleetlight_tests::postgres;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const PASSWORD: &str = "correct horse battery";
/// The host that every site knows.
pub const HOST: i32 = 1;

pub struct Site {
    pub origin: String,
    pub database_url: String,
    pub live: Arc<Live>,
    pub store: Store,
    /// The test's own way to the database.
    pub pool: PgPool,
    pub revoked: Arc<Mutex<Vec<Uuid>>>,
    setup_token: String,
    http: reqwest::Client,
    stop: CancellationToken,
    served: JoinHandle<()>,
    dispatching: JoinHandle<()>,
}

struct Revoked(Arc<Mutex<Vec<Uuid>>>);

impl AgentSessions for Revoked {
    fn close_revoked(&self, agent_id: Uuid) {
        self.0.lock().unwrap().push(agent_id);
    }
}

impl Site {
    pub async fn start() -> Self {
        Self::with_dashboard("/nowhere".into()).await
    }

    pub async fn with_dashboard(dashboard_dir: PathBuf) -> Self {
        Self::try_start(dashboard_dir, None).await.expect("the page starts")
    }

    pub async fn with_jwt(jwt: JwtSettings) -> Self {
        Self::try_start("/nowhere".into(), Some(jwt)).await.expect("the page starts")
    }

    async fn try_start(dashboard_dir: PathBuf, jwt: Option<JwtSettings>) -> Result<Self> {
        let url = postgres::database().await?;
        let (store, pool) = (Store::connect(&url).await?, PgPool::connect(&url).await?);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = WebSettings { listen, public_url: None, tls: None, trusted_proxy: None, dashboard_dir, jwt };
        let web = Web::bind(settings).await?;
        let origin = web.origin();
        let link = web.setup_link(&store).await?.context("nobody has a password yet")?;
        let live = Arc::new(Live::default());
        live.restore(KnownHost { id: HOST, name: "alpha".into(), ..KnownHost::default() });
        let (stop, revoked) = (CancellationToken::new(), Arc::default());
        let dispatch = Dispatch::new(store.clone(), Registry::default(), system_clock());
        let dispatching = tokio::spawn({
            let (dispatch, stop) = (dispatch.clone(), stop.clone());
            async move { dispatch.run(stop).await }
        });
        let parts = Parts {
            live: Arc::clone(&live),
            store: store.clone(),
            dispatch: dispatch.clone(),
            agents: Arc::new(Revoked(Arc::clone(&revoked))),
            joining: Joining { ca_fingerprint: [7; 32], endpoint: "127.0.0.1:7443".into() },
            registry: Registry::default(),
        };
        let served = tokio::spawn(web.serve(parts, stop.clone()));
        let setup_token = link.rsplit('/').next().context("a link")?.to_owned();
        assert_eq!(link, format!("{origin}/#/setup/{setup_token}"));
        let http = reqwest::Client::new();
        Ok(Self { origin, database_url: url, live, store, pool, revoked, setup_token, http, stop, served, dispatching })
    }

    /// A request without cookies, with the headers of our own page.
    pub fn call(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}/admin/api/{path}", self.origin));
        request.header("Origin", &self.origin).header("Content-Type", "application/json")
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.call("POST", path).json(&body).send().await.expect("an answer")
    }

    pub async fn set_password(&self, token: &str) -> Response {
        self.post("setup", json!({ "token": token, "password": PASSWORD })).await
    }

    pub fn setup_token(&self) -> &str {
        &self.setup_token
    }

    /// Sets the password; returns the session's cookie as `name=value`.
    pub async fn cookie(&self) -> String {
        cookie_of(&self.set_password(&self.setup_token).await)
    }

    /// Sets the password; returns a logged-in browser.
    pub async fn browser(&self) -> Client {
        let client = Client::new(&self.origin).expect("a client");
        let body = json!({ "token": self.setup_token, "password": PASSWORD });
        client.post("setup", &body).await.expect("logs in");
        client
    }

    /// Somebody active without a password.
    pub async fn person(&self, name: &str, role: Role) -> i32 {
        let new = NewUser { name, role, password_hash: None, must_change_password: false };
        self.store.create_user(new).await.expect("the database").expect("a new name").id
    }

    /// Cookie of a session that begins now.
    pub async fn session_of(&self, user_id: i32) -> String {
        let secret = Uuid::new_v4().simple().to_string();
        let (hash, now_ms) = (Sha256::digest(secret.as_bytes()).into(), now_ms());
        let (address, user_agent, expires_ms) = ("192.0.2.7", "a test", now_ms + 3_600_000);
        let user = self.store.user_by_id(user_id).await.expect("the database").expect("a user");
        let password_hash = user.password_hash.as_deref();
        let session = NewWebSession { hash, user_id, password_hash, address, user_agent, now_ms, expires_ms };
        assert!(self.store.begin_web_session(session).await.expect("the database"));
        format!("fleetlight={secret}")
    }

    /// An API token for an hour, as the header `Authorization` has it.
    pub async fn token_of(&self, user_id: i32, role: Role, scopes: &[&'static str]) -> String {
        let token = format!("fl_{}", Uuid::new_v4().simple());
        let (id, hash, now_ms) = (Uuid::new_v4(), Sha256::digest(token.as_bytes()).into(), now_ms());
        let expires_ms = now_ms + 3_600_000;
        let new = NewApiToken { id, user_id, name: "a test", hash, role, scopes, now_ms, expires_ms };
        assert!(self.store.create_api_token(new).await.expect("the database"));
        format!("Bearer {token}")
    }

    pub fn connect_host(&self) {
        let address = "192.0.2.1".into();
        let session = Connected { agent_id: Uuid::nil(), address, agent_version: "0.1.0".into(), at_ms: 1 };
        self.live.connected(HOST, session);
    }

    /// Ends serving and waits for it.
    pub async fn stop(self) {
        self.stop.cancel();
        self.served.await.expect("ends in order");
        self.dispatching.await.expect("ends in order");
        self.store.close().await;
    }
}

pub fn cookie_of(response: &Response) -> String {
    assert!(response.status().is_success(), "{response:?}");
    let cookie = response.headers()["set-cookie"].to_str().expect("text");
    cookie.split(';').next().expect("a pair").to_owned()
}

/// Status and detail of a refusal.
pub async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().expect("text").to_owned();
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!((&problem["status"], &problem["request_id"]), (&json!(status), &json!(id)));
    (status, problem["detail"].as_str().expect("words").to_owned())
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// A route's path with something in the place of each `{name}`.
pub fn concrete(path: &str) -> String {
    let filled = |part| if str::starts_with(part, '{') { "1" } else { part };
    path.trim_start_matches('/').split('/').map(filled).collect::<Vec<_>>().join("/")
}
