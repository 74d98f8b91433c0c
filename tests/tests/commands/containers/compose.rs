//! Recreate and rebuild by the compose that Debian has: docker-compose 1.29.

use super::host::Host;
use fleetlight_protocol::command::{ContainerTarget, ContainerVerb, Outcome};
use fleetlight_tests::docker::IMAGE;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// One after the other, on one project.
pub async fn compose_of_a_real_project(host: &Host) {
    if !Path::new("/usr/bin/docker-compose").exists() {
        return println!("SKIPPED: recreate by compose: apt-get install docker-compose");
    }
    let folder = host.folder.join("web");
    let project = Project { host, folder: &folder };
    project.write(IMAGE, "exec sleep 1000");
    project.up("web");
    recreated(&project).await;
    rebuilt(&project).await;
    cancelled(&project).await;
    dies(&project).await;
    image_is_gone(&project).await;
    others_could_write_it(&project).await;
    elsewhere(&project).await;
}

struct Project<'a> {
    host: &'a Host,
    folder: &'a Path,
}

impl Project<'_> {
    fn write(&self, image: &str, script: &str) {
        fs::create_dir_all(self.folder).expect("a folder");
        fs::set_permissions(self.folder, Permissions::from_mode(0o755)).expect("a mode");
        let name = self.host.docker.name("web");
        let text = format!(
            "version: '3.4'\nservices:\n  app:\n    image: {image}\n    build: {{context: .}}\n    container_name: {name}\n    \
             network_mode: none\n    stop_signal: KILL\n    command: ['/bin/sh', '-c', {script:?}]\n"
        );
        fs::write(self.file(), text).expect("writes");
        fs::set_permissions(self.file(), Permissions::from_mode(0o644)).expect("a mode");
        fs::write(self.folder.join("Dockerfile"), format!("FROM {IMAGE}\nCOPY Dockerfile /made-of\n")).expect("writes");
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.join("docker-compose.yml")
    }

    /// As somebody does it by hand.
    fn up(&self, project: &str) {
        let socket = format!("unix://{}", self.host.docker.socket().display());
        let mut command = Command::new("docker-compose");
        command.current_dir(self.folder).env("DOCKER_HOST", socket);
        let output = command.args(["--project-name", project, "up", "--detach"]).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn target(&self) -> ContainerTarget {
        self.host.target("web")
    }
}

async fn recreated(project: &Project<'_>) {
    let old = project.target();
    let (told, finding) = project.host.ask(ContainerVerb::Recreate, "web", 2).await;
    let new = project.target();
    assert_eq!(finding.outcome, Outcome::Verified, "{}", told.output());
    assert_ne!(new.id, old.id);
    let ending = format!("container {} in place of {}", &new.id[..12], &old.id[..12]);
    assert!(
        finding.observed.starts_with("recreated; runs for ") && finding.observed.ends_with(&ending),
        "{}",
        finding.observed
    );
    assert!(told.output().contains("Recreating"), "{}", told.output());
    let service = project.host.docker.docker(&[
        "inspect",
        "-f",
        r#"{{index .Config.Labels "com.docker.compose.service"}}"#,
        &new.id,
    ]);
    assert_eq!(service.expect("inspects"), "app");
}

async fn rebuilt(project: &Project<'_>) {
    project.write("fleetlight/web", "exec sleep 1000");
    // The asker saw the old image's name.
    let (told, finding) = project.host.ask(ContainerVerb::Rebuild, "web", 1).await;
    assert_eq!(finding.outcome, Outcome::Verified, "{}", told.output());
    assert!(finding.observed.starts_with("rebuilt and recreated; runs for "), "{}", finding.observed);
    let made = project.host.docker.docker(&["exec", &project.host.docker.name("web"), "/bin/cat", "/made-of"]);
    assert!(made.expect("is in the new image").contains("COPY"));
}

