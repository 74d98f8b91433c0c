//! Where the page is served and under which names; refused at start where that would be unsafe.

use super::jwt::JwtSettings;
use axum::http::Uri;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct WebSettings {
    pub listen: SocketAddr,
    /// How people reach the page, `https://fleet.example.org`.
    pub public_url: Option<String>,
    pub tls: Option<TlsFiles>,
    /// A proxy that terminates TLS: off loopback, requests come from this address only.
    pub trusted_proxy: Option<IpAddr>,
    /// The built page.
    pub dashboard_dir: PathBuf,
    /// An issuer whose JSON Web Tokens are believed.
    pub jwt: Option<JwtSettings>,
}

/// Certificate chain and key, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Why the page is not served and what to do; [`WebError::setting`] says where.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error(
        "{0} is not a loopback address, and passwords would cross the network unencrypted: set web_tls, or \
         trusted_proxy, or listen on 127.0.0.1"
    )]
    Unencrypted(SocketAddr),
    #[error(
        "{0} can be reached from outside, so the page's host name must be known: set public_url, for \
         instance \"https://fleet.example.org\""
    )]
    NoPublicUrl(SocketAddr),
    #[error("{0:?} is no address of a page: it must be https://host or https://host:port, without a path")]
    PublicUrl(String),
    #[error("{0:?} is unencrypted: use https, and set web_tls or trusted_proxy; plain http is for loopback names")]
    PublicUrlUnencrypted(String),
    #[error("{address} cannot be opened: {source}; stop what uses it, or set another port")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{file} {fault}")]
    Tls { file: PathBuf, fault: String },
    #[error("{0}")]
    Jwt(String),
    #[error("the machine gives no random bytes: {0}")]
    Random(String),
}

impl WebError {
    /// The key of the configuration that is to be changed.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Unencrypted(_) | Self::Listen { .. } | Self::Random(_) => "web_listen",
            Self::NoPublicUrl(_) | Self::PublicUrl(_) | Self::PublicUrlUnencrypted(_) => "public_url",
            Self::Tls { .. } => "web_tls",
            Self::Jwt(_) => "jwt",
        }
    }
}

/// One name under which the page is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `https://fleet.example.org`, as browsers write it in `Origin`.
    pub origin: String,
    /// Reached encrypted, so that cookies can be kept to that.
    pub secure: bool,
}

/// All names under which the page is served.
#[derive(Debug, Clone)]
pub struct Sites {
    public: Option<(String, Site)>,
    /// Scheme on the listener itself.
    scheme: &'static str,
    listen: SocketAddr,
    proxy: Option<IpAddr>,
}

impl Sites {
    /// Judges the settings; `listen` is the address that was opened.
    ///
    /// # Errors
    /// [`WebError`] where a password could cross a network unencrypted.
    pub fn new(settings: &WebSettings, listen: SocketAddr) -> Result<Self, WebError> {
        let encrypted = settings.tls.is_some();
        if !listen.ip().is_loopback() {
            if !encrypted && settings.trusted_proxy.is_none() {
                return Err(WebError::Unencrypted(settings.listen));
            }
            if settings.public_url.is_none() {
                return Err(WebError::NoPublicUrl(settings.listen));
            }
        }
        let public = settings.public_url.as_deref().map(parse_public).transpose()?;
        Ok(Self { public, scheme: if encrypted { "https" } else { "http" }, listen, proxy: settings.trusted_proxy })
    }

    /// The site of a Host header; none if it is not ours.
    #[must_use]
    pub fn of_host(&self, host: &str) -> Option<Site> {
        let host = host.to_ascii_lowercase();
        if let Some((_, site)) = self.public.as_ref().filter(|(public, _)| *public == host) {
            return Some(site.clone());
        }
        let (name, port) = split_port(&host);
        let port_is_ours = match port {
            Some(port) => port == self.listen.port().to_string(),
            None => self.listen.port() == if self.scheme == "https" { 443 } else { 80 },
        };
        let origin = format!("{}://{host}", self.scheme);
        (port_is_ours && is_loopback(name)).then(|| Site { origin, secure: self.scheme == "https" })
    }

    /// Where links lead.
    #[must_use]
    pub fn origin(&self) -> String {
        let listening = || format!("{}://{}", self.scheme, self.listen);
        self.public.as_ref().map_or_else(listening, |(_, site)| site.origin.clone())
    }

    /// What to say to whoever asks for another host.
    #[must_use]
    pub fn names(&self) -> String {
        format!("this page is served at {} only; open that address, or set public_url", self.origin())
    }

    /// Whether a connection from `peer` may come in at all.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.scheme == "https" || peer.is_loopback() || self.proxy == Some(peer)
    }

    /// Who asks: behind the named proxy, the last address that it forwards for.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: Option<&str>) -> IpAddr {
        let peer = peer.to_canonical();
        let last = forwarded_for.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse().ok());
        if self.proxy == Some(peer) { last.unwrap_or(peer) } else { peer }
    }
}

fn parse_public(url: &str) -> Result<(String, Site), WebError> {
    let wrong = || WebError::PublicUrl(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    let host = authority.as_str().to_ascii_lowercase();
    let default_port = match scheme {
        "https" => ":443",
        "http" if is_loopback(split_port(&host).0) => ":80",
        "http" => return Err(WebError::PublicUrlUnencrypted(url.to_owned())),
        _ => return Err(wrong()),
    };
    let host = host.strip_suffix(default_port).unwrap_or(&host).to_owned();
    let site = Site { origin: format!("{scheme}://{host}"), secure: scheme == "https" };
    Ok((host, site))
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') && (!name.contains(':') || name.ends_with(']')) => {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

/// Names that browsers keep to this machine.
fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || name.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
