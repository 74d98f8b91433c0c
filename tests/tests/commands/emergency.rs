//! `fleetlight-agent emergency-stop` on a real daemon: by the executor, and without it.

use fleetlight_tests::docker::Docker;
use fleetlight_tests::sim_agent::Folder;
use fleetlight_tests::system::{Process, binary};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Exit code, and what was said.
fn stop(config: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary("fleetlight-agent").expect("built"));
    let output = command.arg("emergency-stop").args(words).arg("--config").arg(config).output().expect("starts");
    (output.status.code(), String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned())
}

#[tokio::test]
async fn it_stops_what_matches_and_nothing_else_with_and_without_the_executor() {
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(why) => return println!("SKIPPED: emergency stop: no Docker daemon: {why:#}"),
    };
    let folder = Folder::new().expect("a folder");
    let place = |name: &str| folder.path().join(name);
    let config = place("agent.toml");
    let lines = format!(
        "docker_socket = {:?}\nexecutor_socket = {:?}\nexecutor_state_dir = {:?}\npolicy_file = {:?}\n",
        docker.socket(),
        place("socket"),
        place("state"),
        place("policy.toml"),
    );
    fs::write(&config, lines).expect("written");
    let policy = format!("[emergency_stop.users]\ncontainers = [{:?}]\n", docker.name("user*"));
    fs::write(place("policy.toml"), policy).expect("written");

    docker.run("other", &[], "exec sleep 1000").expect("runs");
    docker.run("user1", &["--restart", "always"], "trap '' TERM; while true; do sleep 1; done").expect("runs");
    docker.run("user2", &["--stop-signal=KILL"], "exec sleep 1000").expect("runs");
    docker.run("user3", &[], "exec sleep 1000").expect("runs");
    docker.docker(&["pause", &docker.name("user3")]).expect("pauses");
    let running = || {
        let names = docker.docker(&["ps", "--format", "{{.Names}}"]).expect("lists");
        let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    let users = ["user1", "user2", "user3"].map(|name| docker.name(name));

    let mut command = Command::new(binary("fleetlight-agent").expect("built"));
    let mut executor =
        Process::start(command.arg("executor").arg("--config").arg(&config), &place("log")).expect("starts");
    let until = Instant::now() + Duration::from_secs(10);
    while UnixStream::connect(place("socket")).is_err() {
        assert!(Instant::now() < until && !executor.ended(), "{}", executor.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for with_executor in [true, false] {
        assert_eq!(running().len(), 4, "{:?}", running());
        let (code, said) = stop(&config, if with_executor { &[] } else { &["--pattern", "users"] });
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains("stopping without the executor"), !with_executor, "{said}");
        assert!(users.iter().all(|user| said.contains(&format!("{user} stopped"))), "{said}");
        assert!(said.contains("stopped: 3 (") && !said.contains("other"), "{said}");
        assert_eq!(running(), [docker.name("other")]);
        for user in users.iter().filter(|_| with_executor) {
            docker.docker(&["start", user]).expect("starts");
        }
        if with_executor {
            executor.kill().expect("ends");
        }
    }
    // While one takes its three seconds to end, something starts another one again, and one that matches and did not run.
    docker.run("user9", &["--stop-signal=KILL"], "exec sleep 1000").expect("runs");
    docker.docker(&["kill", &docker.name("user9")]).expect("ends");
    docker.docker(&["start", &users[0], &users[1]]).expect("starts");
    let (code, said) = std::thread::scope(|scope| {
        scope.spawn(|| {
            docker.docker(&["wait", &users[1]]).expect("ends");
            docker.docker(&["start", &users[1], &docker.name("user9")]).expect("starts");
        });
        stop(&config, &[])
    });
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("still running: 2 ({}, {})", users[1], docker.name("user9"))), "{said}");
    assert!(said.contains(&format!("stopped: 1 ({})", users[0])) && said.contains("not so: "), "{said}");

    let (code, said) = stop(&config, &["--pattern", "nobody"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("[emergency_stop.nobody]"), "{said}");
}
