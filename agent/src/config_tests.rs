use super::*;
use std::io::Write;

fn load(text: &str) -> Result<AgentConfig, String> {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("fleetlight-agent-config-{}-{number}.toml", std::process::id()));
    std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("temporary file");
    let config = AgentConfig::load(Some(&path)).map_err(|error| error.to_string());
    std::fs::remove_file(path).expect("temporary file");
    config
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(load(""), Ok(AgentConfig::default()));
}

#[test]
fn each_fault_names_key_place_and_what_is_allowed() {
    let table = [
        ("interval = 5", &["interval", "interval_ms", "fleetlight-agent-config"][..]),
        ("interval_ms = \"fast\"", &["interval_ms", "fast", "fleetlight-agent-config"]),
        ("interval_ms = 10", &["interval_ms = 10", "1000 to 60000", "fleetlight-agent-config"]),
        ("mount_hung_ms = 1", &["mount_hung_ms", "500 to 60000"]),
        ("user_pattern = \"[\"", &["user_pattern", "exactly one group"]),
        ("user_pattern = \"comfy-.*\"", &["user_pattern", "exactly one group"]),
        ("interval_ms = ", &["fleetlight-agent-config"]),
    ];
    for (text, expected) in table {
        let message = load(text).expect_err(text);
        for part in expected {
            assert!(message.contains(part), "{text}: {message:?} does not say {part:?}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = AgentConfig::load(Some(Path::new("/nowhere/agent.toml"))).expect_err("missing");
    assert!(error.to_string().contains("/nowhere/agent.toml"), "{error}");
}

#[test]
fn the_default_place_may_be_empty() {
    if !Path::new(DEFAULT_FILE).exists() {
        AgentConfig::load(None).expect("the defaults");
    }
}
