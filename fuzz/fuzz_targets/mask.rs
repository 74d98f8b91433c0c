//! Text of containers on its way off the host: any bytes are made plain and masked.
#![no_main]

use fleetlight_fuzz::{mask, seed};
use libfuzzer_sys::fuzz_target;

/// Nothing else may stand where this stood.
const SECRET: &str = "Zq7Wn4Xk2Vb9Lm5T";

fuzz_target!(init: seed(SEEDS.map(|text| text.as_bytes().to_vec())), |data: &[u8]| {
    let plain = mask::plain(data);
    assert!(!plain.contains(char::is_control), "{plain:?}");
    let masked = mask::text(&plain);
    assert_eq!(mask::text(&masked), masked, "masking twice changes nothing");
    if plain.contains(SECRET) {
        return;
    }
    // Whatever comes first, a password is hidden.
    let line = format!("{plain} password={SECRET}");
    assert!(!mask::text(&line).contains(SECRET), "shown: {line:?}");
    let lines: Vec<&str> = plain.split(' ').collect();
    assert_eq!(mask::lines(lines.iter().copied()).len(), lines.len());
});

const SEEDS: [&str; 6] = [
    "password=hunter2 user=anna",
    r#"{"token": "abc", "nested": {"api_key": 'x'}}"#,
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "postgres://user:secret@db:5432/app?sslmode=require",
    "\u{1b}[31mERROR\u{1b}[0m --db-password secret",
    "-----BEGIN PRIVATE KEY----- MIIB -----END PRIVATE KEY-----",
];
