//! What a unit wrote to the journal.

use crate::executor::systemd::UnitName;
use crate::limits::{JOURNAL_WAIT, UNIT_LAST_LINES, UNIT_LINES_BYTES};
use crate::mask;
use std::process::Stdio;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Last lines since `began_ms`, without control characters and secrets; none where there is no journal.
pub async fn of(unit: &UnitName, began_ms: i64) -> Vec<String> {
    // What the unit has just written may not have reached the journal's files.
    let _ = tokio::time::timeout(JOURNAL_WAIT, journalctl(&["--sync"])).await;
    let (unit, since) = (format!("--unit={unit}"), format!("--since=@{}", began_ms.div_euclid(1_000)));
    let lines = format!("--lines={UNIT_LAST_LINES}");
    let asked = ["--no-pager", "--output=cat", "--quiet", &lines, &since, &unit];
    let text = tokio::time::timeout(JOURNAL_WAIT, journalctl(&asked)).await.unwrap_or_default();
    let plain: Vec<_> = text.split(|byte| *byte == b'\n').map(mask::plain).filter(|line| !line.is_empty()).collect();
    mask::lines(plain.iter().map(String::as_str))
}

async fn journalctl(arguments: &[&str]) -> Vec<u8> {
    let spawned = Command::new("journalctl")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut child) = spawned else { return Vec::new() };
    let mut text = Vec::new();
    if let Some(output) = child.stdout.take() {
        let _ = output.take(UNIT_LINES_BYTES).read_to_end(&mut text).await;
    }
    // One that has more to say than it may would wait for a reader.
    let _ = child.start_kill();
    let _ = child.wait().await;
    text
}
