//! Who this agent is: its key, its certificate, the CA that it trusts, where it dials.
//!
//! One file, `identity.json` (mode 600) in the state folder, so that key and certificate change
//! together: it is written beside and renamed. The key never leaves the host.

mod enrolling;
mod former;

use fleetlight_protocol::control::Enrolled;
use former::{Former, StoredFormer};
use pem::Pem;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{fmt, fs};
use uuid::Uuid;
use zeroize::Zeroizing;

const FILE: &str = "identity.json";

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot {operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{} is damaged ({reason}): make a new join token on the controller and run `fleetlight-agent enrol --token <token>`",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("the controller's certificate for this host cannot be used: {0}")]
    Certificate(String),
    #[error("no key could be made: {0}")]
    Key(#[from] rcgen::Error),
}

/// A fresh P-256 key that waits for its certificate.
pub struct NewKey(KeyPair);

/// Key, certificate, CA and address.
pub struct Identity {
    pub agent_id: Uuid,
    pub host_name: String,
    /// `host:port` of the controller's session listener.
    pub session_endpoint: String,
    /// The leaf; the controller has the CA.
    pub leaf: CertificateDer<'static>,
    /// The pinned CA.
    pub authority: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
    /// The keys before this one, newest first.
    former: Vec<Former>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Stored {
    agent_id: Uuid,
    host_name: String,
    session_endpoint: String,
    certificate: String,
    authority: String,
    private_key: Zeroizing<String>,
    /// Not in the files of older agents.
    #[serde(default)]
    former: Vec<StoredFormer>,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NewKey")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").field("agent_id", &self.agent_id).finish_non_exhaustive()
    }
}

impl NewKey {
    /// # Errors
    /// [`IdentityError::Key`] if the system has no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// The certificate request, PKCS#10 DER. It names nobody: the controller assigns the id.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }

    /// The leaf of `chain`, which must be for this key.
    fn leaf(&self, chain: &[Vec<u8>]) -> Result<CertificateDer<'static>, IdentityError> {
        let leaf = chain.first().ok_or_else(|| IdentityError::Certificate("the chain is empty".into()))?;
        let own: [u8; 32] = Sha256::digest(self.0.subject_public_key_info()).into();
        if key_hash(leaf).map_err(IdentityError::Certificate)? != own {
            return Err(IdentityError::Certificate("it is for another key".into()));
        }
        Ok(CertificateDer::from(leaf.clone()))
    }
}

impl Identity {
    /// What an enrolment gives. The CA must be the one that the join token pins.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`].
    pub fn enrolled(key: &NewKey, enrolled: &Enrolled, pin: [u8; 32]) -> Result<Self, IdentityError> {
        let authority = enrolled.chain.iter().find(|certificate| key_hash(certificate) == Ok(pin));
        let authority = authority.ok_or_else(|| IdentityError::Certificate("its chain lacks the pinned CA".into()))?;
        Ok(Self {
            agent_id: enrolled.agent_id,
            host_name: enrolled.host_name.clone(),
            session_endpoint: enrolled.session_endpoint.clone(),
            leaf: key.leaf(&enrolled.chain)?,
            authority: CertificateDer::from(authority.clone()),
            key: Zeroizing::new(key.0.serialize_der()),
            former: Vec::new(),
        })
    }

    /// The private key, for TLS.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }

    /// Begin and end of the certificate, milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`].
    pub fn validity_ms(&self) -> Result<(i64, i64), IdentityError> {
        validity_ms(&self.leaf)
    }

