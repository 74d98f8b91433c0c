//! Hosts with addresses of their own, as network namespaces joined by veth pairs.
//!
//! The test itself runs inside the hub's namespace ([`inside`]), so that the controller's sockets
//! are never on this machine's own addresses.

use anyhow::{Context, Result, ensure};
use std::process::Command;

/// Whether namespaces can be made here; else why not.
///
/// # Errors
/// The reason, in words.
pub fn available() -> Result<(), String> {
    let name = format!("fl-probe-{}", std::process::id());
    match Command::new("ip").args(["netns", "add", &name]).output() {
        Err(error) => Err(format!("network namespaces need iproute2: {error}")),
        Ok(output) if !output.status.success() => {
            Err(format!("network namespaces are not allowed here: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Ok(_) => {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
            Ok(())
        }
    }
}

/// A hub namespace and its leaves; they go when this is dropped.
#[derive(Debug)]
pub struct Star {
    hub: String,
    leaves: Vec<String>,
}

impl Star {
    /// A hub with `leaves` hosts: leaf i has 10.77.i.2, the hub 10.77.i.1 towards it.
    ///
    /// # Errors
    /// If a step of `ip` fails.
    pub fn new(leaves: u8) -> Result<Self> {
        let id = std::process::id();
        let mut star = Self { hub: format!("fl-{id}-hub"), leaves: Vec::new() };
        ip(&["netns", "add", &star.hub])?;
        ip(&["-n", &star.hub, "link", "set", "lo", "up"])?;
        for leaf in 1..=leaves {
            let name = format!("fl-{id}-{leaf}");
            ip(&["netns", "add", &name])?;
            star.leaves.push(name.clone());
            let near = format!("up{leaf}");
            ip(&["-n", &star.hub, "link", "add", &near, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
            ip(&["-n", &star.hub, "addr", "add", &format!("10.77.{leaf}.1/24"), "dev", &near])?;
            ip(&["-n", &name, "addr", "add", &format!("10.77.{leaf}.2/24"), "dev", "eth0"])?;
            ip(&["-n", &star.hub, "link", "set", &near, "up"])?;
            ip(&["-n", &name, "link", "set", "eth0", "up"])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&["-n", &name, "route", "add", "default", "via", &format!("10.77.{leaf}.1")])?;
        }
        Ok(star)
    }

    /// Name of the hub's namespace.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.hub
    }
}

impl Drop for Star {
    fn drop(&mut self) {
        for name in self.leaves.iter().chain([&self.hub]) {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Runs one `#[ignore]`d test of this binary inside the namespace.
///
/// # Errors
/// If it fails.
pub fn inside(namespace: &str, test: &str) -> Result<()> {
    let this = std::env::current_exe()?;
    let output = Command::new("ip")
        .args(["netns", "exec", namespace])
        .arg(this)
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env("FL_HUB", namespace)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    // A name that no test has is a run that passes with none.
    ensure!(output.status.success() && said.contains(" 1 passed;"), "{test} failed inside {namespace}");
    Ok(())
}

/// Runs `ip`.
///
/// # Errors
/// With what it printed.
pub fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("iproute2 is missing: apt-get install iproute2")?;
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
