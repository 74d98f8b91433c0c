//! Actions that Docker did, and whose effect did not hold.

use super::host::{Host, until};
use fleetlight_protocol::command::{ContainerVerb, Outcome};

pub async fn one_that_dies_after_three_seconds_is_not_verified(host: &Host) {
    let script = "if [ -e /ran ]; then echo 'token=abc123secret'; echo 'no GPU'; sleep 3; exit 1; fi; echo > /ran; exec sleep 1000";
    host.docker.run("dies", &["--stop-signal", "KILL"], script).expect("runs");
    let (told, finding) = host.ask(ContainerVerb::Restart, "dies", 8).await;
    assert_eq!(finding.outcome, Outcome::Unverified);
    // It sleeps for 3 s; a busy machine lets it sleep longer.
    let ran = finding.observed.strip_prefix("restarted, then exited 1 after ").and_then(|rest| rest.strip_suffix(" s"));
    assert!(ran.is_some_and(|seconds| ["3", "4", "5"].contains(&seconds)), "{}", finding.observed);
    assert_eq!(finding.reason.as_deref(), Some("its last lines:\ntoken=***\nno GPU"));
    assert_eq!(finding.exit_code, Some(1));
    assert_eq!(told.steps()[..2], ["stopped", "started"]);
}

pub async fn one_that_dies_and_is_started_again_is_not_verified(host: &Host) {
    let script = "if [ -e /ran ]; then sleep 1; exit 3; fi; echo > /ran; exec sleep 1000";
    host.docker.run("loops", &["--stop-signal", "KILL", "--restart", "always"], script).expect("runs");
    let (_, finding) = host.ask(ContainerVerb::Restart, "loops", 8).await;
    assert_eq!((finding.outcome, finding.exit_code), (Outcome::Unverified, Some(3)));
    assert!(finding.observed.starts_with("restarted, then exited 3 after "), "{}", finding.observed);
    assert!(finding.observed.ends_with(" s; its restart policy starts it again"), "{}", finding.observed);
}

/// It dies at once, is back after 100 ms and runs for good: a look a second sees nothing of it.
pub async fn one_that_died_between_two_looks_is_not_verified(host: &Host) {
    let script = "if [ ! -e /1 ]; then echo > /1; exec sleep 1000; fi; \
                  if [ ! -e /2 ]; then echo > /2; exit 7; fi; exec sleep 1000";
    host.docker.run("blinks", &["--stop-signal", "KILL", "--restart", "always"], script).expect("runs");
    let (_, finding) = host.ask(ContainerVerb::Restart, "blinks", 3).await;
    assert_eq!((finding.outcome, finding.exit_code), (Outcome::Unverified, Some(7)));
    assert!(finding.observed.starts_with("restarted, then exited 7 after "), "{}", finding.observed);
}

/// What it did before its restart was through is not held against it.
pub async fn a_crash_loop_can_be_restarted_for_good(host: &Host) {
    let folder = host.folder.join("mended");
    std::fs::create_dir_all(&folder).expect("a folder");
    let volume = format!("{}:/mended:ro", folder.display());
    let script = "if [ -e /mended/yes ]; then exec sleep 1000; fi; sleep 0.2; exit 1";
    host.docker.run("mended", &["--restart", "always", "--stop-signal", "KILL", "-v", &volume], script).expect("runs");
    let name = host.docker.name("mended");
    let restarts = || host.docker.docker(&["inspect", "-f", "{{.RestartCount}}", &name]).expect("inspects");
    until(|| restarts() != "0").await;
    std::fs::write(folder.join("yes"), "").expect("writes");
    let (_, finding) = host.ask(ContainerVerb::Restart, "mended", 2).await;
    assert_eq!(finding.outcome, Outcome::Verified, "{}", finding.observed);
}

pub async fn one_that_becomes_healthy_is_verified(host: &Host) {
    let check = ["--health-cmd", "[ -e /healthy ]", "--health-interval", "500ms", "--health-retries", "30"];
    let options = [&check[..], &["--stop-signal", "KILL"]].concat();
    host.docker.run("healthy", &options, "sleep 1; echo > /healthy; exec sleep 1000").expect("runs");
    let (told, finding) = host.ask(ContainerVerb::Restart, "healthy", 1).await;
    assert_eq!(finding.outcome, Outcome::Verified);
    assert_eq!(finding.asked, format!("{} runs, healthy, for 1 s", host.docker.name("healthy")));
    assert!(finding.observed.starts_with("restarted; runs, healthy, for "), "{}", finding.observed);
    // Before the restart it may have become healthy for the first time.
    let steps = told.steps();
    assert_eq!(steps[steps.len().saturating_sub(3)..], ["stopped", "started", "healthy"]);
}

pub async fn one_never_healthy_is_told_with_its_probe(host: &Host) {
    let check = ["--health-cmd", "echo no model, password=hunter2; exit 1", "--health-interval", "500ms"];
    let options = [&check[..], &["--health-retries", "2", "--stop-signal", "KILL"]].concat();
    host.docker.run("sick", &options, "exec sleep 1000").expect("runs");
    let (_, finding) = host.ask(ContainerVerb::Restart, "sick", 1).await;
    assert_eq!(finding.outcome, Outcome::Unverified);
    assert_eq!(finding.observed, "restarted, runs, but is unhealthy");
    let reason = finding.reason.expect("its probe");
    assert_eq!(reason, "its health check said last (exit 1): no model, password=***");
}

pub async fn last_lines_obey_the_policy(host: &Host) {
    for (name, told) in [("open", true), ("secret", false)] {
        host.docker.run(name, &[], "echo precious; sleep 1; exit 3").expect("runs");
        let (_, result) = host.ask(ContainerVerb::Restart, name, 10).await;
        assert_eq!((result.outcome, result.exit_code), (Outcome::Unverified, Some(3)), "{result:?}");
        for words in [result.reason.expect("a reason"), host.last_lines(name).await] {
            assert_eq!((words.contains("precious"), words.contains("denies logs.read")), (told, !told), "{words}");
        }
    }
}
