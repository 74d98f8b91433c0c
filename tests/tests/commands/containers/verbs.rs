//! Each verb that Docker does, verified and not.

use super::host::{Host, until};
use fleetlight_protocol::command::{ContainerTarget, ContainerVerb, Outcome};
use fleetlight_tests::docker::IMAGE;

/// Ends at once when it is stopped.
const PROMPT: [&str; 2] = ["--stop-signal", "KILL"];

pub async fn a_restart_is_verified_once_it_has_held(host: &Host) {
    host.docker.run("restarted", &PROMPT, "exec sleep 1000").expect("runs");
    let (told, finding) = host.ask(ContainerVerb::Restart, "restarted", 2).await;
    assert_eq!(finding.outcome, Outcome::Verified);
    assert_eq!(finding.asked, format!("{} runs for 2 s", host.docker.name("restarted")));
    let held =
        finding.observed.strip_prefix("restarted; runs for ").and_then(|rest| rest.strip_suffix(" s, restart count 0"));
    assert!(held.is_some_and(|seconds| seconds.parse().is_ok_and(|seconds: u32| seconds >= 2)), "{}", finding.observed);
    assert_eq!(told.steps(), ["stopped", "started"]);
}

pub async fn start_and_stop_say_what_was_so_already(host: &Host) {
    host.docker.run("stopped", &[&PROMPT[..], &["--restart", "always"]].concat(), "exec sleep 1000").expect("runs");
    let (_, finding) = host.ask(ContainerVerb::Stop, "stopped", 1).await;
    assert_eq!(finding.outcome, Outcome::Verified);
    assert!(finding.observed.starts_with("stopped; exited 137, "), "{}", finding.observed);
    let (_, finding) = host.ask(ContainerVerb::Stop, "stopped", 1).await;
    assert!(finding.observed.starts_with("had already ended; exited 137, "), "{}", finding.observed);
    let (told, finding) = host.ask(ContainerVerb::Start, "stopped", 1).await;
    assert_eq!((finding.outcome, told.steps()), (Outcome::Verified, vec!["started".to_owned()]));
    let (told, finding) = host.ask(ContainerVerb::Start, "stopped", 1).await;
    assert_eq!((finding.outcome, told.steps()), (Outcome::Verified, Vec::new()));
    assert!(finding.observed.starts_with("was already running; runs for "), "{}", finding.observed);
}

pub async fn kill_ends_one_that_ignores_signals(host: &Host) {
    host.docker
        .run("killed", &["--restart", "always"], "trap '' TERM INT; while true; do sleep 1; done")
        .expect("runs");
    let (_, finding) = host.ask(ContainerVerb::Kill, "killed", 1).await;
    assert_eq!(finding.outcome, Outcome::Verified);
    assert!(finding.observed.starts_with("killed; exited 137, "), "{}", finding.observed);
}

pub async fn pause_and_unpause(host: &Host) {
    host.docker.run("paused", &PROMPT, "exec sleep 1000").expect("runs");
    let (_, finding) = host.ask(ContainerVerb::Pause, "paused", 1).await;
    assert_eq!((finding.outcome, finding.observed.as_str()), (Outcome::Verified, "paused; is paused"));
    let (_, finding) = host.ask(ContainerVerb::Start, "paused", 1).await;
    assert_eq!((finding.outcome, finding.observed.as_str()), (Outcome::Failed, "is paused"));
    assert!(finding.reason.expect("Docker's words").contains("paused"));
    let (_, finding) = host.ask(ContainerVerb::Unpause, "paused", 1).await;
    assert_eq!(finding.outcome, Outcome::Verified);
    assert!(finding.observed.starts_with("resumed; runs for "), "{}", finding.observed);
}

pub async fn remove_wants_it_stopped(host: &Host) {
    host.docker.run("removed", &PROMPT, "exec sleep 1000").expect("runs");
    let target = host.target("removed");
    let refused = host.refused(ContainerVerb::Remove, target.clone()).await;
    assert!(refused.ends_with("is not stopped: stop it first, then remove it"), "{refused}");
    host.docker.docker(&["kill", &target.name]).expect("kills");
    let (_, finding) = host.ask(ContainerVerb::Remove, "removed", 1).await;
    assert_eq!((finding.outcome, finding.observed.as_str()), (Outcome::Verified, "removed"));
    let refused = host.refused(ContainerVerb::Start, target).await;
    assert!(refused.starts_with("no container here has the id "), "{refused}");
}

