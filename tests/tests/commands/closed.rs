//! Whoever dies when: what a person asked for ends closed and true, and so does its row of the audit log.

use crate::life::{Host, WITHIN, died};
use fleetlight_tests::client::Client;
use fleetlight_tests::system::{AgentOptions, Options, System};
use serde_json::{Value, json};
use std::path::Path;

async fn ask(client: &Client, host: i64) -> String {
    let made = client.post(&format!("hosts/{host}/commands"), &json!({ "action": "check" })).await.expect("asked");
    made["id"].as_str().expect("an id").to_owned()
}

/// Waits until the command is closed; it and its row of the audit log must say `outcome`.
async fn closes(client: &Client, id: &str, outcome: &str, what: &str) {
    let closed = |command: &Value| (command["state"] == "finished").then(|| command["outcome"].clone());
    let found = client.wait(&format!("commands/{id}"), 2 * WITHIN, closed).await;
    assert_eq!(found.unwrap_or_else(|error| panic!("{what}: {error:#}")), outcome, "{what}");
    // Its outcome is shown as soon as the host tells it; it is closed when the host's word is stored.
    let row = |acts: &Value| {
        let closed = |act: &&Value| act["command_id"] == id && act["outcome"] != "open";
        acts.as_array()?.iter().find(closed).cloned()
    };
    let act = client.wait("audit?action=check", 2 * WITHIN, row).await.expect("a closed row");
    assert_eq!(act["outcome"], outcome, "{what}: {act}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_at_any_step_the_command_and_its_audit_row_end_closed_and_true() {
    let mut system = System::start("closed", &Options::default()).expect("controller");
    let client = system.set_up().await.expect("setup link");
    let mut host = Host::new(Path::new("/nowhere"));
    host.start(None).await;
    let config = format!("interval_ms = 1000\n{}", host.setting());
    let mut agent = system.agent("host", &AgentOptions { config, ..AgentOptions::default() }).expect("an agent");
    let host_id = client.wait("hosts", WITHIN, |hosts| hosts[0]["id"].as_i64()).await.expect("a host");
    let id = ask(&client, host_id).await;
    closes(&client, &id, "verified", "nobody dies").await;

    for (place, outcome) in
        [("command.run", "interrupted"), ("command.finish", "interrupted"), ("command.finished", "verified")]
    {
        host.start(Some(place)).await;
        let id = ask(&client, host_id).await;
        host.dies().await;
        host.start(None).await;
        closes(&client, &id, outcome, place).await;
    }
    for place in ["result.spool", "result.settle"] {
        agent.process().expect("runs").kill().expect("dies");
        agent.start_with(&[("FLEETLIGHT_KILL_POINT".into(), format!("{place}:1"))]).expect("starts");
        let id = ask(&client, host_id).await;
        died(agent.process().expect("runs")).await;
        agent.start().expect("starts");
        closes(&client, &id, "verified", place).await;
    }
    let id = ask(&client, host_id).await;
    system.controller().expect("runs").kill().expect("dies");
    system.start_controller().expect("starts");
    closes(&client, &id, "verified", "the controller").await;
}
