//! JSON Web Tokens of one configured issuer.
//!
//! The algorithm is the configured one, whatever the token says (RFC 8725); keys come from a file, never from the
//! token. `exp` is demanded, and one of `nbf` and `iat`, neither of them in the future. Why this is our own code:
//! docs/decisions/jwt.md.

use super::caller::Caller;
use super::session;
use crate::limits::{JWT_KEY_BYTES, JWT_KEYS, JWT_LEEWAY, USER_NAME_CHARS};
use crate::store::users::Role;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

/// Shortest secret for HS256: as long as its hash (RFC 7518, 3.2).
const SECRET_BYTES: usize = 32;

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    RS256,
    ES256,
    EdDSA,
    HS256,
}

/// Whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud` is this or holds it.
    pub audience: String,
    pub algorithm: Algorithm,
    /// A public key as PEM, a JWKS file, or the secret of HS256.
    pub key_file: PathBuf,
    /// The claim with the role: a text, or a list of which the mightiest counts.
    #[serde(default = "role_claim")]
    pub role_claim: String,
    /// Role by the claim's value; without it values are the roles' own names.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
}

fn role_claim() -> String {
    "role".to_owned()
}

/// Checks tokens.
pub struct Verifier {
    settings: JwtSettings,
    keys: Vec<Named>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Verifier").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

/// A key and the `kid` under which tokens may name it.
struct Named {
    id: Option<String>,
    key: Key,
}

enum Key {
    /// As ring takes it: PKCS #1 for RSA, the point for curves.
    Public(Vec<u8>),
    RsaParts {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Secret(hmac::Key),
}

impl Verifier {
    /// Reads the keys.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn load(settings: JwtSettings) -> Result<Self, String> {
        let keys = read_keys(&settings.key_file, settings.algorithm)
            .map_err(|fault| format!("key_file: {} {fault}", settings.key_file.display()))?;
        Ok(Self { settings, keys })
    }

    /// The caller of a token.
    ///
    /// # Errors
    /// What is wrong with it, to follow "the JWT".
    pub(super) fn caller(&self, token: &str, now_ms: i64) -> Result<Caller, &'static str> {
        let mut parts = token.split('.');
        let (Some(head), Some(body), Some(seal), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("is malformed");
        };
        let header = object(head)?;
        if header.get("alg").and_then(Value::as_str) != Some(self.settings.algorithm.name()) {
            return Err("is signed by another algorithm than the configured one");
        }
        if header.contains_key("crit") {
            return Err("demands extensions that are not known here");
        }
        let seal = decoded(seal)?;
        let signed = &token.as_bytes()[..head.len() + 1 + body.len()];
        let id = header.get("kid").and_then(Value::as_str);
        let fits = |named: &&Named| id.is_none() || named.id.is_none() || named.id.as_deref() == id;
        if !self.keys.iter().filter(fits).any(|named| named.key.verifies(self.settings.algorithm, signed, &seal)) {
            return Err("is not signed by the issuer's key");
        }
        self.judge(&object(body)?, session::hash(token), now_ms)
    }

    fn judge(&self, claims: &Map<String, Value>, hash: [u8; 32], now_ms: i64) -> Result<Caller, &'static str> {
        let settings = &self.settings;
        if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer) {
            return Err("is of another issuer");
        }
        let is_ours = |value: &Value| value.as_str() == Some(&settings.audience);
        if !claims.get("aud").is_some_and(|aud| is_ours(aud) || list(aud).iter().any(is_ours)) {
            return Err("is for another audience");
        }
        let expires_ms = seconds(claims, "exp")?.ok_or("has no exp")?;
        let leeway_ms = JWT_LEEWAY.as_millis() as i64;
        if expires_ms.saturating_add(leeway_ms) <= now_ms {
            return Err("has expired");
        }
        let begins = [seconds(claims, "nbf")?, seconds(claims, "iat")?];
        let begins_ms = begins.into_iter().flatten().max().ok_or("has neither nbf nor iat")?;
        if begins_ms > now_ms.saturating_add(leeway_ms) {
            return Err("begins in the future");
        }
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        if subject.is_empty() || subject.chars().count() > USER_NAME_CHARS || subject.contains(char::is_control) {
            return Err("has no sub that can be a name");
        }
        let claim = claims.get(&settings.role_claim).ok_or("has no role claim")?;
        let role = self.role(claim).ok_or("has no role that is known here")?;
        Ok(Caller::of_jwt(hash, subject, role, expires_ms.saturating_add(leeway_ms)))
    }

    /// The mightiest: roles are in that order.
    fn role(&self, claim: &Value) -> Option<Role> {
        let roles = &self.settings.roles;
        let known = |value: &Value| {
            let name = value.as_str()?;
            if roles.is_empty() { Role::from_name(name) } else { roles.get(name).copied() }
        };
        known(claim).or_else(|| list(claim).iter().filter_map(known).min())
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
        }
    }
}

