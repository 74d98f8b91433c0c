//! The controller's own certificate authority, apart from the certificate of the web page.
//!
//! A folder holds the key (`ca-key.pem`, mode 600) and the certificate (`ca.pem`). Agents pin the
//! SHA-256 of the CA's public key, so the certificate may be made anew from the key, but a lost key
//! means enrolling every host again. Names and extensions of a request are ignored: the agent's id
//! is assigned here.

use crate::limits::{BACKDATE, CA_LIFE, CSR_BYTES, LEAF_LIFE, SERVER_LIFE};
use fleetlight_protocol::SERVER_NAME;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use std::{fmt, fs, io};
use uuid::Uuid;

const KEY_FILE: &str = "ca-key.pem";
const CERTIFICATE_FILE: &str = "ca.pem";

/// Why the CA cannot be used, or cannot issue.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("cannot {operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{} is there but its key {} is not: restore the key from a backup, or remove the certificate to begin a new CA (every host must then enrol again)",
        certificate.display(), key.display()
    )]
    KeyMissing { certificate: PathBuf, key: PathBuf },
    #[error("{} can be read by others (mode {mode:o}): run `chmod 600` on it", path.display())]
    KeyExposed { path: PathBuf, mode: u32 },
    #[error(
        "{} holds no CA: the controller has never been started with this configuration; start it first, or name its \
         configuration with --config", folder.display()
    )]
    NotMade { folder: PathBuf },
    #[error("{} is damaged ({reason}): restore it from a backup", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the certificate request is refused: {0}")]
    Request(String),
    #[error("the CA could not sign: {0}")]
    Signing(#[from] rcgen::Error),
}

/// Signs certificates of agents and of the listeners.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate for an agent's key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Leaf first, then the CA; DER.
    pub chain: Vec<Vec<u8>>,
    /// SHA-256 of the leaf's public key, by which each connect is authorised.
    pub key_hash: [u8; 32],
    /// Milliseconds since the Unix epoch.
    pub ends_ms: i64,
}

