//! `fleetlight-agent disk-check`, and a file system that never answers.

use crate::mount::with_a_mount;
use fleetlight_tests::system::binary;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// What the check waits for a file system, and what a busy machine takes besides.
const WITHIN: Duration = Duration::from_secs(10);

fn check(words: &[&str]) -> Output {
    let program = binary("fleetlight-agent").expect("the agent is built");
    // Read as a script reads it: to the end of both streams.
    Command::new(program).arg("disk-check").args(words).output().expect("starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn a_full_file_system_blocks_only_if_asked_to() {
    let warned = check(&["--limit", "1", "/proc/../", "/nowhere"]);
    let words = said(&warned);
    assert!(warned.status.success(), "{words}");
    assert!(words.contains("/proc/../: ") && words.contains("limit 1 %: make room first"), "{words}");
    assert!(words.contains("/nowhere: cannot be judged: No such file"), "{words}");
    assert_eq!(check(&["--block", "--limit", "1", "/"]).status.code(), Some(1));
    assert_eq!(check(&["--block", "--limit", "0", "/"]).status.code(), Some(2), "a wrong command line");
    let unlimited = check(&["--limit", "100"]);
    assert!(said(&unlimited).contains("/: "), "all mounts: {}", said(&unlimited));
}

#[test]
fn one_that_never_answers_is_named_and_not_waited_for() {
    with_a_mount("disk_check::one_that_never_answers_is_named_and_not_waited_for", async |mount| {
        let place = mount.place.display().to_string();
        assert!(check(&["--block", &place]).status.success(), "it answers and has room");
        mount.fall_silent();
        for words in [&["--block", place.as_str()][..], &["--block"]] {
            let began = Instant::now();
            let stuck = check(words);
            assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
            assert_eq!(stuck.status.code(), Some(1), "{}", said(&stuck));
            let named = format!("{place}: cannot be judged: no answer within 5 s");
            assert!(said(&stuck).contains(&named), "{}", said(&stuck));
        }
        mount.answer_again();
    });
}
