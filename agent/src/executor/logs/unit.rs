//! The journal of a systemd unit, by journalctl: as a child with arguments of ours, ended with its reader.

use super::journal::{self, Entry};
use super::line::Raw;
use super::{End, Source};
use crate::limits::{LOG_ENTRY_BYTES, LOG_READ_BYTES, LOG_UNITS, LOG_WORDS_BYTES};
use crate::lines::Splitter;
use crate::tick::wall_ms;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// Units that have entries of their own. `.slice` is not among them: it stands for all units within.
const ENDINGS: [&str; 9] =
    [".service", ".socket", ".timer", ".scope", ".mount", ".automount", ".path", ".target", ".swap"];

/// Longest name that systemd gives.
const NAME_BYTES: usize = 255;

/// Where in the journal to begin.
enum Begin<'a> {
    /// With so many of the last entries, and end with the present. Those that are too old are left out by whoever reads
    /// them: asked for both, journalctl gives the first entries since a time, not the last ones.
    Last(u32),
    After(&'a str),
    /// With this second.
    At(i64),
    Now,
}

pub async fn tell(name: &str, source: &mut Source) -> Result<(), End> {
    if !is_unit(name) {
        let endings = ENDINGS.join(", ");
        return Err(End::Problem(format!(
            "{name:?} is not the name of a unit with a journal, which ends in {endings}"
        )));
    }
    source.allow(name).await?;
    let executor = Arc::clone(&source.executor);
    let _place = executor.log_room().units.try_acquire().map_err(|_| {
        format!("the journals of {LOG_UNITS} units are being read on this host already: close a reader")
    })?;
    let (lines, since) = (source.wish.lines, source.wish.since_ms.map(|since| since.div_euclid(1_000)));
    let opened = wall_ms().div_euclid(1_000);
    let mut cursor = None;
    if lines > 0 {
        cursor = read(&arguments(name, &Begin::Last(lines)), source).await?;
    }
    source.outlet.present();
    if source.wish.follow {
        let begin = match &cursor {
            Some(cursor) => Begin::After(cursor),
            None if lines > 0 => Begin::At(opened.max(since.unwrap_or(opened))),
            None => Begin::Now,
        };
        read(&arguments(name, &begin), source).await?;
    }
    Ok(())
}

/// A name as systemd writes it, which neither a pattern nor an option can be.
fn is_unit(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\' | b'@');
    name.len() <= NAME_BYTES
        && !name.starts_with(['-', '.'])
        && name.bytes().all(fits)
        && ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|stem| !stem.is_empty()))
}

fn arguments(unit: &str, begin: &Begin<'_>) -> Vec<String> {
    let common = ["--output=json", "--all", "--output-fields=MESSAGE,PRIORITY", "--no-pager", "--quiet"];
    let mut arguments: Vec<String> = common.map(str::to_owned).into();
    arguments.push(format!("--unit={unit}"));
    match begin {
        Begin::Last(lines) => arguments.push(format!("--lines={lines}")),
        Begin::After(cursor) => {
            arguments.extend(["--follow".into(), "--no-tail".into(), format!("--after-cursor={cursor}")]);
        }
        Begin::At(second) => arguments.extend(["--follow".into(), "--no-tail".into(), format!("--since=@{second}")]),
        Begin::Now => arguments.extend(["--follow".into(), "--lines=0".into()]),
    }
    arguments
}

/// Tells what journalctl prints until it ends; gives the last entry's place.
async fn read(arguments: &[String], source: &mut Source) -> Result<Option<String>, End> {
    let mut command = Command::new("journalctl");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("journalctl cannot be started: {error}"))?;
    let Some(mut printed) = child.stdout.take() else { return Ok(None) };
    let (mut buffer, mut splitter, mut cursor) = (vec![0; LOG_READ_BYTES], Splitter::of(LOG_ENTRY_BYTES), None);
    loop {
        let read =
            printed.read(&mut buffer).await.map_err(|error| format!("reading from journalctl failed: {error}"))?;
        if read == 0 {
            break;
        }
        let mut lines = Vec::new();
        splitter.push(&buffer[..read], |line, _| match journal::entry(line) {
            Some(entry) => {
                lines.extend(dressed(&entry, source));
                cursor = Some(entry.cursor);
            }
            None => lines.extend(source.dresser.dress(unreadable())),
        });
        source.outlet.lines(lines).await?;
    }
    ended(child).await.map(|()| cursor)
}

fn dressed(entry: &Entry, source: &mut Source) -> Vec<fleetlight_protocol::logs::LogLine> {
    let message = entry.message.strip_suffix(b"\n").unwrap_or(&entry.message);
    let lines = message.split(|byte| *byte == b'\n');
    let raw = |bytes| Raw { at_ms: entry.at_ms, priority: entry.priority, bytes, is_cut: false };
    lines.filter_map(|line| source.dresser.dress(raw(line))).collect()
}

fn unreadable() -> Raw<'static> {
    let bytes = b"(an entry of the journal is too long to be shown; journalctl on the host has it)";
    Raw { at_ms: None, priority: None, bytes, is_cut: false }
}

async fn ended(mut child: Child) -> Result<(), End> {
    let mut words = Vec::new();
    if let Some(errors) = child.stderr.take() {
        let _ = errors.take(LOG_WORDS_BYTES as u64).read_to_end(&mut words).await;
    }
    let status = child.wait().await.map_err(|error| format!("journalctl cannot be waited for: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(End::Problem(format!("journalctl failed ({status}): {}", String::from_utf8_lossy(&words).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_units_own_name_is_a_name() {
        for good in ["nginx.service", "getty@tty1.service", "dev-sda1.swap", r"run-x\x2dy.mount", "a:b.scope"] {
            assert!(is_unit(good), "{good}");
        }
        let long = format!("{}.service", "a".repeat(255));
        let bad = [
            "",
            ".service",
            "nginx",
            "-x.service",
            "--file=/etc/shadow",
            "*.service",
            "a?.service",
            "[a].service",
            "a b.service",
            "system.slice",
            "a/../b.service",
            "a\n.service",
            "a\0.service",
            "ä.service",
            &long,
        ];
        for bad in bad {
            assert!(!is_unit(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_past_ends_and_what_follows_begins_behind_it() {
        let text = |begin| arguments("a.service", &begin)[5..].join(" ");
        assert_eq!(text(Begin::Last(100)), "--unit=a.service --lines=100");
        assert_eq!(text(Begin::After("s=1")), "--unit=a.service --follow --no-tail --after-cursor=s=1");
        assert_eq!(text(Begin::At(9)), "--unit=a.service --follow --no-tail --since=@9");
        assert_eq!(text(Begin::Now), "--unit=a.service --follow --lines=0");
    }
}