/// What the listeners present.
#[derive(Debug)]
pub struct ServerIdentity {
    /// Leaf first, then the CA.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Loads the CA of `folder`, which a controller has made.
    ///
    /// # Errors
    /// [`CaError::NotMade`], or what is wrong with it.
    pub fn load(folder: &Path, now_ms: i64) -> Result<Self, CaError> {
        for path in [folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE)] {
            match path.try_exists() {
                Ok(true) => return Self::load_or_create(folder, now_ms),
                Ok(false) => {}
                Err(source) => return Err(CaError::Io { operation: "look for", path, source }),
            }
        }
        Err(CaError::NotMade { folder: folder.to_owned() })
    }

    /// Loads the CA of `folder`, or makes one.
    ///
    /// # Errors
    /// [`CaError`] names the file and what to do about it.
    pub fn load_or_create(folder: &Path, now_ms: i64) -> Result<Self, CaError> {
        let key_path = folder.join(KEY_FILE);
        let certificate_path = folder.join(CERTIFICATE_FILE);
        let certificate = read(&certificate_path)?;
        let key = match (read_key(&key_path)?, &certificate) {
            (Some(key), _) => key,
            (None, Some(_)) => return Err(CaError::KeyMissing { certificate: certificate_path, key: key_path }),
            (None, None) => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                create_folder(folder)?;
                write(&key_path, key.serialize_pem().as_bytes())?;
                key
            }
        };
        let certificate = match certificate {
            Some(text) => CertificateDer::from_pem_slice(&text).map_err(|error| damaged(&certificate_path, error))?,
            None => {
                let made = ca_params(now_ms).self_signed(&key)?;
                write(&certificate_path, made.pem().as_bytes())?;
                made.der().clone()
            }
        };
        let hash = key_hash(&certificate).map_err(|error| damaged(&certificate_path, error))?;
        if hash != digest(&key.subject_public_key_info()) {
            return Err(damaged(&certificate_path, "it does not belong to the key beside it"));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer })
    }

    /// The CA's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the CA's public key: what join tokens pin.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        digest(&self.issuer.key().subject_public_key_info())
    }

    /// A secret that stays the same as long as the key does, for one named purpose.
    #[must_use]
    pub fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(purpose.as_bytes());
        hash.update([0]);
        hash.update(self.issuer.key().serialized_der());
        hash.finalize().into()
    }

    /// A certificate for the key of `csr` (PKCS#10, DER), whose signature proves that the host has
    /// the key. Only P-256 is taken.
    ///
    /// # Errors
    /// [`CaError::Request`] says what is wrong with the request.
    pub fn issue(&self, csr: &[u8], agent_id: Uuid, now_ms: i64) -> Result<Issued, CaError> {
        if csr.len() > CSR_BYTES {
            return Err(CaError::Request(format!("it has {} bytes, more than {CSR_BYTES}", csr.len())));
        }
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr))
            .map_err(|error| CaError::Request(error.to_string()))?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(CaError::Request("its key is not ECDSA P-256".into()));
        }
        let mut params = leaf_params(now_ms, LEAF_LIFE, ExtendedKeyUsagePurpose::ClientAuth);
        let name = format!("fleetlight:agent:{agent_id}");
        params.subject_alt_names.push(SanType::URI(name.try_into()?));
        params.distinguished_name.push(DnType::CommonName, agent_id.to_string());
        let leaf = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(Issued {
            chain: vec![leaf.der().to_vec(), self.certificate.to_vec()],
            key_hash: digest(&request.public_key.subject_public_key_info()),
            ends_ms: params.not_after.unix_timestamp() * 1_000,
        })
    }

    /// A fresh key and certificate for the listeners.
    ///
    /// # Errors
    /// [`CaError::Signing`].
    pub fn server_identity(&self, now_ms: i64) -> Result<ServerIdentity, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = leaf_params(now_ms, SERVER_LIFE, ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names.push(SanType::DnsName(SERVER_NAME.try_into()?));
        params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok(ServerIdentity {
            chain: vec![leaf.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

/// SHA-256 of the public key (SubjectPublicKeyInfo, DER) of a certificate.
///
/// # Errors
/// A message if these bytes are no certificate.
pub fn key_hash(certificate: &[u8]) -> Result<[u8; 32], String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    Ok(digest(certificate.public_key().raw))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn ca_params(now_ms: i64) -> CertificateParams {
    let mut params = params(now_ms, CA_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Fleetlight CA");
    params
}

fn leaf_params(now_ms: i64, life: Duration, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = params(now_ms, life);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

fn params(now_ms: i64, life: Duration) -> CertificateParams {
    let now = UNIX_EPOCH + Duration::from_millis(now_ms.max(0) as u64);
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = (now - BACKDATE.min(Duration::from_millis(now_ms.max(0) as u64))).into();
    params.not_after = (now + life).into();
    params
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CaError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::Io { operation: "read", path: path.into(), source }),
    }
}

fn read_key(path: &Path) -> Result<Option<KeyPair>, CaError> {
    let Some(text) = read(path)? else { return Ok(None) };
    let metadata =
        fs::metadata(path).map_err(|source| CaError::Io { operation: "look at", path: path.into(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(CaError::KeyExposed { path: path.into(), mode });
    }
    let text = String::from_utf8(text).map_err(|_| damaged(path, "it is not text"))?;
    KeyPair::from_pem(&text).map(Some).map_err(|error| damaged(path, error))
}

fn create_folder(path: &Path) -> Result<(), CaError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|source| CaError::Io { operation: "create", path: path.into(), source })
}

/// Writes a file of mode 600 so that it is there whole or not at all, also after a power cut.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CaError> {
    let fresh = path.with_extension("new");
    let result = (|| {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    result.map_err(|source| CaError::Io { operation: "write", path: path.into(), source })
}

fn damaged(path: &Path, reason: impl fmt::Display) -> CaError {
    CaError::Damaged { path: path.into(), reason: reason.to_string() }
}

#[cfg(test)]
#[path = "ca_tests.rs"]
mod tests;
