use super::answer::{Probe, Tail, event, inspection};
use super::*;
use fleetlight_protocol::document::ContainerState;
use std::os::unix::net::UnixListener;

/// A path for a socket, removed with it.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn place() -> Place {
    Place(std::env::temp_dir().join(format!("fleetlight-{}.sock", uuid::Uuid::new_v4())))
}

async fn refused(place: &Place) -> DockerError {
    Docker::connect(&place.0).await.expect_err("is refused")
}

#[tokio::test]
async fn a_missing_socket_is_absent() {
    let place = place();
    let error = refused(&place).await;
    assert_eq!(error.state(), CollectorState::Absent);
    let words = format!("Docker is not installed or its socket {} does not exist", place.0.display());
    assert_eq!(error.to_string(), words);
}

#[tokio::test]
async fn a_socket_without_a_daemon_says_how_to_start_it() {
    let place = place();
    drop(UnixListener::bind(&place.0).expect("binds"));
    let error = refused(&place).await;
    assert_eq!(error.state(), CollectorState::Failing);
    assert!(error.to_string().contains("systemctl start docker"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_that_accepts_and_never_answers_is_stuck_within_the_deadline() {
    let place = place();
    let _listener = UnixListener::bind(&place.0).expect("binds");
    let began = tokio::time::Instant::now();
    let error = refused(&place).await;
    assert_eq!(error.state(), CollectorState::Stuck);
    assert!(began.elapsed() <= limits::DOCKER_CALL + Duration::from_millis(100), "{:?}", began.elapsed());
    assert!(error.to_string().contains("has not answered version within 5000 ms"), "{error}");
}

#[tokio::test]
async fn one_that_speaks_something_else_is_failing() {
    let place = place();
    let listener = UnixListener::bind(&place.0).expect("binds");
    let server = std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let _ = std::io::Write::write_all(&mut stream.expect("accepts"), b"SSH-2.0-OpenSSH\r\n\r\n");
        }
    });
    let error = refused(&place).await;
    assert_eq!(error.state(), CollectorState::Failing, "{error}");
    server.join().expect("ends");
}

const INSPECTED: &str = r#"{
  "Id": "0d2f38e466aad5c2d3d799ac56da702276d937b7cdaafe51a4ff5b502a727147",
  "Created": "2026-11-21T10:54:05.214673408Z", "Path": "/bin/sh", "Args": ["-c", "echo hunter2"],
  "State": {"Status": "running", "Running": true, "Paused": false, "Restarting": false, "OOMKilled": false,
    "Dead": false, "Pid": 19463, "ExitCode": 0, "Error": "", "StartedAt": "2026-11-21T10:54:05.555712094Z",
    "FinishedAt": "0001-01-01T00:00:00Z", "Health": {"Status": "starting", "FailingStreak": 1, "Log": [
      {"Start": "2026-11-21T10:54:06.5Z", "End": "2026-11-21T10:54:06.6Z", "ExitCode": 1, "Output": "no answer\n"}]}},
  "Image": "sha256:8b71ed57e74bd8627824a1d5fe4c72121f28d2b996c87c5052ef84dd6b522d95",
  "Name": "/t1", "RestartCount": 2, "Driver": "vfs", "ExecIDs": null,
  "HostConfig": {"NetworkMode": "container:abc", "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
    "Memory": 536870912, "NanoCpus": 0, "CpuPeriod": 50000, "CpuQuota": 25000},
  "Config": {"Hostname": "x", "Tty": false, "Env": ["PASSWORD=hunter2"], "Cmd": ["/bin/sh"], "Image": "fl/busybox",
    "StopTimeout": 30, "Healthcheck": {"Test": ["CMD-SHELL", "probe hunter2"], "Interval": 5000000000, "StartPeriod": 60000000000},
    "Labels": {"a": "b"}},
  "NetworkSettings": {"Ports": {"8188/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8188"}, {"HostIp": "::", "HostPort": "8188"}], "9/udp": null}}
}"#;

#[test]
fn a_recorded_inspection_is_read() {
    let found = inspection(serde_json::from_str(INSPECTED).expect("decodes")).expect("is one");
    assert_eq!((found.name.as_str(), found.image.as_str()), ("t1", "fl/busybox"));
    assert_eq!(
        (found.state, found.pid, found.health.as_deref()),
        (ContainerState::Running, Some(19_463), Some("starting"))
    );
    assert_eq!((found.exit_code, found.finished_ms), (None, None), "year 1 is never");
    assert_eq!(found.started_ms, Some(1_795_258_445_555));
    assert_eq!((found.restarts, found.restart_policy), (2, RestartPolicy::OnFailure));
    assert_eq!((found.memory_limit_bytes, found.cpu_limit), (Some(536_870_912), Some(0.5)));
    assert_eq!(found.network, Network::Shared);
    let probe = Probe { exit_code: Some(1), output: b"no answer\n".to_vec() };
    assert_eq!((found.probe.clone(), found.stop_seconds), (Some(probe), Some(30)));
    assert_eq!(found.health_verdict, Some(Duration::from_secs(60 + 4 * (5 + 30))));
    assert_eq!(found.ports, ["0.0.0.0:8188->8188/tcp", "9/udp", "[::]:8188->8188/tcp"]);
    assert!(!format!("{found:?}").contains("hunter2"), "neither environment nor arguments are kept");
}

#[test]
fn recorded_events_are_read() {
    let read = |action: &str, attributes: &str| {
        let json = format!(
            r#"{{"status":"x","id":"5001cea49bbd","from":"b","Type":"container","Action":"{action}","Actor":{{"ID":"5001cea49bbd","Attributes":{{"image":"b","name":"t1"{attributes}}}}},"scope":"local","time":1795258420,"timeNano":1795258420019441227}}"#
        );
        event(serde_json::from_str(&json).expect("decodes"))
    };
    let died = read("die", r#","exitCode":"137","token":"hunter2""#).expect("is one");
    assert_eq!(
        (died.name.as_str(), died.at_ms(), &died.change),
        ("t1", 1_795_258_420_019, &Change::Died { exit_code: Some(137) })
    );
    let change = |action, attributes| read(action, attributes).map(|event| event.change);
    assert_eq!(change("kill", r#","signal":"9""#), Some(Change::Killed { signal: Some(9) }));
    assert_eq!(change("health_status: unhealthy", ""), Some(Change::Health("unhealthy".into())));
    assert_eq!(change("rename", ""), Some(Change::Altered));
    assert_eq!(change("restart", ""), Some(Change::Restarted));
    assert_eq!(change("exec_create: /bin/sh -c check", ""), None);
}

#[test]
fn the_tail_keeps_the_last_lines_and_cuts_long_ones() {
    let mut tail = Tail::default();
    for line in 0..50 {
        tail.push(format!("line {line}\r\n\n").as_bytes());
    }
    tail.push(&b"x".repeat(100_000));
    let lines = tail.lines();
    assert_eq!(lines.len(), LAST_LINES);
    assert_eq!(lines[0], b"line 31");
    assert_eq!(lines[LAST_LINES - 1].len(), limits::LOG_LINE_BYTES);
}
