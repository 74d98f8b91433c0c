//! What was said of each mount, and what is new: documents and events.

use super::judge::Verdict;
use super::mountinfo::Mount;
use super::select::is_remote;
use crate::collectors::Reading;
use crate::mask;
use crate::tick::wall_ms;
use fleetlight_protocol::document::{Body, Document, MountDocument};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::limits::TEXT_CHARS;
use fleetlight_protocol::samples::{EntityKind, MountState};
use std::collections::HashMap;
use uuid::Uuid;

/// What one look saw of a mount.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    Verdict(&'a Verdict),
    /// It is there and has not answered yet.
    Silent,
}

/// What was said, by key, and what is to be said.
#[derive(Debug, Default)]
pub struct Changes {
    said: HashMap<String, Said>,
    round: u64,
    documents: Vec<Document>,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Said {
    mount: Mount,
    state: MountState,
    reason: String,
    round: u64,
}

impl Changes {
    /// Begins a look at all mounts.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// One mount of the look.
    pub fn see(&mut self, key: &str, mount: &Mount, seen: Seen<'_>) {
        let before = self.said.get_mut(key);
        let from = before.as_ref().map_or(MountState::Ok, |said| said.state);
        if let Some(said) = before {
            said.round = self.round;
            let Seen::Verdict(verdict) = seen else { return };
            if said.state == verdict.state && said.reason == verdict.reason && said.mount == *mount {
                return;
            }
        }
        let Seen::Verdict(verdict) = seen else { return };
        let said =
            Said { mount: mount.clone(), state: verdict.state, reason: verdict.reason.clone(), round: self.round };
        self.documents.push(document(key, Some(Body::Mount(body(&said)))));
        if from != verdict.state {
            self.events.push(event(key, from, verdict));
        }
        self.said.insert(key.to_owned(), said);
    }

    /// Ends a look: what it did not see is gone.
    pub fn end(&mut self) {
        let (round, documents) = (self.round, &mut self.documents);
        self.said.retain(|key, said| {
            let there = said.round == round;
            if !there {
                documents.push(document(key, None));
            }
            there
        });
    }

    /// What is to be said, and then no more.
    pub fn take(&mut self) -> Vec<Reading> {
        let mut readings = Vec::new();
        if !self.documents.is_empty() {
            readings.push(Reading::Documents(std::mem::take(&mut self.documents)));
        }
        if !self.events.is_empty() {
            readings.push(Reading::Events(std::mem::take(&mut self.events)));
        }
        readings
    }
}

fn document(key: &str, body: Option<Body>) -> Document {
    Document { kind: EntityKind::Mount, key: key.to_owned(), observed_ms: wall_ms(), body }
}

fn body(said: &Said) -> MountDocument {
    // Sources and options of FUSE file systems may carry credentials.
    let text = |text: &str| mask::cut(mask::text(text), TEXT_CHARS);
    let mount = &said.mount;
    MountDocument {
        mount_point: mount.mount_point.to_string_lossy().into_owned(),
        source: text(&mount.source),
        fs_type: mount.fs_type.clone(),
        options: text(&mount.options),
        remote: is_remote(&mount.fs_type),
        state: said.state,
        reason: text(&said.reason),
    }
}

fn event(key: &str, from: MountState, verdict: &Verdict) -> Event {
    let severity = match verdict.state {
        MountState::Ok => Severity::Info,
        MountState::Slow | MountState::Error => Severity::Warn,
        MountState::Hung | MountState::Stale => Severity::Crit,
    };
    let reason = mask::cut(mask::text(&verdict.reason), TEXT_CHARS);
    Event {
        id: Uuid::now_v7(),
        at_ms: wall_ms(),
        kind: EntityKind::Mount,
        key: key.to_owned(),
        subject: key.to_owned(),
        severity,
        fact: Fact::MountChanged { from, to: verdict.state, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::samples::MountSample;

    fn mount(source: &str) -> Mount {
        Mount {
            id: 1,
            device: "0:5".into(),
            mount_point: "/mnt".into(),
            fs_type: "fuse.davfs".into(),
            source: source.into(),
            options: "rw".into(),
        }
    }

    fn verdict(state: MountState, reason: &str) -> Verdict {
        Verdict { state, reason: reason.into(), sample: MountSample::default() }
    }

    /// One look: what it says, as states of documents (none: gone) and events.
    fn look(
        changes: &mut Changes,
        seen: &[(&Mount, Seen<'_>)],
    ) -> (Vec<Option<MountState>>, Vec<(MountState, MountState)>) {
        changes.begin();
        for (mount, seen) in seen {
            changes.see("/mnt", mount, *seen);
        }
        changes.end();
        let (mut states, mut events) = (Vec::new(), Vec::new());
        for reading in changes.take() {
            match reading {
                Reading::Documents(documents) => {
                    states.extend(documents.into_iter().map(|document| match document.body {
                        Some(Body::Mount(body)) => Some(body.state),
                        _ => None,
                    }))
                }
                Reading::Events(all) => events.extend(all.into_iter().map(|event| match event.fact {
                    Fact::MountChanged { from, to, .. } => (from, to),
                    other => panic!("{other:?}"),
                })),
                Reading::Rows { .. } => panic!("no rows here"),
            }
        }
        (states, events)
    }

    #[test]
    fn only_what_changes_is_said() {
        use MountState::{Hung, Ok};
        let (mount, mut changes) = (mount("a"), Changes::default());
        let (fine, hung) = (verdict(Ok, ""), verdict(Hung, "no answer"));
        assert_eq!(look(&mut changes, &[(&mount, Seen::Verdict(&fine))]), (vec![Some(Ok)], vec![]));
        assert_eq!(look(&mut changes, &[(&mount, Seen::Verdict(&fine))]), (vec![], vec![]));
        assert_eq!(look(&mut changes, &[(&mount, Seen::Silent)]), (vec![], vec![]), "not late yet");
        assert_eq!(look(&mut changes, &[(&mount, Seen::Verdict(&hung))]), (vec![Some(Hung)], vec![(Ok, Hung)]));
        assert_eq!(look(&mut changes, &[(&mount, Seen::Verdict(&fine))]), (vec![Some(Ok)], vec![(Hung, Ok)]));
        assert_eq!(look(&mut changes, &[]), (vec![None], vec![]), "gone");
        assert_eq!(look(&mut changes, &[]), (vec![], vec![]), "said once");
    }

    #[test]
    fn another_mount_at_the_place_is_a_new_document_and_no_event() {
        let mut changes = Changes::default();
        let fine = verdict(MountState::Ok, "");
        look(&mut changes, &[(&mount("a"), Seen::Verdict(&fine))]);
        assert_eq!(look(&mut changes, &[(&mount("b"), Seen::Verdict(&fine))]), (vec![Some(MountState::Ok)], vec![]));
    }

    #[test]
    fn a_password_in_a_source_stays_on_the_host() {
        let said = Said {
            mount: mount("https://ana:hunter2secret@dav.example/files"),
            state: MountState::Ok,
            reason: String::new(),
            round: 0,
        };
        assert!(!body(&said).source.contains("hunter2secret"), "{}", body(&said).source);
    }
}
