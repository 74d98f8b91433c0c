//! The controller's configuration: TOML file, then `FLEETLIGHT_CONTROLLER_*` from the environment.
//!
//! The only module that knows figment. Unknown keys and values out of range are refused with
//! their place and what is allowed, before anything starts.

use crate::api::jwt::{JwtSettings, Verifier};
use crate::api::settings::Sites;
use crate::api::{TlsFiles, WebSettings};
use crate::store::retention::Retention;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where the configuration is read from when nobody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/fleetlight/controller.toml";

/// Everything that an operator may set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerConfig {
    /// CA, private Postgres. Mode 700.
    pub state_dir: PathBuf,
    /// Where the page and the API are served. Plain HTTP on loopback; elsewhere it needs
    /// `web_tls` or `trusted_proxy`.
    pub web_listen: SocketAddr,
    /// How people reach the page, `https://fleet.example.org`; requests for another host are refused.
    pub public_url: Option<String>,
    /// Certificate chain and key of the page, PEM.
    pub web_tls: Option<WebTls>,
    /// A proxy that terminates TLS: requests come from this address only.
    pub trusted_proxy: Option<IpAddr>,
    /// Where agents hold their sessions, UDP.
    pub session_listen: SocketAddr,
    /// Where hosts enrol, TCP; the same port number as `session_listen` keeps firewalls simple.
    pub enrol_listen: SocketAddr,
    /// `host:port` under which agents reach `session_listen` and `enrol_listen`; goes into join tokens.
    pub public_endpoint: String,
    /// `postgres://…`; absent: a private Postgres under `state_dir`.
    pub database_url: Option<String>,
    /// The built page.
    pub dashboard_dir: PathBuf,
    /// How long samples and their rollups are kept.
    pub retention: Retention,
    /// Whose JSON Web Tokens are believed; absent: nobody's.
    pub jwt: Option<JwtSettings>,
}

/// Files of the page's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/fleetlight".into(),
            web_listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            public_url: None,
            web_tls: None,
            trusted_proxy: None,
            session_listen: SocketAddr::from(([0, 0, 0, 0], 7443)),
            enrol_listen: SocketAddr::from(([0, 0, 0, 0], 7443)),
            public_endpoint: "127.0.0.1:7443".into(),
            database_url: None,
            dashboard_dir: "/usr/share/fleetlight/dashboard".into(),
            retention: Retention::default(),
            jwt: None,
        }
    }
}

/// Why the configuration was refused; the message names file, key and what is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ControllerConfig {
    /// Reads `file` (or the default place, which may be missing) and the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key and the allowed values.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        if file.is_some() && !path.is_file() {
            return Err(ConfigError(format!("configuration file {} does not exist", path.display())));
        }
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        // Figment would refuse a missing one.
        if path.try_exists().unwrap_or(true) {
            figment = figment.merge(Toml::file_exact(path));
        }
        let figment = figment.merge(Env::prefixed("FLEETLIGHT_CONTROLLER_").split("__"));
        let config: Self = figment.extract().map_err(|errors| explain(&errors))?;
        config.check().map_err(|(key, fault)| {
            ConfigError(format!(
                "{key}: {fault} (set in {} or by FLEETLIGHT_CONTROLLER_{})",
                path.display(),
                key.to_uppercase()
            ))
        })?;
        Ok(config)
    }

    /// How the page is served.
    #[must_use]
    pub fn web_settings(&self) -> WebSettings {
        WebSettings {
            listen: self.web_listen,
            public_url: self.public_url.clone(),
            tls: self.web_tls.clone().map(|tls| TlsFiles { certificate: tls.certificate, key: tls.key }),
            trusted_proxy: self.trusted_proxy,
            dashboard_dir: self.dashboard_dir.clone(),
            jwt: self.jwt.clone(),
        }
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        // The page's own judgement, so that what is approved here is not refused at the start.
        Sites::new(&self.web_settings(), self.web_listen).map_err(|error| (error.setting(), error.to_string()))?;
        let endpoint_port = self.public_endpoint.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
        if !matches!(endpoint_port, Some((host, Ok(port))) if !host.is_empty() && port > 0) {
            return Err((
                "public_endpoint",
                format!("{:?} is not host:port, such as \"fleet.example.org:7443\"", self.public_endpoint),
            ));
        }
        if let Some(url) = &self.database_url
            && !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
        {
            return Err((
                "database_url",
                "not a Postgres address; allowed: postgres://user:password@host:port/database".into(),
            ));
        }
        self.retention.check().map_err(|fault| ("retention", fault))?;
        self.jwt.clone().map(Verifier::load).transpose().map_err(|fault| ("jwt", fault))?;
        if let Some(tls) = &self.web_tls {
            for file in [&tls.certificate, &tls.key] {
                if !file.is_file() {
                    return Err(("web_tls", format!("{} does not exist", file.display())));
                }
            }
        }
        Ok(())
    }
}

/// figment names key and kind of the fault; the place is its metadata.
fn explain(errors: &figment::Error) -> ConfigError {
    let lines = errors.clone().into_iter().map(|error| {
        let place = error.metadata.as_ref().map_or_else(String::new, |data| {
            data.source.as_ref().map_or_else(|| format!(" in {}", data.name), |source| format!(" in {source}"))
        });
        let key = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path.join(".")) };
        format!("{key}{}{place}", error.kind)
    });
    ConfigError(lines.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
