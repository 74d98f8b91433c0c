use super::*;
use crate::executor::commands::testing::{Folder, command, result};
use fleetlight_protocol::command::Outcome;
use fleetlight_protocol::samples::EntityKind;

/// Just now, and it may no longer begin.
fn asked() -> Asked {
    let asked_ms = wall_ms() - 1_000;
    Asked { asked_ms, until_ms: asked_ms + 500 }
}

fn ended(id: Uuid, outcome: Outcome) -> Ended {
    Ended { kind: EntityKind::Host, key: String::new(), subject: "check".into(), result: result(id, outcome) }
}

/// Opens as a start of the executor does.
fn open(folder: &Folder) -> (Journal, Vec<Orphan>) {
    let journal = Journal::new(folder.path().to_owned());
    let Opened { index, orphans } = journal.open().expect("opens");
    journal.publish(index);
    (journal, orphans)
}

fn unsettled(journal: &Journal) -> Vec<Uuid> {
    let (mut found, mut after) = (Vec::new(), 0);
    while let Some((number, id)) = journal.unsettled(after) {
        found.push(id);
        after = number;
    }
    found
}

#[test]
fn what_was_accepted_is_known_after_a_crash_and_has_no_end() {
    let folder = Folder::new();
    let (command, asked) = (command(1), asked());
    let (journal, orphans) = open(&folder);
    assert!(orphans.is_empty() && journal.look(command.id) == Ok(None));
    journal.accept(&command, asked, 2_000).expect("on disk");
    drop(journal);
    let (journal, orphans) = open(&folder);
    let orphan = orphans.first().expect("it was running");
    assert_eq!((orphan.command.id, orphan.asked, orphan.began_ms), (command.id, asked, 2_000));
    assert!(!journal.look(command.id).expect("open").expect("known").has_ended());
    assert!(unsettled(&journal).is_empty());
}

#[test]
fn a_result_is_told_until_it_is_settled_and_known_for_longer() {
    let folder = Folder::new();
    let (first, second) = (command(1), command(2));
    let (journal, _) = open(&folder);
    journal.accept(&first, asked(), 2_000).expect("on disk");
    journal.finish(asked(), ended(first.id, Outcome::Verified)).expect("on disk");
    journal.finish(asked(), ended(second.id, Outcome::Refused)).expect("never accepted, all the same");
    drop(journal);

    let (journal, orphans) = open(&folder);
    assert!(orphans.is_empty());
    assert_eq!(unsettled(&journal), [first.id, second.id], "in the order in which they came");
    assert_eq!(journal.ended(first.id), Ok(Some(ended(first.id, Outcome::Verified))));
    journal.settle(&[first.id, Uuid::nil()]).expect("noted");
    assert_eq!(unsettled(&journal), [second.id]);
    journal.settle(&[second.id]).expect("noted");
    // The next command has it on disk.
    journal.accept(&command(3), asked(), 3_000).expect("on disk");
    drop(journal);

    let (journal, _) = open(&folder);
    assert!(unsettled(&journal).is_empty());
    assert!(journal.look(first.id).expect("open").expect("known").has_ended());
}

#[test]
fn its_age_stays_and_what_it_forgets_makes_it_younger() {
    let folder = Folder::new();
    let (journal, _) = open(&folder);
    let born_ms = journal.since_ms();
    assert!((wall_ms() - born_ms).abs() < 60_000);
    drop(journal);
    let (journal, _) = open(&folder);
    assert_eq!(journal.since_ms(), born_ms);
    let just_now = Asked { asked_ms: born_ms, until_ms: born_ms };
    let long_ago = Asked { asked_ms: born_ms - 40 * 24 * 3_600_000, until_ms: 0 };
    journal.finish(long_ago, ended(command(1).id, Outcome::Verified)).expect("on disk");
    journal.settle(&[command(1).id]).expect("noted");
    journal.finish(just_now, ended(command(2).id, Outcome::Verified)).expect("on disk");
    assert_eq!(journal.look(command(1).id), Ok(None), "it was old and settled");
    assert_eq!(journal.since_ms(), born_ms, "and older than what is known at all");
}

#[test]
fn a_closed_journal_takes_nothing_and_numbers_go_on() {
    let folder = Folder::new();
    let journal = Journal::new(folder.path().join("made/here"));
    assert_eq!(journal.look(Uuid::nil()), Err(JournalError::Closed));
    assert_eq!(journal.accept(&command(1), asked(), 0), Err(JournalError::Closed));
    let Opened { index, .. } = journal.open().expect("makes its folder");
    journal.publish(index);
    journal.finish(asked(), ended(command(1).id, Outcome::Verified)).expect("on disk");
    let (told, _) = journal.unsettled(0).expect("one");
    let failed = journal.write(&mut journal.file(), |_| Err(redb::Error::Corrupted("no space".into())));
    assert!(failed.expect_err("fails").to_string().contains("no space"));
    assert_eq!(journal.look(command(1).id), Err(JournalError::Closed));
    let Opened { index, .. } = journal.open().expect("opens anew");
    journal.publish(index);
    assert_eq!(journal.unsettled(told).expect("told again").1, command(1).id);
}

#[test]
fn one_executor_at_a_time() {
    let folder = Folder::new();
    let (_journal, _) = open(&folder);
    let second = Journal::new(folder.path().to_owned()).open().expect_err("in use");
    assert!(second.to_string().contains("another executor"), "{second}");
}