    /// Reads the identity of `state_dir`; nothing if this host has not enrolled.
    ///
    /// # Errors
    /// [`IdentityError`] names the file and what to do.
    pub fn load(state_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = state_dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IdentityError::Io { operation: "read", path, source }),
        };
        let damaged = |reason: String| IdentityError::Damaged { path: path.clone(), reason };
        let stored: Stored = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let certificate =
            |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| damaged(error.to_string()));
        let key = PrivatePkcs8KeyDer::from_pem_slice(stored.private_key.as_bytes())
            .map_err(|error| damaged(error.to_string()))?;
        Ok(Some(Self {
            agent_id: stored.agent_id,
            host_name: stored.host_name,
            session_endpoint: stored.session_endpoint,
            leaf: certificate(&stored.certificate)?,
            authority: certificate(&stored.authority)?,
            key: Zeroizing::new(key.secret_pkcs8_der().to_vec()),
            former: stored.former.iter().filter_map(Former::read).collect(),
        }))
    }

    /// Writes the identity so that the file is the old one or the new one, never half.
    ///
    /// # Errors
    /// [`IdentityError::Io`].
    pub fn save(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let certificate = |der: &CertificateDer<'_>| pem::encode(&Pem::new("CERTIFICATE", der.to_vec()));
        let stored = Stored {
            agent_id: self.agent_id,
            host_name: self.host_name.clone(),
            session_endpoint: self.session_endpoint.clone(),
            certificate: certificate(&self.leaf),
            authority: certificate(&self.authority),
            private_key: Zeroizing::new(pem::encode(&Pem::new("PRIVATE KEY", self.key.to_vec()))),
            former: self.former.iter().map(Former::stored).collect(),
        };
        let path = state_dir.join(FILE);
        let text = serde_json::to_vec_pretty(&stored).map_err(|error| IdentityError::Certificate(error.to_string()))?;
        write(&path, &Zeroizing::new(text)).map_err(|source| IdentityError::Io { operation: "write", path, source })
    }
}

/// The identity in use; a renewal replaces it for the next connection.
#[derive(Debug)]
pub struct Store {
    state_dir: PathBuf,
    current: RwLock<Arc<Identity>>,
}

impl Store {
    #[must_use]
    pub fn new(state_dir: PathBuf, identity: Identity) -> Self {
        Self { state_dir, current: RwLock::new(Arc::new(identity)) }
    }

    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    #[must_use]
    pub fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The identity in use, with the key of so many renewals ago if that is kept.
    #[must_use]
    pub fn before(&self, renewals: usize) -> Arc<Identity> {
        let current = self.current();
        current.before(renewals).map_or(current, Arc::new)
    }

    /// Saves `identity`, and uses it from now on.
    ///
    /// # Errors
    /// [`IdentityError::Io`], and then the old one stays.
    pub async fn replace(&self, identity: Identity) -> Result<(), IdentityError> {
        let identity = Arc::new(identity);
        let (saved, state_dir) = (Arc::clone(&identity), self.state_dir.clone());
        blocking(move || saved.save(&state_dir)).await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = identity;
        Ok(())
    }

    /// Takes up what an operator's new enrolment has written.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn reload(&self) -> Result<(), IdentityError> {
        let state_dir = self.state_dir.clone();
        if let Some(identity) = blocking(move || Identity::load(&state_dir)).await? {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IdentityError> + Send + 'static,
) -> Result<T, IdentityError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(IdentityError::Certificate(format!("its file could not be handled: {error}"))))
}

/// Begin and end of a certificate.
fn validity_ms(leaf: &CertificateDer<'_>) -> Result<(i64, i64), IdentityError> {
    let (_, leaf) =
        x509_parser::parse_x509_certificate(leaf).map_err(|error| IdentityError::Certificate(error.to_string()))?;
    let validity = leaf.validity();
    Ok((validity.not_before.timestamp() * 1_000, validity.not_after.timestamp() * 1_000))
}

/// SHA-256 of the public key (SubjectPublicKeyInfo, DER) of a certificate.
///
/// # Errors
/// A message if these bytes are no certificate.
pub fn key_hash(certificate: &[u8]) -> Result<[u8; 32], String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    Ok(Sha256::digest(certificate.public_key().raw).into())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let fresh = path.with_extension("new");
    // A leftover of a crash may have another mode.
    let _ = fs::remove_file(&fresh);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    fs::File::open(folder)?.sync_all()
}
