//! Units: what is restarted, what fails, what is not allowed.

use crate::on_systemd::{Heard, Host};
use fleetlight_protocol::command::{Action, Outcome, UnitVerb};
use fleetlight_tests::systemd_host::SystemdHost;

pub fn declare(host: &SystemdHost<'_>) {
    let unit = |name: &str, service: &str| {
        let text = format!("[Unit]\nStartLimitIntervalSec=0\n[Service]\n{service}\n");
        host.write(&format!("/etc/systemd/system/{name}.service"), &text).expect("a unit");
    };
    unit("good", "ExecStart=/bin/sleep infinity");
    unit("other", "ExecStart=/bin/sleep infinity");
    unit("weak", "ExecStart=/bin/sh -c 'sleep 1; echo the disk is gone, password=hunter2-hunter2; exit 3'");
    unit("broken", "Type=oneshot\nExecStart=/bin/sh -c 'echo no such model; exit 7'");
    host.write(
        "/etc/systemd/system/skipped.service",
        "[Unit]\nConditionPathExists=/nowhere\n[Service]\nType=oneshot\nExecStart=/bin/true\n",
    )
    .expect("a unit");
    unit("worked", "Type=oneshot\nExecStart=/bin/true");
    unit("slow", "Type=oneshot\nExecStart=/bin/sleep 300");
    unit("masked", "ExecStart=/bin/sleep infinity");
    host.sh("cd /etc/systemd/system && ln -s good.service nice.service && rm masked.service && ln -s /dev/null masked.service")
        .expect("links");
}

pub async fn all(host: &Host<'_>) {
    one_that_runs_is_restarted_and_stays(host).await;
    an_alias_is_judged_by_its_own_name(host).await;
    one_that_dies_again_is_not_verified(host).await;
    one_that_fails_to_start_says_why(host).await;
    a_masked_one_is_named(host).await;
    one_that_works_and_ends_is_verified(host).await;
    one_that_systemd_skips_is_not_verified(host).await;
    a_job_can_be_cancelled(host).await;
    what_is_stopped_is_down(host).await;
    what_is_not_allowed_or_not_there_is_refused(host).await;
}

async fn ask(host: &Host<'_>, verb: UnitVerb, unit: &str, stable_seconds: u32) -> Heard {
    host.run(Action::Unit { verb, unit: unit.into(), stable_seconds }).await
}

async fn one_that_runs_is_restarted_and_stays(host: &Host<'_>) {
    host.host.sh("systemctl start good").expect("starts");
    let before = host.host.sh("systemctl show -P MainPID good").expect("a pid");
    let heard = ask(host, UnitVerb::Restart, "good.service", 1).await;
    assert_eq!(heard.result.outcome, Outcome::Verified, "{:?}", heard.result);
    assert_eq!(heard.result.observed, "restarted, active (running)");
    assert_eq!(heard.result.asked, "good.service is active for 1 s");
    assert_ne!(host.host.sh("systemctl show -P MainPID good").expect("a pid"), before);
}

async fn an_alias_is_judged_by_its_own_name(host: &Host<'_>) {
    let heard = ask(host, UnitVerb::Restart, "nice.service", 0).await;
    assert_eq!(heard.result.outcome, Outcome::Verified, "{:?}", heard.result);
    assert_eq!(heard.result.asked, "good.service is active");
}

async fn one_that_dies_again_is_not_verified(host: &Host<'_>) {
    let heard = ask(host, UnitVerb::Restart, "weak.service", 20).await;
    let result = heard.result;
    assert_eq!(result.outcome, Outcome::Unverified, "{result:?}");
    assert!(result.observed.starts_with("restarted, then failed: exit-code 3 after "), "{}", result.observed);
    assert!(result.output.head.contains("the disk is gone"), "its last lines: {:?}", result.output);
    assert!(!result.output.head.contains("hunter2"), "{:?}", result.output);
}

async fn one_that_fails_to_start_says_why(host: &Host<'_>) {
    let result = ask(host, UnitVerb::Restart, "broken.service", 1).await.result;
    assert_eq!(result.outcome, Outcome::Failed, "{result:?}");
    assert_eq!(result.observed, "failed: exit-code 7");
    assert!(result.output.head.contains("no such model"), "its last lines: {:?}", result.output);
}

async fn a_masked_one_is_named(host: &Host<'_>) {
    for verb in [UnitVerb::Start, UnitVerb::Restart] {
        let result = ask(host, verb, "masked.service", 0).await.result;
        assert_eq!(result.outcome, Outcome::Failed, "{result:?}");
        assert!(
            result.reason.as_ref().is_some_and(|why| why.contains("systemctl unmask masked.service")),
            "{result:?}"
        );
    }
}

async fn one_that_works_and_ends_is_verified(host: &Host<'_>) {
    let result = ask(host, UnitVerb::Start, "worked.service", 0).await.result;
    assert_eq!((result.outcome, result.observed.as_str()), (Outcome::Verified, "started, inactive (dead)"));
}

async fn one_that_systemd_skips_is_not_verified(host: &Host<'_>) {
    let result = ask(host, UnitVerb::Start, "skipped.service", 0).await.result;
    assert_eq!(result.outcome, Outcome::Unverified, "{result:?}");
    assert!(result.observed.contains("a condition of it is not met"), "{result:?}");
}

async fn a_job_can_be_cancelled(host: &Host<'_>) {
    let command = Host::command(Action::Unit { verb: UnitVerb::Start, unit: "slow.service".into(), stable_seconds: 0 });
    let id = command.id;
    let cancel = async {
        host.until("systemctl is-active slow | grep -q activating").await;
        assert!(host.client.cancel(id).await.expect("the executor answers"));
    };
    let (heard, ()) = tokio::join!(host.follow(command, |_| ()), cancel);
    assert_eq!(heard.result.outcome, Outcome::Cancelled, "{:?}", heard.result);
    host.until("! systemctl is-active slow").await;
}

async fn what_is_stopped_is_down(host: &Host<'_>) {
    let result = ask(host, UnitVerb::Stop, "good.service", 1).await.result;
    assert_eq!((result.outcome, result.observed.as_str()), (Outcome::Verified, "stopped, inactive (dead)"));
    assert_eq!(host.host.sh("systemctl is-active good || true").expect("a state"), "inactive");
}

async fn what_is_not_allowed_or_not_there_is_refused(host: &Host<'_>) {
    let megabyte = format!("{}.service", "a".repeat(1 << 16));
    for (unit, word) in [
        ("other.service", "policy.toml"),
        ("gone.service", "there is no unit gone.service"),
        ("../../etc/passwd.service", "name of"),
        ("--now.service", "name of"),
        ("good.service\0", "name of"),
        (&megabyte, ""),
    ] {
        let result = ask(host, UnitVerb::Restart, unit, 0).await.result;
        assert_eq!(result.outcome, Outcome::Refused, "{unit:.40}: {result:?}");
        assert!(result.reason.as_ref().is_some_and(|why| why.contains(word) && why.len() < 1_000), "{result:?}");
    }
    assert_eq!(host.host.sh("systemctl is-active other || true").expect("a state"), "inactive");
}