impl Key {
    fn verifies(&self, algorithm: Algorithm, signed: &[u8], seal: &[u8]) -> bool {
        let public = |by: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(by, key).verify(signed, seal).is_ok()
        };
        match (self, algorithm) {
            (Self::Public(key), Algorithm::RS256) => public(&signature::RSA_PKCS1_2048_8192_SHA256, key),
            (Self::Public(key), Algorithm::ES256) => public(&signature::ECDSA_P256_SHA256_FIXED, key),
            (Self::Public(key), Algorithm::EdDSA) => public(&signature::ED25519, key),
            (Self::RsaParts { n, e }, Algorithm::RS256) => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, seal).is_ok()
            }
            (Self::Secret(key), Algorithm::HS256) => hmac::verify(key, signed, seal).is_ok(),
            _ => false,
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A NumericDate as milliseconds. One of another type is a fault, not an absence.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| (0.0..1e11).contains(seconds));
            seconds.map(|seconds| Some((seconds * 1_000.0) as i64)).ok_or("has a time that is no number")
        }
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, &'static str> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| "is malformed")
}

fn object(part: &str) -> Result<Map<String, Value>, &'static str> {
    serde_json::from_slice(&decoded(part)?).map_err(|_| "is malformed")
}

fn read_keys(file: &Path, algorithm: Algorithm) -> Result<Vec<Named>, String> {
    let about = std::fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?;
    if about.len() > JWT_KEY_BYTES {
        return Err(format!("is larger than {JWT_KEY_BYTES} bytes"));
    }
    if algorithm == Algorithm::HS256 && about.permissions().mode() & 0o077 != 0 {
        return Err("can be read by others, who could then make tokens: chmod 600".into());
    }
    let text = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    if algorithm == Algorithm::HS256 {
        let secret = text.trim_ascii();
        if secret.len() < SECRET_BYTES {
            return Err(format!("holds fewer than {SECRET_BYTES} bytes: such a secret can be guessed"));
        }
        return Ok(vec![Named { id: None, key: Key::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)) }]);
    }
    let keys =
        if text.trim_ascii_start().starts_with(b"{") { of_jwks(&text, algorithm)? } else { of_pem(&text, algorithm)? };
    match keys.len() {
        0 => Err(format!("holds no key for {}", algorithm.name())),
        1..=JWT_KEYS => Ok(keys),
        _ => Err(format!("holds more than {JWT_KEYS} keys")),
    }
}

fn of_pem(text: &[u8], algorithm: Algorithm) -> Result<Vec<Named>, String> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text)
        .map_err(|error| format!("is neither a JWKS nor a PEM with a PUBLIC KEY: {error}"))?;
    let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|error| format!("holds a broken key: {error}"))?;
    let expected = match algorithm {
        Algorithm::RS256 => "1.2.840.113549.1.1.1",
        Algorithm::ES256 => "1.2.840.10045.2.1",
        Algorithm::EdDSA => "1.3.101.112",
        Algorithm::HS256 => return Ok(Vec::new()),
    };
    if info.algorithm.algorithm.to_id_string() != expected {
        return Ok(Vec::new());
    }
    Ok(vec![Named { id: None, key: Key::Public(info.subject_public_key.data.to_vec()) }])
}

/// RFC 7517, the parts that matter here; keys of other kinds are passed over.
#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn of_jwks(text: &[u8], algorithm: Algorithm) -> Result<Vec<Named>, String> {
    let jwks: Jwks = serde_json::from_slice(text).map_err(|error| format!("is no JWKS: {error}"))?;
    let signing = jwks.keys.into_iter().filter(|key| key.purpose.as_deref().is_none_or(|purpose| purpose == "sig"));
    let keys = signing.filter_map(|jwk| Some(Named { key: jwk.key(algorithm)?, id: jwk.kid }));
    Ok(keys.collect())
}

impl Jwk {
    fn key(&self, algorithm: Algorithm) -> Option<Key> {
        let part = |text: &Option<String>| decoded(text.as_deref()?).ok();
        match (algorithm, self.kty.as_str(), self.crv.as_deref()) {
            (Algorithm::RS256, "RSA", _) => Some(Key::RsaParts { n: part(&self.n)?, e: part(&self.e)? }),
            // An uncompressed point: SEC 1, 2.3.3.
            (Algorithm::ES256, "EC", Some("P-256")) => {
                Some(Key::Public([vec![4], part(&self.x)?, part(&self.y)?].concat()))
            }
            (Algorithm::EdDSA, "OKP", Some("Ed25519")) => Some(Key::Public(part(&self.x)?)),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
