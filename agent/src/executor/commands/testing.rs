//! What tests of commands share.

use fleetlight_protocol::command::{Action, Command, CommandResult, Outcome, Output};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::Uuid;

/// A folder of its own, removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fleetlight-commands-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn command(number: u128) -> Command {
    of(number, Action::Check)
}

pub fn of(number: u128, action: Action) -> Command {
    let asked_ms = crate::tick::wall_ms();
    Command { id: Uuid::from_u128(number), asked_ms, deadline_ms: asked_ms + 60_000, by: "ada".into(), action }
}

pub fn result(command: Uuid, outcome: Outcome) -> CommandResult {
    CommandResult {
        command,
        outcome,
        asked: "check".into(),
        observed: "it answers".into(),
        reason: None,
        began_ms: Some(1),
        ended_ms: 2,
        exit_code: None,
        output: Output::default(),
    }
}
