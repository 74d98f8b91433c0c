//! A mount that never answers, in a mount namespace of the test's own, so that nobody else on the
//! machine meets it.

use crate::agent::{Fault, an_hour_costs_little, on_one_thread, the_others_keep_time};
use crate::fuse::GatedMount;
use fleetlight_agent::config::AgentConfig;
use std::process::Command;

/// Set in the run inside the namespace.
const INSIDE: &str = "FLEETLIGHT_TEST_IN_NAMESPACE";

/// Runs `inside` with a mount, in a mount namespace, as the test of this name.
pub fn with_a_mount(test: &str, inside: impl AsyncFnOnce(&GatedMount)) {
    if std::env::var_os(INSIDE).is_some() {
        let mount = GatedMount::new().expect("root may mount");
        return on_one_thread(inside(&mount));
    }
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        return println!("SKIPPED: hung mount: cannot open /dev/fuse: {error}");
    }
    if !rustix::process::geteuid().is_root() {
        return println!("SKIPPED: hung mount: making one needs root");
    }
    let this = std::env::current_exe().expect("a test has a file");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match output {
        Err(error) => println!("SKIPPED: hung mount: cannot run unshare (util-linux): {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            println!("{said}{}", String::from_utf8_lossy(&output.stderr));
            // A name that no test has is a run that passes with none.
            assert!(output.status.success() && said.contains(" 1 passed;"), "inside: {}", output.status);
        }
    }
}

fn silence(mount: &GatedMount) -> Fault<'_> {
    let begin = || mount.fall_silent();
    Fault { collector: "mounts", stuck: mount.place.display().to_string(), begin: Box::new(begin) }
}

#[test]
fn a_hung_mount_delays_no_other_collector() {
    with_a_mount("mount::a_hung_mount_delays_no_other_collector", async |mount| {
        the_others_keep_time(AgentConfig::default(), silence(mount)).await;
        mount.answer_again();
    });
}

#[test]
fn an_hour_of_a_hung_mount_costs_little() {
    with_a_mount("mount::an_hour_of_a_hung_mount_costs_little", async |mount| {
        an_hour_costs_little(AgentConfig::default(), silence(mount)).await;
        mount.answer_again();
    });
}