async fn cancelled(project: &Project<'_>) {
    let before = project.target();
    fs::write(project.folder.join("Dockerfile"), format!("FROM {IMAGE}\nRUN /bin/sleep 300\n")).expect("writes");
    let builds = |told: &super::host::Told| told.output().contains("sleep 300");
    let finding = project.host.cancelled(ContainerVerb::Rebuild, "web", builds).await;
    assert_eq!(finding.outcome, Outcome::Cancelled);
    let words = format!("the container {} runs for ", &before.id[..12]);
    assert!(finding.observed.starts_with(&words), "{}", finding.observed);
    assert_eq!(project.target(), before, "it was still building");
}

async fn dies(project: &Project<'_>) {
    project.write("fleetlight/web", "echo no GPU; sleep 1; exit 5");
    let (_, finding) = project.host.ask(ContainerVerb::Recreate, "web", 8).await;
    assert_eq!((finding.outcome, finding.exit_code), (Outcome::Unverified, Some(5)));
    assert!(finding.observed.starts_with("recreated, then exited 5 after "), "{}", finding.observed);
    assert_eq!(finding.reason.as_deref(), Some("its last lines:\nno GPU"));
}

async fn image_is_gone(project: &Project<'_>) {
    // A registry on loopback that is not there: nothing leaves this machine.
    project.write("127.0.0.1:1/fleetlight/gone:1", "exec sleep 1000");
    let text = fs::read_to_string(project.file()).expect("reads");
    fs::write(project.file(), text.replace("    build: {context: .}\n", "")).expect("writes");
    let (told, finding) = project.host.ask(ContainerVerb::Recreate, "web", 1).await;
    assert_eq!(finding.outcome, Outcome::Failed, "{}", told.output());
    assert_eq!(finding.exit_code, Some(1));
    let reason = finding.reason.expect("Docker's words");
    assert!(reason.starts_with("docker-compose ended with 1: ") && reason.contains("127.0.0.1:1"), "{reason}");
    assert!(finding.observed.starts_with("the container "), "{}", finding.observed);
    project.write("fleetlight/web", "exec sleep 1000");
}

async fn others_could_write_it(project: &Project<'_>) {
    fs::set_permissions(project.file(), Permissions::from_mode(0o666)).expect("a mode");
    let refused = project.host.refused(ContainerVerb::Recreate, project.target()).await;
    assert!(refused.contains("can be written by others") && refused.contains("docker-compose.yml"), "{refused}");
    fs::set_permissions(project.file(), Permissions::from_mode(0o644)).expect("a mode");
}

/// Whoever makes a container may set its labels: they lead nowhere that the policy does not name.
async fn elsewhere(project: &Project<'_>) {
    let host = project.host;
    let other = host.folder.join("other");
    fs::create_dir_all(&other).expect("a folder");
    fs::copy(project.file(), other.join("docker-compose.yml")).expect("copies");
    for (name, folder, file, words) in [
        ("elsewhere", other.as_path(), "docker-compose.yml", "compose_folders"),
        ("outside", project.folder, "../other/docker-compose.yml", "is not in the compose project's folder"),
        ("option", project.folder, "docker-compose.yml", "is no name"),
    ] {
        let service = if name == "option" { "--file=/tmp/x" } else { "app" };
        let labels = [
            "com.docker.compose.project=web".to_owned(),
            format!("com.docker.compose.service={service}"),
            format!("com.docker.compose.project.working_dir={}", folder.display()),
            format!("com.docker.compose.project.config_files={file}"),
        ];
        let options: Vec<&str> =
            labels.iter().flat_map(|label| ["--label", label]).chain(["--stop-signal", "KILL"]).collect();
        host.docker.run(name, &options, "exec sleep 1000").expect("runs");
        let refused = host.refused(ContainerVerb::Recreate, host.target(name)).await;
        assert!(refused.contains(words), "{name}: {refused}");
    }
    host.docker.run("plain", &["--stop-signal", "KILL"], "exec sleep 1000").expect("runs");
    let refused = host.refused(ContainerVerb::Recreate, host.target("plain")).await;
    assert!(refused.contains("has no label com.docker.compose.project"), "{refused}");
}
