//! One process at a time uses a folder.

use super::{BOUNDS, open, sent, turn};
use crate::limits::SPOOL_RETRY;
use crate::spool::disk::{Disk, Folder, InUse};
use crate::spool::memory_tests::samples;
use crate::spool::sim_disk::{Faults, SimDisk};
use crate::spool::{OpenError, Spool};
use std::sync::Arc;
use std::time::Instant;

fn left_by_another() -> SimDisk {
    let disk = SimDisk::default();
    let other = open(&disk);
    (0..5).for_each(|tick| other.push(samples(tick)));
    disk.set(Faults { in_use: true, ..Faults::default() });
    disk
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_nothing_in_it_is_touched() {
    let disk = left_by_another();
    let before = (disk.names(), disk.bytes());
    let error = Spool::open(Arc::new(disk.clone()), BOUNDS, "beta").await.expect_err("it is in use");
    assert!(matches!(error, OpenError::InUse(_)) && error.to_string().contains("spool in memory"), "{error}");
    assert_eq!((disk.names(), disk.bytes()), before);
}

#[test]
fn a_folder_that_is_found_in_use_later_is_used_once_it_is_free() {
    let disk = left_by_another();
    let before = disk.bytes();
    let spool = open(&disk);
    spool.push(samples(5));
    assert!(spool.trouble().borrow().as_ref().is_some_and(|why| why.contains("another agent uses it")));
    assert_eq!((*spool.head().borrow(), disk.bytes()), (2, before), "from memory");
    disk.set(Faults::default());
    turn(&spool, Instant::now() + SPOOL_RETRY * 2);
    assert_eq!(*spool.trouble().borrow(), None);
    assert_eq!(sent(&open(&disk)).len(), 6);
}

#[test]
fn a_real_folder_is_locked_until_its_user_ends() {
    let path = std::env::temp_dir().join(format!("fleetlight-lock-{}", std::process::id()));
    let (first, second) = (Folder::new(path.clone()), Folder::new(path.clone()));
    first.lock().expect("nobody uses it");
    first.lock().expect("it is locked already");
    assert!(second.lock().is_err_and(|error| InUse::is(&error)));
    drop(first);
    second.lock().expect("free again");
    std::fs::remove_dir_all(path).expect("a folder");
}
