//! Journals of units, by the host's own journalctl.

use crate::on_systemd::Host;
use fleetlight_agent::executor::{Request, wire};
use fleetlight_agent::tick::wall_ms;
use fleetlight_protocol::logs::{LogSource, LogsReport, LogsRequest};
use fleetlight_tests::systemd_host::SystemdHost;
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

pub fn declare(host: &SystemdHost<'_>) {
    let script = "mkfifo /run/more; for line in 1 2 3 4; do echo line $line password=hunter$line; done; cat /run/more; exec sleep infinity";
    host.write("/usr/local/bin/talks", script).expect("a script");
    let text = "[Service]\nExecStart=/bin/sh /usr/local/bin/talks\n";
    host.write("/etc/systemd/system/talks.service", text).expect("a unit");
}

pub async fn all(host: &Host<'_>) {
    host.host.sh("systemctl daemon-reload && systemctl start talks").expect("starts");
    host.until("journalctl -u talks -o cat | grep -q 'line 4'").await;
    the_last_entries_come_first_and_then_what_is_said(host).await;
    what_is_denied_is_not_read(host).await;
}

fn wish(name: &str, lines: u32, follow: bool) -> LogsRequest {
    let sources = vec![LogSource::Unit { name: name.into() }];
    let since_ms = Some(wall_ms() - 3_600_000);
    LogsRequest { sources, lines, since_ms, level: None, contains: None, follow }
}

/// Lines and problems of a reader until it has heard so much, or its sources end.
async fn heard(host: &Host<'_>, wish: LogsRequest, say: Option<&str>) -> Vec<String> {
    let mut stream = host.client.ask(&Request::Logs(Box::new(wish))).await.expect("it listens");
    let mut heard = Vec::new();
    let told = async {
        while let Some(report) = wire::read(&mut stream).await.expect("a report") {
            match report {
                LogsReport::Lines(lines) => heard.extend(lines.into_iter().map(|line| line.text)),
                LogsReport::Problem { message, .. } => heard.push(message),
                LogsReport::Dropped { .. } => panic!("nothing is dropped"),
                LogsReport::Live => {
                    let Some(text) = say else { continue };
                    host.host.sh(&format!("echo {text} > /run/more")).expect("says");
                }
            }
            if say.is_some_and(|text| heard.iter().any(|line| line == text)) {
                return;
            }
        }
    };
    timeout(SOON, told).await.expect("in time");
    heard
}

async fn the_last_entries_come_first_and_then_what_is_said(host: &Host<'_>) {
    let last = ["line 3 password=***", "line 4 password=***"];
    assert_eq!(heard(host, wish("talks.service", 2, false), None).await, last, "the last ones, though a time is given");
    let live = heard(host, wish("talks.service", 2, true), Some("one more")).await;
    assert_eq!(live, [&last[..], &["one more"]].concat(), "each once");
}

async fn what_is_denied_is_not_read(host: &Host<'_>) {
    let denied = heard(host, wish("good.service", 2, true), None).await;
    assert!(denied.len() == 1 && denied[0].contains("denies logs.read on good.service"), "{denied:?}");
}
