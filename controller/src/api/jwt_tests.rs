use super::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

const NOW_MS: i64 = 1_800_000_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A file with these bytes and this mode, gone with it.
struct File(PathBuf);

impl File {
    fn new(content: &[u8], mode: u32) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("fl-jwt-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn load(algorithm: Algorithm, content: &[u8], mode: u32) -> Result<Verifier, String> {
    let file = File::new(content, mode);
    Verifier::load(JwtSettings {
        issuer: "https://issuer".into(),
        audience: "fleetlight".into(),
        algorithm,
        key_file: file.0.clone(),
        role_claim: role_claim(),
        roles: BTreeMap::new(),
    })
}

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(sign(signed.as_bytes())))
}

fn by_secret(signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed).as_ref().to_vec()
}

fn claims() -> Value {
    let now = NOW_MS / 1_000;
    json!({ "iss": "https://issuer", "aud": "fleetlight", "sub": "alice", "role": "admin",
            "exp": now + 600, "nbf": now - 10 })
}

#[test]
fn only_what_is_right_in_every_claim_is_believed() {
    let verifier = load(Algorithm::HS256, SECRET, 0o600).unwrap();
    let judge = |claims: &Value| verifier.caller(&token(&json!({"alg": "HS256"}), claims, by_secret), NOW_MS);
    let caller = judge(&claims()).unwrap();
    assert_eq!((caller.name.as_str(), caller.role, caller.user_id), ("jwt:alice", Role::Admin, None));
    let now = NOW_MS / 1_000;
    let with = |name: &str, value: Value| {
        let mut changed = claims();
        changed[name] = value;
        changed
    };
    for (good, why) in [
        (with("aud", json!(["other", "fleetlight"])), "one of several"),
        (with("exp", json!(now - 59)), "within the leeway"),
        (with("nbf", json!(now + 59)), "within the leeway"),
        (with("role", json!(["guest", "sysops", "support"])), "a list"),
    ] {
        assert!(judge(&good).is_ok(), "{why}: {:?}", judge(&good));
    }
    assert_eq!(judge(&with("role", json!(["sysops", "admin"]))).unwrap().role, Role::Admin, "the mightiest");
    for (wrong, expected) in [
        (with("iss", json!("https://other")), "another issuer"),
        (with("iss", json!(["https://issuer"])), "another issuer"),
        (with("aud", json!("other")), "another audience"),
        (with("aud", Value::Null), "another audience"),
        (with("exp", json!(now - 61)), "expired"),
        (with("exp", json!("9999999999")), "no number"),
        (with("exp", Value::Null), "no number"),
        (with("exp", json!(1e300)), "no number"),
        (with("nbf", json!(now + 61)), "future"),
        (with("iat", json!(now + 61)), "future"),
        (with("nbf", json!("soon")), "no number"),
        (with("sub", json!("")), "no sub"),
        (with("sub", json!("a\u{1b}[2J")), "no sub"),
        (with("sub", json!("x".repeat(USER_NAME_CHARS + 1))), "no sub"),
        (with("role", json!("root")), "known here"),
        (with("role", json!(1)), "known here"),
    ] {
        let fault = judge(&wrong).unwrap_err();
        assert!(fault.contains(expected), "{wrong}: {fault}");
    }
    for missing in ["exp", "nbf", "sub", "role", "iss", "aud"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(missing);
        assert!(judge(&without).is_err(), "without {missing}");
    }
}

