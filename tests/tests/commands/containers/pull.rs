//! Pull, from a registry of Debian's on loopback.

use super::host::Host;
use fleetlight_protocol::command::{ContainerVerb, Outcome};
use fleetlight_tests::docker::IMAGE;
use fleetlight_tests::system::Process;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

pub async fn pull_from_a_real_registry(host: &Host) {
    let Some((_registry, place)) = registry(&host.folder) else {
        return println!("SKIPPED: pull from a registry: apt-get install docker-registry");
    };
    super::host::until(|| TcpStream::connect(&place).is_ok()).await;
    let (image, docker) = (format!("{place}/workshop/app:1"), &host.docker);
    let id = |name: &str| docker.docker(&["image", "inspect", "-f", "{{.Id}}", name]).expect("an image");
    docker.docker(&["tag", IMAGE, &image]).expect("tags");
    docker.docker(&["push", &image]).expect("pushes");
    let old = id(&image);
    docker.docker(&["create", "--name", &docker.name("pulled"), &image, "/bin/sh"]).expect("creates");

    docker.docker(&["commit", "-m", "newer", &docker.name("pulled"), &image]).expect("commits");
    docker.docker(&["push", &image]).expect("pushes");
    let new = id(&image);
    docker.docker(&["tag", IMAGE, &image]).expect("tags back");
    docker.docker(&["rmi", &new]).expect("forgets it");

    let short = |id: &str| id[..19].to_owned();
    let (told, finding) = host.ask(ContainerVerb::Pull, "pulled", 1).await;
    assert_eq!((finding.outcome, id(&image)), (Outcome::Verified, new.clone()));
    let name = docker.name("pulled");
    let expected = format!(
        "{image} was {} and is {}; {name} goes on with {} until it is recreated",
        short(&old),
        short(&new),
        short(&old)
    );
    assert_eq!(finding.observed, expected);
    assert!(told.output().contains("Downloaded newer image"), "{}", told.output());
    let (_, finding) = host.ask(ContainerVerb::Pull, "pulled", 1).await;
    assert!(finding.observed.starts_with(&format!("{image} is still {}", short(&new))), "{}", finding.observed);

    let gone = format!("{place}/workshop/gone:1");
    docker.docker(&["tag", IMAGE, &gone]).expect("tags");
    docker.docker(&["create", "--name", &docker.name("gone"), &gone, "/bin/sh"]).expect("creates");
    let (_, finding) = host.ask(ContainerVerb::Pull, "gone", 1).await;
    assert_eq!(finding.outcome, Outcome::Failed);
    assert!(finding.reason.expect("Docker's words").contains("not found"));

    docker.docker(&["create", "--name", &docker.name("digest"), &old, "/bin/sh"]).expect("creates");
    let refused = host.refused(ContainerVerb::Pull, host.target("digest")).await;
    assert!(refused.contains("names one image for ever"), "{refused}");
}

/// From a registry that takes the connection and says nothing.
pub async fn a_pull_can_be_cancelled(host: &Host) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("binds");
    let image = format!("{}/app:1", silent.local_addr().expect("an address"));
    let asked = std::sync::Arc::new(AtomicBool::new(false));
    let is_asked = std::sync::Arc::clone(&asked);
    std::thread::spawn(move || {
        let held: Vec<_> = silent.incoming().take(1).inspect(|_| asked.store(true, Ordering::SeqCst)).collect();
        // Held open until the process ends.
        std::mem::forget((held, silent));
    });
    host.docker.docker(&["tag", IMAGE, &image]).expect("tags");
    host.docker.docker(&["create", "--name", &host.docker.name("silent"), &image, "/bin/sh"]).expect("creates");
    let finding = host.cancelled(ContainerVerb::Pull, "silent", |_| is_asked.load(Ordering::SeqCst)).await;
    assert_eq!(finding.outcome, Outcome::Cancelled);
    assert!(finding.observed.starts_with(&format!("{image} is sha256:")), "{}", finding.observed);
}

fn registry(folder: &Path) -> Option<(Process, String)> {
    let program = "/usr/bin/docker-registry";
    if !Path::new(program).exists() {
        return None;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let data = folder.join("registry");
    std::fs::create_dir_all(&data).expect("a folder");
    let config = data.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\nhttp: {{addr: {place:?}}}\n",
        data.join("data")
    );
    std::fs::write(&config, text).expect("writes");
    let mut command = Command::new(program);
    let process = Process::start(command.arg("serve").arg(&config).stdout(Stdio::null()), &data.join("log"));
    Some((process.expect("starts"), place))
}
