//! The one line that enrols a host.
//!
//! `fljoin1-<CA key SHA-256, 64 hex>-<id, 32 hex>-<secret, 32 hex>@<host>:<port>`
//!
//! The fingerprint pins the controller before the secret is sent. The secret has 128 random bits
//! and is stored as a hash; the text is shown once.

use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "fljoin1-";

/// A parsed join token. `Debug` hides the secret; `Display` is the token itself.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the CA's SubjectPublicKeyInfo, DER.
    pub ca_fingerprint: [u8; 32],
    pub id: String,
    pub secret: String,
    /// `host:port` of the enrolment listener.
    pub endpoint: String,
}

/// What is wrong with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    #[error(
        "this is no join token: it does not begin with {PREFIX:?}; copy the whole line that the controller printed"
    )]
    Prefix,
    #[error("the join token has no @host:port at its end; copy the whole line")]
    Endpoint,
    #[error("the join token's {0} is damaged; copy the whole line, or make a new token")]
    Damaged(&'static str),
}

impl fmt::Display for JoinToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PREFIX)?;
        for byte in self.ca_fingerprint {
            write!(formatter, "{byte:02x}")?;
        }
        write!(formatter, "-{}-{}@{}", self.id, self.secret, self.endpoint)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JoinToken")
            .field("id", &self.id)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or(JoinTokenError::Prefix)?;
        let (keys, endpoint) = rest.split_once('@').ok_or(JoinTokenError::Endpoint)?;
        let has_port =
            endpoint.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port {
            return Err(JoinTokenError::Endpoint);
        }
        let mut keys = keys.split('-');
        let fingerprint = hex_field(keys.next(), 64, "fingerprint")?;
        let id = hex_field(keys.next(), 32, "id")?;
        let secret = hex_field(keys.next(), 32, "secret")?;
        if keys.next().is_some() {
            return Err(JoinTokenError::Damaged("secret"));
        }
        let mut ca_fingerprint = [0; 32];
        for (byte, pair) in ca_fingerprint.iter_mut().zip(fingerprint.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(pair).map_err(|_| JoinTokenError::Damaged("fingerprint"))?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| JoinTokenError::Damaged("fingerprint"))?;
        }
        Ok(Self { ca_fingerprint, id: id.to_owned(), secret: secret.to_owned(), endpoint: endpoint.to_owned() })
    }
}

fn hex_field<'a>(field: Option<&'a str>, length: usize, name: &'static str) -> Result<&'a str, JoinTokenError> {
    field
        .filter(|text| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or(JoinTokenError::Damaged(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_survives_its_text() {
        let token = JoinToken {
            ca_fingerprint: [0xab; 32],
            id: "0".repeat(32),
            secret: "f".repeat(32),
            endpoint: "controller.example:7443".into(),
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains(&token.secret));
    }

    #[test]
    fn each_fault_is_named() {
        let parse = |text: &str| text.parse::<JoinToken>();
        assert_eq!(parse("hello"), Err(JoinTokenError::Prefix));
        assert_eq!(parse("fljoin1-aa-bb-cc"), Err(JoinTokenError::Endpoint));
        assert_eq!(parse("fljoin1-aa-bb-cc@h:1"), Err(JoinTokenError::Damaged("fingerprint")));
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_an_error(text in "(fljoin1-)?.{0,200}") {
            let _ = text.parse::<JoinToken>();
        }
    }
}
