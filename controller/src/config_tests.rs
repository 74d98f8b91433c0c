use super::*;
use std::io::Write;

fn load(text: &str) -> Result<ControllerConfig, String> {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("fleetlight-controller-config-{}-{number}.toml", std::process::id()));
    std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("temporary file");
    let config = ControllerConfig::load(Some(&path)).map_err(|error| error.to_string());
    std::fs::remove_file(path).expect("temporary file");
    config
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(load(""), Ok(ControllerConfig::default()));
}

#[test]
fn each_fault_names_key_place_and_what_is_allowed() {
    let table = [
        ("listen = \"x\"", &["listen", "web_listen", "fleetlight-controller-config"][..]),
        ("web_listen = 7070", &["web_listen", "fleetlight-controller-config"]),
        ("web_listen = \"localhost\"", &["web_listen", "fleetlight-controller-config"]),
        ("web_listen = \"0.0.0.0:7070\"", &["web_listen", "loopback", "web_tls", "trusted_proxy"]),
        ("web_listen = \"0.0.0.0:7070\"\ntrusted_proxy = \"192.0.2.1\"", &["public_url", "https://"]),
        ("public_url = \"https://fleet.example.org/page\"", &["public_url", "without a path"]),
        ("public_endpoint = \"fleet.example.org\"", &["public_endpoint", "host:port"]),
        ("database_url = \"mysql://db\"", &["database_url", "postgres://"]),
        ("public_url = \"fleet.example.org\"", &["public_url", "https://"]),
        ("[retention]\nraw_days = 0", &["retention", "raw_days = 0", "1 to 36500"]),
        ("[jwt]\nissuer = \"i\"", &["jwt", "audience"]),
        (
            "[jwt]\nissuer = \"i\"\naudience = \"a\"\nalgorithm = \"none\"\nkey_file = \"/k\"",
            &["jwt.algorithm", "none", "RS256"],
        ),
        (
            "[jwt]\nissuer = \"i\"\naudience = \"a\"\nalgorithm = \"RS256\"\nkey_file = \"/no/key\"",
            &["jwt", "key_file: /no/key cannot be read"],
        ),
        (
            "[jwt]\nissuer = \"i\"\naudience = \"a\"\nalgorithm = \"RS256\"\nkey_file = \"/k\"\nroles = { ops = \"root\" }",
            &["jwt.roles.ops", "root", "sysops"],
        ),
        ("[web_tls]\ncertificate = \"/no/cert\"\nkey = \"/no/key\"", &["web_tls", "/no/cert does not exist"]),
    ];
    for (text, expected) in table {
        let message = load(text).expect_err(text);
        for part in expected {
            assert!(message.contains(part), "{text}: {message:?} does not say {part:?}");
        }
        let (key, rest) = message.split_once(": ").expect("key: fault");
        assert!(!rest.starts_with(key), "{message:?} says {key:?} twice");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = ControllerConfig::load(Some(Path::new("/nowhere/controller.toml"))).expect_err("missing");
    assert!(error.to_string().contains("/nowhere/controller.toml"), "{error}");
}

#[test]
fn the_default_place_may_be_empty() {
    if !Path::new(DEFAULT_FILE).exists() {
        ControllerConfig::load(None).expect("the defaults");
    }
}
