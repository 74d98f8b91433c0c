//! The text that enrols a host, as a person pastes it.
#![no_main]

use fleetlight_fuzz::seed;
use fleetlight_protocol::join_token::JoinToken;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed([seed_token().into_bytes()]), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = text.parse::<JoinToken>() {
        assert_eq!(token.to_string().parse(), Ok(token), "a token survives its text");
    }
});

fn seed_token() -> String {
    format!("fljoin1-{}-{}-{}@controller.example:7443", "ab".repeat(32), "0".repeat(32), "f".repeat(32))
}