#[test]
fn the_algorithm_is_the_configured_one() {
    let verifier = load(Algorithm::HS256, SECRET, 0o600).unwrap();
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS384"}),
        json!({"alg": "hs256"}),
        json!({}),
        json!({"alg": "HS256", "crit": ["b64"]}),
    ] {
        assert!(verifier.caller(&token(&header, &claims(), by_secret), NOW_MS).is_err(), "{header}");
    }
    let good = token(&json!({"alg": "HS256"}), &claims(), by_secret);
    for wrong in [
        format!("{good}x"),
        good.rsplit_once('.').unwrap().0.to_owned() + ".",
        good.rsplit_once('.').unwrap().0.to_owned(),
        format!("{good}.{good}"),
        String::new(),
        "..".into(),
        token(&json!({"alg": "HS256"}), &claims(), |_| vec![0; 32]),
    ] {
        assert!(verifier.caller(&wrong, NOW_MS).is_err(), "{wrong}");
    }
    // The public key as the secret of an HMAC: the classic confusion.
    let random = SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string();
    let verifier = load(Algorithm::EdDSA, jwks.as_bytes(), 0o644).unwrap();
    let confused = |signed: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, pair.public_key().as_ref()), signed).as_ref().to_vec()
    };
    assert!(verifier.caller(&token(&json!({"alg": "HS256"}), &claims(), confused), NOW_MS).is_err());
    assert!(verifier.caller(&token(&json!({"alg": "EdDSA"}), &claims(), confused), NOW_MS).is_err());
    let right = token(&json!({"alg": "EdDSA"}), &claims(), |signed| pair.sign(signed).as_ref().to_vec());
    assert!(verifier.caller(&right, NOW_MS).is_ok());
}

#[test]
fn keys_of_a_jwks_are_chosen_by_their_name() {
    let random = SystemRandom::new();
    let pair = || {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()
    };
    let (old, new) = (pair(), pair());
    let jwk = |pair: &EcdsaKeyPair, id: &str| {
        let point = pair.public_key().as_ref();
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": text(&point[1..33]), "y": text(&point[33..])})
    };
    let other = json!({"kty": "oct", "k": "AAAA", "kid": "new"});
    let jwks = json!({"keys": [other, jwk(&old, "old"), jwk(&new, "new")]}).to_string();
    let verifier = load(Algorithm::ES256, jwks.as_bytes(), 0o644).unwrap();
    let by = |pair: &EcdsaKeyPair, header: Value| {
        let token = token(&header, &claims(), |signed| pair.sign(&random, signed).unwrap().as_ref().to_vec());
        verifier.caller(&token, NOW_MS).is_ok()
    };
    assert!(by(&old, json!({"alg": "ES256", "kid": "old"})) && by(&new, json!({"alg": "ES256", "kid": "new"})));
    assert!(by(&new, json!({"alg": "ES256"})), "without a name: any of them");
    assert!(!by(&new, json!({"alg": "ES256", "kid": "old"})) && !by(&pair(), json!({"alg": "ES256"})));
    assert!(!by(&new, json!({"alg": "ES256", "kid": "newest"})));
}

/// RFC 7515, A.2.
#[test]
fn rsa_is_verified_as_the_standard_shows() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC\
             gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6\
             65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW\
             yuXpoQ";
    let signed = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let seal = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
                Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--x\
                i12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypG\
                lUPQGe77Rw";
    let jwks = json!({"keys": [{"kty": "RSA", "n": n, "e": "AQAB"}]}).to_string();
    let verifier = load(Algorithm::RS256, jwks.as_bytes(), 0o644).unwrap();
    let (key, seal) = (&verifier.keys[0].key, decoded(seal).unwrap());
    assert!(key.verifies(Algorithm::RS256, signed, &seal));
    assert!(!key.verifies(Algorithm::RS256, &signed[1..], &seal));
}

#[test]
fn a_key_file_that_will_not_do_is_named_with_its_fault() {
    let random = SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let info = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], pair.public_key().as_ref()];
    let body = base64::prelude::BASE64_STANDARD.encode(info.concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let verifier = load(Algorithm::EdDSA, pem.as_bytes(), 0o644).unwrap();
    let good = token(&json!({"alg": "EdDSA"}), &claims(), |signed| pair.sign(signed).as_ref().to_vec());
    assert!(verifier.caller(&good, NOW_MS).is_ok());
    for (algorithm, content, mode, expected) in [
        (Algorithm::HS256, SECRET, 0o644, "read by others"),
        (Algorithm::HS256, &SECRET[1..], 0o600, "guessed"),
        (Algorithm::RS256, pem.as_bytes(), 0o644, "no key for RS256"),
        (Algorithm::ES256, b"nothing", 0o644, "PUBLIC KEY"),
        (Algorithm::ES256, b"{}", 0o644, "no JWKS"),
        (Algorithm::ES256, b"{\"keys\": []}", 0o644, "no key for ES256"),
    ] {
        let fault = load(algorithm, content, mode).unwrap_err();
        assert!(fault.contains(expected) && fault.starts_with("key_file"), "{fault}");
    }
}
