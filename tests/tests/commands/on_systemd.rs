//! Units, runbooks and journals on a host with a real systemd: one host, one case after the other.

use crate::{journals, runbooks, units};
use fleetlight_agent::executor::Client;
use fleetlight_agent::tick::wall_ms;
use fleetlight_protocol::command::{Action, Command, CommandReport, CommandResult};
use fleetlight_tests::docker::Docker;
use fleetlight_tests::systemd_host::SystemdHost;
use std::time::{Duration, Instant};
use uuid::Uuid;

const POLICY: &str = r#"
[[allow]]
actions = ["unit.*"]
names = ["good.service", "weak.service", "broken.service", "masked.service", "worked.service", "skipped.service", "slow.service", "gone.service"]

[[allow]]
actions = ["runbook.run"]
names = ["*"]

[[deny]]
actions = ["runbook.run"]
names = ["forbidden"]

[[deny]]
actions = ["logs.read"]
names = ["good.service"]
"#;

/// No case takes longer.
const WITHIN: Duration = Duration::from_secs(60);

/// A host, and the way to its executor.
pub struct Host<'a> {
    pub host: SystemdHost<'a>,
    pub client: Client,
}

/// What was heard of a command.
pub struct Heard {
    pub result: CommandResult,
    pub steps: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn units_and_runbooks_on_a_real_systemd() {
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => return println!("SKIPPED: units and runbooks on a real systemd: {why:#}"),
    };
    let host = match SystemdHost::start(&docker) {
        Ok(host) => host,
        Err(why) => return println!("SKIPPED: units and runbooks on a real systemd: {why:#}"),
    };
    units::declare(&host);
    runbooks::declare(&host);
    journals::declare(&host);
    let client = host.start_executor(POLICY).expect("the executor starts");
    let host = Host { host, client };
    journals::all(&host).await;
    units::all(&host).await;
    runbooks::all(&host).await;
    a_configuration_that_others_can_write_is_refused(&host).await;
}

/// The policy's place comes from it.
async fn a_configuration_that_others_can_write_is_refused(host: &Host<'_>) {
    let restart = "systemctl restart fleetlight-executor";
    host.host.write("/etc/fleetlight/agent.toml", "").expect("written");
    host.host.sh(&format!("chmod 666 /etc/fleetlight/agent.toml; {restart} || true")).expect("runs");
    host.until("systemctl is-failed fleetlight-executor").await;
    assert_eq!(host.host.sh("systemctl show -P ExecMainStatus fleetlight-executor").expect("a code"), "78");
    let log = host.host.sh("journalctl -u fleetlight-executor --no-pager").expect("a log");
    assert!(log.contains("cannot be trusted") && log.contains("chmod go-w /etc/fleetlight/agent.toml"), "{log}");
    let stop = host.host.sh("fleetlight-agent emergency-stop 2>&1; echo $?").expect("runs");
    assert!(stop.contains("cannot be trusted") && stop.ends_with("78"), "{stop}");
    host.host.sh(&format!("chmod 644 /etc/fleetlight/agent.toml && {restart}")).expect("starts");
}

impl Host<'_> {
    pub fn command(action: Action) -> Command {
        let now = wall_ms();
        Command { id: Uuid::now_v7(), asked_ms: now, deadline_ms: now + 60_000, by: "a test".into(), action }
    }

    pub async fn run(&self, action: Action) -> Heard {
        self.follow(Self::command(action), |_| ()).await
    }

    /// Runs a command; `hear` gets each report.
    pub async fn follow(&self, command: Command, mut hear: impl FnMut(&CommandReport)) -> Heard {
        let (name, began) = (format!("{} {:.40?}", command.action.name(), command.action.subject()), Instant::now());
        println!("{name}");
        let followed = async {
            let mut steps = Vec::new();
            let mut reports = self.client.run(command, 60_000).await.expect("the executor takes it");
            loop {
                let report = reports.next().await.expect("the executor goes on").expect("a result");
                hear(&report);
                match report {
                    CommandReport::Finished(result) => return Heard { result: *result, steps },
                    CommandReport::Step { text, .. } => steps.push(text),
                    CommandReport::Unavailable { message } => panic!("{message}"),
                    CommandReport::Accepted { .. } | CommandReport::Output { .. } => {}
                }
            }
        };
        let heard = tokio::time::timeout(WITHIN, followed).await.expect("ends");
        println!("{name}: {} after {:.1?}", heard.result.outcome, began.elapsed());
        heard
    }

    /// Waits until a script on the host succeeds.
    pub async fn until(&self, script: &str) {
        let waited = async {
            while self.host.sh(script).is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(WITHIN, waited).await.unwrap_or_else(|_| panic!("never came true: {script}"));
    }
}
