//! Runbooks as transient services of a real systemd.

use crate::on_systemd::{Heard, Host};
use fleetlight_protocol::command::{Action, Outcome};
use fleetlight_tests::systemd_host::SystemdHost;
use std::collections::BTreeMap;

/// A copy of 100 files; what is copied is the parameter.
const BACKUP: &str = r#"
description = "Copies all outputs"
user = "root"
steps = [["/bin/rm", "-rf", "/backup/outputs"], ["/bin/sh", "/srv/copy.sh", "{files}"]]
[parameters.files]
type = "integer"
min = 0
max = 100
[environment]
TARGET = "/backup/outputs"
SECRET = 'a "b" $HOME \ c'
[expect]
paths = [{ path = "/backup", min_files = 1, max_age_seconds = 600 }]
matches_source = { source = "/srv/outputs", destination = "/backup/outputs" }
"#;

const WHO: &str = r#"
description = "Says who and where it is, and repeats a word"
user = "nobody"
working_dir = "/srv"
steps = [["/bin/sh", "-c", "id -un; pwd; grep NoNewPrivs /proc/self/status; cat /proc/net/dev | wc -l; touch /srv/x || echo cannot write"], ["/usr/bin/printf", "<%s>", "{word}", "end"]]
[parameters.word]
type = "string"
pattern = ".*"
[sandbox]
network = false
write = ["/tmp"]
"#;

/// Its grandchildren leave its group, its session and its environment.
const LONG: &str = r#"
description = "Never ends"
user = "root"
timeout_seconds = 100
steps = [["/bin/sh", "-c", "echo begun; setsid env -i sleep 987 & setsid sleep 986 & exec sleep 985"]]
"#;

pub fn declare(host: &SystemdHost<'_>) {
    let runbook = |name: &str, text: &str| {
        host.write(&format!("/etc/fleetlight/runbooks/{name}.toml"), text).expect("a runbook");
    };
    runbook("backup", BACKUP);
    runbook("who", WHO);
    runbook("long", LONG);
    runbook("short", &LONG.replace("timeout_seconds = 100", "timeout_seconds = 1"));
    runbook(
        "loud",
        &WHO.replace("id -un;", "yes $(seq 1 300);").replace("user =", "output_max_bytes = 100000\nuser ="),
    );
    runbook("absent", "description = ''\nuser = 'root'\nsteps = [['/bin/true'], ['/usr/bin/no-such-program']]");
    runbook("forbidden", "description = ''\nuser = 'root'\nsteps = [['/bin/true']]");
    runbook("open", "description = ''\nuser = 'root'\nsteps = [['/bin/true']]");
    runbook("typo", "description = ''\nuser = 'root'\nstep = [['/bin/true']]");
    host.sh("chmod 666 /etc/fleetlight/runbooks/open.toml").expect("a mode");
    let copy = "set -e\nmkdir -p $TARGET\ntest \"$SECRET\" = 'a \"b\" $HOME \\ c'\n\
        for number in $(seq 1 $1); do cp /srv/outputs/$number $TARGET/; done\necho copied $1 files\n";
    host.write("/srv/copy.sh", copy).expect("a script");
    host.sh("chmod 1777 /srv && mkdir -p /srv/outputs /backup && for n in $(seq 1 100); do echo image $n > /srv/outputs/$n; done")
        .expect("files");
    // A file that comes while the copy runs is not asked for; these must be older than any run.
    host.sh("touch -d '1 hour ago' /srv/outputs/*").expect("ages");
}

pub async fn all(host: &Host<'_>) {
    a_backup_of_all_files_is_verified(host).await;
    one_of_ninety_nine_is_not(host).await;
    a_run_has_its_user_its_sandbox_and_literal_arguments(host).await;
    one_that_takes_too_long_is_stopped(host).await;
    one_that_prints_without_end_is_stopped(host).await;
    a_program_that_is_not_there_is_named(host).await;
    cancelling_ends_all_that_it_started(host).await;
    what_is_not_declared_or_not_believed_is_refused(host).await;
    a_killed_executor_ends_what_it_had_begun(host).await;
}

fn action(name: &str, parameters: &[(&str, &str)]) -> Action {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Action::Runbook { name: name.into(), parameters }
}

async fn run(host: &Host<'_>, name: &str, parameters: &[(&str, &str)]) -> Heard {
    host.run(action(name, parameters)).await
}

async fn a_backup_of_all_files_is_verified(host: &Host<'_>) {
    let heard = run(host, "backup", &[("files", "100")]).await;
    let result = &heard.result;
    assert_eq!((result.outcome, result.exit_code), (Outcome::Verified, Some(0)), "{result:?}");
    assert!(result.observed.contains("100 of 100 files"), "{}", result.observed);
    assert!(result.output.head.contains("copied 100 files"), "{:?}", result.output);
    // Neither the unit nor its environment stays behind.
    host.until("! systemctl list-units --all | grep -q fleetlight-run").await;
    host.host.sh("! ls /run/fleetlight-executor | grep environment").expect("the environment's file is gone");
}

async fn one_of_ninety_nine_is_not(host: &Host<'_>) {
    let result = run(host, "backup", &[("files", "99")]).await.result;
    assert_eq!((result.outcome, result.exit_code), (Outcome::Unverified, Some(0)), "{result:?}");
    assert!(result.reason.as_ref().is_some_and(|why| why.contains("99 of 100 files")), "{result:?}");
    assert!(result.reason.as_ref().is_some_and(|why| why.contains("\"100\"")), "the missing one is named: {result:?}");
}

