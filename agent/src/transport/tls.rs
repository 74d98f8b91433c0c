//! Whom the agent believes: a certificate for [`SERVER_NAME`] of the pinned CA, whatever the address.
//!
//! A certificate that is not valid yet shows that the host's clock is behind, and is taken: our CA
//! makes none in advance. One that has ended is judged by the controller's time as well.

use super::clock::Clock;
use crate::identity::{Identity, key_hash};
use crate::limits::{ERRANDS_AT_ONCE, FIRST_ROUND_TRIP, IDLE, KEEP_ALIVE, RECEIVE_WINDOW, SEND_WINDOW};
use fleetlight_protocol::{ALPN_ENROL, ALPN_SESSION};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;

#[cfg(doc)]
use fleetlight_protocol::SERVER_NAME;

/// Why TLS cannot be set up with this identity.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up with this host's identity: {0}; enrol again")]
pub struct TlsError(String);

/// For a session: shows the agent's certificate, demands the controller's.
///
/// # Errors
/// [`TlsError`].
pub fn session_config(identity: &Identity, clock: Arc<Clock>) -> Result<quinn::ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let inner = webpki(&identity.authority, &provider).map_err(|error| TlsError(error.to_string()))?;
    let verifier = Controller { provider: Arc::clone(&provider), trust: Trust::Authority(inner), clock };
    let mut tls = builder(provider, verifier)
        .and_then(|builder| builder.with_client_auth_cert(vec![identity.leaf.clone()], identity.key()))
        .map_err(|error| TlsError(error.to_string()))?;
    finish(&mut tls, ALPN_SESSION);
    let tls = QuicClientConfig::try_from(tls).map_err(|error| TlsError(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(VarInt::from_u32(IDLE.as_millis() as u32).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(FIRST_ROUND_TRIP)
        .send_window(SEND_WINDOW)
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(ERRANDS_AT_ONCE))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // An agent sends a packet or two a tick: offload would gain nothing, and fails on some hosts.
        .enable_segmentation_offload(false);
    transport
}

/// For enrolment: believes only the CA whose public key has this SHA-256.
///
/// # Errors
/// [`TlsError`].
pub fn enrolment_config(pin: [u8; 32], clock: Arc<Clock>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Controller { provider: Arc::clone(&provider), trust: Trust::Pin(pin), clock };
    let builder = builder(provider, verifier).map_err(|error| TlsError(error.to_string()))?;
    let mut config = builder.with_no_client_auth();
    finish(&mut config, ALPN_ENROL);
    Ok(config)
}

fn builder(
    provider: Arc<CryptoProvider>,
    verifier: Controller,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, Error> {
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
}

fn finish(config: &mut ClientConfig, alpn: &[u8]) {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
}

fn webpki(authority: &CertificateDer<'_>, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned())?;
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))
}

#[derive(Debug)]
enum Trust {
    Authority(Arc<WebPkiServerVerifier>),
    Pin([u8; 32]),
}

/// Judges the controller's certificate.
#[derive(Debug)]
struct Controller {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    clock: Arc<Clock>,
}

impl ServerCertVerifier for Controller {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let inner = match &self.trust {
            Trust::Authority(inner) => Arc::clone(inner),
            Trust::Pin(pin) => {
                let pinned = intermediates.iter().find(|certificate| key_hash(certificate).as_ref() == Ok(pin));
                let pinned = pinned.ok_or(CertificateError::ApplicationVerificationFailure)?;
                webpki(pinned, &self.provider)?
            }
        };
        let at = |time| inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, time);
        match at(unix(self.clock.wall_ms())) {
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => at(not_before),
            Err(Error::InvalidCertificate(error @ CertificateError::ExpiredContext { .. })) => {
                self.clock.controller_ms().map_or(Err(Error::InvalidCertificate(error)), |known| at(unix(known)))
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
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn unix(at_ms: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(at_ms.max(0) as u64))
}
