//! One page of a test's own: database, live view, listener on port 0, and browsers.

use anyhow::{Context, Result};
use fleetlight_controller::api::{AgentSessions, Joining, Parts, Web, WebSettings};
use fleetlight_controller::live::presence::Connected;
use fleetlight_controller::live::{KnownHost, Live};
use fleetlight_controller::store::Store;
use fleetlight_tests::client::Client;
use fleetlight_tests::postgres;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const PASSWORD: &str = "correct horse battery";
/// The host that every site knows.
pub const HOST: i32 = 1;

pub struct Site {
    pub origin: String,
    pub live: Arc<Live>,
    pub store: Store,
    /// The test's own way to the database.
    pub pool: PgPool,
    pub revoked: Arc<Mutex<Vec<Uuid>>>,
    setup_token: String,
    http: reqwest::Client,
    stop: CancellationToken,
    served: JoinHandle<()>,
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
        Self::try_start(dashboard_dir).await.expect("the page starts")
    }

    async fn try_start(dashboard_dir: PathBuf) -> Result<Self> {
        let url = postgres::database().await?;
        let (store, pool) = (Store::connect(&url).await?, PgPool::connect(&url).await?);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let web =
            Web::bind(WebSettings { listen, public_url: None, tls: None, trusted_proxy: None, dashboard_dir }).await?;
        let origin = web.origin();
        let link = web.setup_link(&store).await?.context("nobody has a password yet")?;
        let live = Arc::new(Live::default());
        live.restore(KnownHost { id: HOST, name: "alpha".into(), ..KnownHost::default() });
        let (stop, revoked) = (CancellationToken::new(), Arc::default());
        let parts = Parts {
            live: Arc::clone(&live),
            store: store.clone(),
            agents: Arc::new(Revoked(Arc::clone(&revoked))),
            joining: Joining { ca_fingerprint: [7; 32], endpoint: "127.0.0.1:7443".into() },
        };
        let served = tokio::spawn(web.serve(parts, stop.clone()));
        let setup_token = link.rsplit('/').next().context("a link")?.to_owned();
        assert_eq!(link, format!("{origin}/#/setup/{setup_token}"));
        let http = reqwest::Client::new();
        Ok(Self { origin, live, store, pool, revoked, setup_token, http, stop, served })
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

    pub fn connect_host(&self) {
        let address = "192.0.2.1".into();
        let session = Connected { agent_id: Uuid::nil(), address, agent_version: "0.1.0".into(), at_ms: 1 };
        self.live.connected(HOST, session);
    }

    /// Ends serving and waits for it.
    pub async fn stop(self) {
        self.stop.cancel();
        self.served.await.expect("ends in order");
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
