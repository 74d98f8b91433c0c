//! The listener: bounded connections, TLS where configured, and an orderly end.

use super::settings::{Sites, TlsFiles, WebError, WebSettings};
use super::{Api, Own, Parts, jwt, routes, setup};
use crate::limits::{
    ACCEPT_RETRY, HTTP_CONNECTIONS, HTTP_HEADER_WAIT, HTTP_STREAMS, HTTP_UNACKED, TLS_HANDSHAKE_WAIT, WEB_DRAIN,
};
use crate::store::Store;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Where a connection comes from; on every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The page's listener, open but not served yet.
pub struct Web {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    own: Own,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Web").field("sites", &self.own.sites).finish_non_exhaustive()
    }
}

impl Web {
    /// Judges the settings, reads the certificate and opens the listener.
    ///
    /// # Errors
    /// [`WebError`] names the setting and what to do.
    pub async fn bind(settings: WebSettings) -> Result<Self, WebError> {
        // Before the port is opened: what is refused is never reachable.
        Sites::new(&settings, settings.listen)?;
        let tls = settings.tls.as_ref().map(acceptor).transpose()?;
        let jwt = settings.jwt.clone().map(jwt::Verifier::load).transpose().map_err(WebError::Jwt)?;
        let mut basic_key = [0; 32];
        getrandom::fill(&mut basic_key).map_err(|error| WebError::Random(error.to_string()))?;
        let listen_error = |source| WebError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen_error)?;
        let sites = Sites::new(&settings, listener.local_addr().map_err(listen_error)?)?;
        let own = Own { sites, dashboard_dir: settings.dashboard_dir, jwt, basic_key };
        Ok(Self { listener, tls, own })
    }

    /// `http://127.0.0.1:7070`, or the public URL.
    #[must_use]
    pub fn origin(&self) -> String {
        self.own.sites.origin()
    }

    /// Where it listens, with the port that was given for port 0.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The one-time link that sets the first admin's password; none once that has happened.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn setup_link(&self, store: &Store) -> anyhow::Result<Option<String>> {
        setup::link(store, &self.origin()).await
    }

    /// Serves until `stop`, then ends streams at once and gives calls [`WEB_DRAIN`] to finish.
    pub async fn serve(self, parts: Parts, stop: CancellationToken) {
        let Self { listener, tls, own } = self;
        let listening = Listening { listener, tls, sites: own.sites.clone() };
        let api = Api::new(parts, own, stop.clone());
        listening.serve(routes::router(&api), stop).await;
    }
}

/// The listener with what judges connections.
struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    sites: Sites,
}

impl Listening {
    async fn serve(self, router: Router, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(HTTP_CONNECTIONS));
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        while let Some(Ok(permit)) = stop.run_until_cancelled(Arc::clone(&room).acquire_owned()).await {
            let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await else { break };
            let (tcp, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the page; trying again");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            if !self.sites.admits(peer.ip()) {
                tracing::warn!(%peer, "unencrypted connection to the page refused: it is not from trusted_proxy");
                continue;
            }
            let connection = Connection { router: router.clone(), peer, stop: stop.clone() };
            let (tls, cut) = (self.tls.clone(), cut.clone());
            connections.spawn(async move {
                cut.run_until_cancelled(connection.run(tcp, tls)).await;
                drop(permit);
            });
        }
        drop(self.listener);
        connections.close();
        if timeout(WEB_DRAIN, connections.wait()).await.is_err() {
            cut.cancel();
            connections.wait().await;
        }
    }
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, tcp: TcpStream, tls: Option<TlsAcceptor>) {
        let peer = self.peer;
        // Events are small and must not wait for one another; a page that is gone is found out.
        let tuned = tcp.set_nodelay(true).and_then(|()| {
            let unacked = HTTP_UNACKED.as_millis() as u32;
            rustix::net::sockopt::set_tcp_user_timeout(&tcp, unacked).map_err(std::io::Error::from)
        });
        if let Err(error) = tuned {
            tracing::debug!(%peer, %error, "a connection of the page keeps its default settings");
        }
        let Some(tls) = tls else { return self.http(tcp).await };
        match timeout(TLS_HANDSHAKE_WAIT, tls.accept(tcp)).await {
            Ok(Ok(encrypted)) => self.http(encrypted).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn http(self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let peer = Peer(self.peer);
        let service = self.router.map_request(move |mut request: axum::http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer);
            request.map(axum::body::Body::new)
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HTTP_HEADER_WAIT);
        let http2 = &mut builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(HTTP_HEADER_WAIT).max_concurrent_streams(HTTP_STREAMS);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), TowerToHyperService::new(service));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, %error, "a connection of the page ended badly");
        }
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, WebError> {
    let fault = |file: &Path, fault: String| WebError::Tls { file: file.to_owned(), fault };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(&files.certificate, format!("is not read as a PEM certificate: {error}")))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| fault(&files.key, format!("is not read as a PEM private key: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| fault(&files.certificate, format!("and its key cannot be used: {error}")))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
