//! Whose certificates the listeners believe, and what they present. TLS 1.3 by ring, no resumption:
//! each connect shows its certificate.

use super::WallClock;
use crate::ca::{Authority, CaError, key_hash};
use crate::limits::RENEWAL_GRACE;
use fleetlight_protocol::{ALPN_ENROL, ALPN_SESSION};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error("TLS cannot be set up with the CA's certificates: {0}")]
    Rustls(#[from] Error),
    #[error("TLS cannot be set up: {0}")]
    Other(String),
}

/// What an agent's certificate says, once the handshake has proved that it has the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// SHA-256 of the public key.
    pub key_hash: [u8; 32],
    /// End of its validity, milliseconds since the Unix epoch.
    pub ends_ms: i64,
}

impl Presented {
    /// Reads a leaf certificate.
    ///
    /// # Errors
    /// A message if these bytes are no certificate.
    pub fn read(leaf: &[u8]) -> Result<Self, String> {
        let (_, certificate) = x509_parser::parse_x509_certificate(leaf).map_err(|error| error.to_string())?;
        let ends_ms = certificate.validity().not_after.timestamp() * 1_000;
        Ok(Self { key_hash: key_hash(leaf)?, ends_ms })
    }
}

/// For sessions: demands a certificate of our CA.
///
/// # Errors
/// [`TlsError`].
pub fn session_config(authority: &Authority, wall: &WallClock) -> Result<rustls::ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| TlsError::Other(error.to_string()))?;
    let verifier = AgentVerifier { inner, wall: Arc::clone(wall) };
    let identity = authority.server_identity(wall())?;
    // The agent has the CA already: only the leaf goes over the wire.
    let leaf = identity.chain.into_iter().take(1).collect();
    let builder = builder(provider)?.with_client_cert_verifier(Arc::new(verifier));
    Ok(finish(builder.with_single_cert(leaf, identity.key)?, ALPN_SESSION))
}

/// For enrolment: the agent has no certificate yet, and finds the CA that its token pins in the chain.
///
/// # Errors
/// [`TlsError`].
pub fn enrolment_config(authority: &Authority, now_ms: i64) -> Result<rustls::ServerConfig, TlsError> {
    let identity = authority.server_identity(now_ms)?;
    let builder = builder(Arc::new(ring::default_provider()))?.with_no_client_auth();
    Ok(finish(builder.with_single_cert(identity.chain, identity.key)?, ALPN_ENROL))
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<rustls::ServerConfig, rustls::WantsVerifier>, Error> {
    rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])
}

fn finish(mut config: rustls::ServerConfig, alpn: &[u8]) -> rustls::ServerConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// Takes certificates of our CA; one that ended less than [`RENEWAL_GRACE`] ago passes the handshake,
/// and `opening` lets it do nothing but renew.
struct AgentVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    wall: WallClock,
}

impl fmt::Debug for AgentVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AgentVerifier").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for AgentVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Every agent has one certificate: a hint would only cost bytes.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let now = UnixTime::since_unix_epoch(Duration::from_millis((self.wall)().max(0) as u64));
        match self.inner.verify_client_cert(end_entity, intermediates, now) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }))
                if now.as_secs().saturating_sub(not_after.as_secs()) <= RENEWAL_GRACE.as_secs() =>
            {
                self.inner.verify_client_cert(end_entity, intermediates, not_after)
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
