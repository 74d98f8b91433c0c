//! The host's document against this machine, and which starts report a boot.

use super::*;
use std::path::PathBuf;
use tokio::sync::mpsc;

fn config() -> (Arc<AgentConfig>, PathBuf) {
    let state_dir = std::env::temp_dir().join(format!("fleetlight-identity-{}", Uuid::now_v7()));
    fs::create_dir_all(&state_dir).expect("temp folder is writable");
    (Arc::new(AgentConfig { state_dir: state_dir.clone(), ..AgentConfig::default() }), state_dir)
}

/// What an agent that starts with this state says, by kind: events, then documents.
async fn start(config: &Arc<AgentConfig>) -> (Vec<Event>, Vec<Document>) {
    let (outbox, mut inbox) = mpsc::channel(8);
    let mut identity = Identity::new(config.clone());
    for _ in 0..2 {
        identity.look(&outbox).await.expect("somebody listens");
    }
    drop(outbox);
    let (mut events, mut documents) = (Vec::new(), Vec::new());
    while let Some(reading) = inbox.recv().await {
        match reading {
            Reading::Events(more) => events.extend(more),
            Reading::Documents(more) => documents.extend(more),
            Reading::Rows { .. } => panic!("identity has no rows"),
        }
    }
    (events, documents)
}

#[tokio::test]
async fn a_boot_is_reported_once() {
    let (config, state_dir) = config();
    let current = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux has it");
    let (events, _) = start(&config).await;
    assert_eq!(events, [], "a first start knows of no boot");
    assert_eq!(fs::read_to_string(state_dir.join("boot_id")).expect("kept"), current);

    fs::write(state_dir.join("boot_id"), "another\n").expect("writes");
    let (events, documents) = start(&config).await;
    assert_eq!(events.len(), 1, "{events:?}");
    let Some(Body::Host(document)) = &documents[0].body else { panic!("no document: {documents:?}") };
    assert_eq!(events[0].fact, Fact::HostBooted { boot_time_ms: document.boot_time_ms });
    assert_eq!(events[0].at_ms, document.boot_time_ms);

    assert_eq!(start(&config).await.0, [], "the same boot is not reported again");
    fs::remove_dir_all(state_dir).expect("removes");
}

#[tokio::test]
async fn the_document_is_sent_once_while_nothing_changes() {
    let (config, state_dir) = config();
    let (_, documents) = start(&config).await;
    assert_eq!(documents.len(), 1);
    let Some(Body::Host(document)) = &documents[0].body else { panic!("no document: {documents:?}") };
    let usable = std::thread::available_parallelism().expect("Linux says").get();
    assert!(document.cpu_count as usize >= usable, "{} of {usable}", document.cpu_count);
    assert!(document.memory_total_bytes > 0 && document.boot_time_ms > 0);
    assert!(document.kernel.is_some() && document.os.is_some() && document.virtualization.is_some());
    fs::remove_dir_all(state_dir).expect("removes");
}

#[test]
fn the_boot_time_does_not_follow_the_clock() {
    let (config, state_dir) = config();
    let first = read(&config, None);
    let moved = HostDocument { boot_time_ms: first.boot_time_ms - 1_000, ..first.clone() };
    assert_eq!(read(&config, Some(&moved)).boot_time_ms, moved.boot_time_ms);
    let other_boot = HostDocument { boot_id: "another".into(), ..moved };
    assert_eq!(read(&config, Some(&other_boot)).boot_time_ms, first.boot_time_ms);
    fs::remove_dir_all(state_dir).expect("removes");
}

#[test]
fn odd_files_give_zero_rather_than_a_guess() {
    assert_eq!(boot_time_ms("cpu 1 2 3\n"), 0);
    assert_eq!(boot_time_ms("btime 9223372036854775807\n"), 0);
    assert_eq!(cpu_count("cpu  1 2\ncpu0 1\ncpu12 1\ncpufreq 3\n"), 2);
}
