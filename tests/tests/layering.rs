//! The layout is the architecture: who may import whom (docs/architecture.md).

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    if folder.is_file() {
        return vec![folder.to_owned()];
    }
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// Lines of `module` (a folder or a file of `crate_name`) that name a forbidden path.
fn offences(crate_name: &str, module: &str, forbidden: &[&str]) -> Vec<String> {
    let folder = root().join(crate_name).join("src");
    let mut files = sources(&folder.join(module));
    files.extend(sources(&folder.join(format!("{module}.rs"))));
    assert!(!files.is_empty(), "{crate_name}/src/{module} has moved: this rule checks nothing");
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if forbidden.iter().any(|name| code.contains(name)) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn nothing_reaches_back_up() {
    let rules: &[(&str, &str, &[&str])] = &[
        ("agent", "collectors", &["crate::transport", "crate::spool", "crate::batcher"]),
        ("agent", "workers", &["crate::transport", "crate::spool", "crate::batcher", "tokio::net"]),
        ("agent", "transport", &["crate::collectors", "crate::docker", "crate::workers"]),
        ("agent", "executor", &["crate::transport", "crate::spool", "crate::batcher", "crate::collectors"]),
        ("agent", "spool", &["crate::transport", "crate::collectors"]),
        (
            "controller",
            "store",
            &["crate::live", "crate::ingest", "crate::transport", "crate::api", "crate::directory", "crate::dispatch"],
        ),
        ("controller", "ingest", &["crate::api", "crate::dispatch"]),
        ("controller", "dispatch", &["crate::api", "crate::ingest", "crate::live", "sqlx"]),
        (
            "controller",
            "transport",
            &["crate::store", "crate::live", "crate::ingest", "crate::api", "crate::dispatch", "sqlx"],
        ),
        ("controller", "live", &["crate::store", "crate::ingest::flush", "crate::api", "sqlx"]),
        ("controller", "api", &["sqlx"]),
    ];
    let found: Vec<_> = rules.iter().flat_map(|(name, module, forbidden)| offences(name, module, forbidden)).collect();
    assert!(found.is_empty(), "imports against the layout:\n{}", found.join("\n"));
}

#[test]
fn sides_meet_only_in_the_protocol_and_in_tests() {
    for (name, forbidden) in [
        ("protocol", &["fleetlight-agent", "fleetlight-controller", "tokio", "quinn"][..]),
        ("agent", &["fleetlight-controller", "sqlx", "axum"]),
        ("controller", &["fleetlight-agent", "bollard", "nvml"]),
    ] {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
        for other in forbidden {
            let named = manifest.lines().any(|line| line.starts_with(other));
            assert!(!named, "{name} depends on {other}");
        }
    }
}

/// A file without its comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file");
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|word| !word.is_empty())
}

/// Files of the agent outside of these modules.
fn agent_without(modules: &[&str]) -> Vec<PathBuf> {
    let own = |path: &PathBuf| {
        let inside = path.strip_prefix(root().join("agent/src")).expect("of the agent");
        let first = inside.components().next().expect("a file").as_os_str().to_string_lossy().into_owned();
        modules.contains(&first.trim_end_matches(".rs"))
    };
    sources(&root().join("agent/src")).into_iter().filter(|path| !own(path)).collect()
}

#[test]
fn only_the_executor_opens_dockers_socket() {
    let opens = |file: &PathBuf| {
        let code = code(file);
        let imports = |statement: &str| {
            let import = statement.trim_start().trim_start_matches("pub ");
            import.starts_with("use ") && words(import).any(|word| word == "Docker")
        };
        code.split(';').any(imports) || code.contains("docker::Docker::") || code.contains("docker_socket")
    };
    // The configuration is one for both processes; only its reader may know the key.
    let files = agent_without(&["docker", "executor", "config", "config_tests"]);
    let found: Vec<_> = files.into_iter().filter(opens).collect();
    assert!(found.is_empty(), "Docker's socket is the executor's: {found:?}");
}

#[test]
fn the_network_facing_parts_ask_the_executor_by_its_client() {
    let allowed = ["Client", "Request"];
    let mut found = Vec::new();
    for file in ["collectors", "transport"].iter().flat_map(|module| sources(&root().join("agent/src").join(module))) {
        let code = code(&file);
        for path in code.split("executor::").skip(1) {
            let end =
                if path.starts_with('{') { path.find('}') } else { path.find(|char: char| !char.is_alphanumeric()) };
            let names: Vec<&str> = words(&path[..end.unwrap_or(path.len())]).collect();
            found.extend(names.iter().map(|name| (file.clone(), (*name).to_owned())));
        }
    }
    assert!(!found.is_empty(), "nobody asks the executor: this rule checks nothing");
    found.retain(|(_, name)| !allowed.contains(&name.as_str()));
    assert!(found.is_empty(), "the executor is asked by its client alone: {found:?}");
}

#[test]
fn docker_is_reached_through_one_module() {
    let found: Vec<_> = sources(&root().join("agent/src"))
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("docker")))
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("bollard::")))
        .collect();
    assert!(found.is_empty(), "bollard outside of docker: {found:?}");
}