/// By the name that the host gives, whatever was asked for.
pub async fn what_the_policy_denies_is_refused(host: &Host) {
    host.docker.run("spared", &PROMPT, "exec sleep 1000").expect("runs");
    let started = || {
        host.docker.docker(&["inspect", "-f", "{{.State.StartedAt}}", &host.docker.name("spared")]).expect("inspects")
    };
    let before = started();
    for verb in ContainerVerb::ALL {
        let refused = host.refused(verb, host.target("spared")).await;
        let words = format!("denies {} on {}", verb.action(), host.docker.name("spared"));
        assert!(refused.contains(&words) && refused.contains("[[deny]] number 1"), "{refused}");
    }
    assert_eq!(started(), before, "nothing was done");
}

pub async fn another_container_than_the_asker_saw_is_refused(host: &Host) {
    host.docker.run("seen", &PROMPT, "exec sleep 1000").expect("runs");
    let seen = host.target("seen");
    let image = ContainerTarget { image: "other:1".into(), ..seen.clone() };
    let refused = host.refused(ContainerVerb::Restart, image).await;
    assert!(refused.contains("its image was \"other:1\"") && refused.contains(IMAGE), "{refused}");
    host.docker.docker(&["rename", &seen.name, &host.docker.name("renamed")]).expect("renames");
    let refused = host.refused(ContainerVerb::Kill, seen.clone()).await;
    assert!(refused.contains(&format!("its name was \"{}\"", seen.name)), "{refused}");
    let escaping = ContainerTarget { id: "../../v1.40/containers/prune?x=".into(), ..seen };
    let refused = host.refused(ContainerVerb::Restart, escaping).await;
    assert!(refused.contains("Docker gives"), "{refused}");
    assert!(host.docker.docker(&["inspect", &host.docker.name("renamed")]).is_ok(), "nothing was done");
}

pub async fn a_command_that_does_not_exist_fails_in_dockers_words(host: &Host) {
    host.docker
        .docker(&["create", "--name", &host.docker.name("nothing"), IMAGE, "/no/such/program"])
        .expect("creates");
    let (_, finding) = host.ask(ContainerVerb::Start, "nothing", 1).await;
    assert_eq!(finding.outcome, Outcome::Failed);
    let reason = finding.reason.expect("Docker's words");
    assert!(reason.starts_with("Docker refused start (400): ") && reason.contains("/no/such/program"), "{reason}");
}

pub async fn a_stop_and_a_wait_can_be_cancelled(host: &Host) {
    let script = "trap 'echo asked to end' TERM; while true; do sleep 0.1; done";
    host.docker.run("stubborn", &["--stop-timeout", "60"], script).expect("runs");
    let name = host.docker.name("stubborn");
    let is_asked = |_: &_| host.docker.docker(&["logs", &name]).is_ok_and(|log| log.contains("asked to end"));
    let finding = host.cancelled(ContainerVerb::Stop, "stubborn", is_asked).await;
    assert_eq!(finding.outcome, Outcome::Cancelled);
    assert!(finding.observed.starts_with("runs for "), "{}", finding.observed);
    assert!(finding.reason.expect("says so").contains("Docker was at it"));
    host.docker.docker(&["kill", &name]).expect("kills");
    until(|| host.docker.docker(&["inspect", "-f", "{{.State.Running}}", &name]).is_ok_and(|is| is == "false")).await;

    let has_started = |told: &super::host::Told| told.steps().contains(&"started".to_owned());
    let finding = host.cancelled(ContainerVerb::Start, "stubborn", has_started).await;
    assert_eq!(finding.outcome, Outcome::Cancelled);
    assert!(finding.observed.starts_with("runs for "), "{}", finding.observed);
    assert!(finding.reason.expect("says so").contains("whether it stays so"));
}