async fn a_run_has_its_user_its_sandbox_and_literal_arguments(host: &Host<'_>) {
    for word in ["$HOME ${USER} $$ %n %% \\n \"a\" 'b' ; reboot", "{word}", "", "a  b"] {
        let result = run(host, "who", &[("word", word)]).await.result;
        assert_eq!(result.outcome, Outcome::Verified, "{result:?}");
        let output = result.output.head;
        assert!(output.starts_with("nobody\n/srv\nNoNewPrivs: 1\n"), "{output}");
        // Two lines of heading and loopback.
        assert!(output.contains("\n3\n") && output.contains("cannot write"), "{output}");
        assert!(output.contains(&format!("<{word}><end>")), "{output}");
    }
    let result = run(host, "who", &[("word", "--help")]).await.result;
    assert_eq!(result.outcome, Outcome::Refused, "{result:?}");
}

async fn one_that_takes_too_long_is_stopped(host: &Host<'_>) {
    let result = run(host, "short", &[]).await.result;
    assert_eq!((result.outcome, result.observed.as_str()), (Outcome::Failed, "stopped after 1 s"), "{result:?}");
    nothing_is_left(host).await;
}

async fn one_that_prints_without_end_is_stopped(host: &Host<'_>) {
    let result = run(host, "loud", &[("word", "x")]).await.result;
    assert_eq!(result.outcome, Outcome::Failed, "{:?}", result.observed);
    assert_eq!(result.observed, "stopped after 100000 bytes of output");
    assert!(result.output.dropped_bytes > 0 && result.output.head.starts_with("1 2 3 "));
}

async fn a_program_that_is_not_there_is_named(host: &Host<'_>) {
    let result = run(host, "absent", &[]).await.result;
    assert_eq!((result.outcome, result.exit_code), (Outcome::Failed, Some(203)), "{result:?}");
    assert!(
        result.observed.starts_with("step 2 of 2 (/usr/bin/no-such-program) ended with 203 (systemd: "),
        "{result:?}"
    );
}

async fn cancelling_ends_all_that_it_started(host: &Host<'_>) {
    let command = Host::command(action("long", &[]));
    let id = command.id;
    let cancel = async {
        host.until("pgrep -f '[s]leep 986' && pgrep -f '[s]leep 987'").await;
        // A second one meanwhile would disturb the first.
        let second = run(host, "long", &[]).await.result;
        assert!(second.reason.as_ref().is_some_and(|why| why.contains("busy with command")), "{second:?}");
        assert_eq!(second.outcome, Outcome::Refused);
        assert!(host.client.cancel(id).await.expect("the executor answers"));
    };
    let (heard, ()) = tokio::join!(host.follow(command, |_| ()), cancel);
    assert_eq!(heard.result.outcome, Outcome::Cancelled, "{:?}", heard.result);
    assert_eq!(heard.steps.first().map(String::as_str), Some("step 1 of 1: /bin/sh"));
    assert_eq!(heard.result.output.head, "begun\n");
    nothing_is_left(host).await;
}

async fn nothing_is_left(host: &Host<'_>) {
    host.host.sh("! pgrep -f '[s]leep 98[567]'").expect("nothing of it runs");
}

async fn what_is_not_declared_or_not_believed_is_refused(host: &Host<'_>) {
    for (name, word) in [
        ("nothing", "declares no runbook"),
        ("../runbooks/backup", "name of the runbook"),
        ("forbidden", "[[deny]]"),
        ("open", "can be written by others"),
        ("typo", "line 3: unknown field `step`"),
    ] {
        let result = run(host, name, &[]).await.result;
        assert_eq!(result.outcome, Outcome::Refused, "{name}: {result:?}");
        assert!(result.reason.as_ref().is_some_and(|why| why.contains(word)), "{name}: {result:?}");
    }
    let missing = host.run(Action::Runbook { name: "backup".into(), parameters: BTreeMap::new() }).await.result;
    assert!(missing.reason.as_ref().is_some_and(|why| why.contains("parameter files is missing")), "{missing:?}");
}

/// Its journal knows that the command had begun; whoever asks again hears that it was interrupted, once nothing of it runs.
async fn a_killed_executor_ends_what_it_had_begun(host: &Host<'_>) {
    let command = Host::command(action("long", &[]));
    let mut reports = host.client.run(command.clone(), 60_000).await.expect("the executor takes it");
    host.until("pgrep -f '[s]leep 986' && pgrep -f '[s]leep 987'").await;
    host.host.sh("kill -9 $(systemctl show -P MainPID fleetlight-executor)").expect("kills");
    while let Ok(Some(_)) = reports.next().await {}
    host.until("test $(systemctl show -P MainPID fleetlight-executor) != 0").await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let heard = loop {
        // It listens again a moment after its start.
        match host.client.run(command.clone(), 60_000).await {
            Ok(_) => break host.follow(command.clone(), |_| ()).await,
            Err(why) => assert!(tokio::time::Instant::now() < deadline, "{why}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert_eq!(heard.result.outcome, Outcome::Interrupted, "{:?}", heard.result);
    nothing_is_left(host).await;
}
