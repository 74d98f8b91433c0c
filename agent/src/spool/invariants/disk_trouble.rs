//! A disk that refuses or hangs stops nothing.

use super::{BOUNDS, open, sent, turn};
use crate::limits::SPOOL_OPEN_WAIT;
use crate::spool::memory_tests::{events, samples};
use crate::spool::sim_disk::{Faults, SimDisk};
use crate::spool::{Bounds, Next, Place, Spool, disk};
use fleetlight_protocol::uplink::Class;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

#[test]
fn a_disk_that_refuses_stops_nothing_and_is_used_again() {
    let refusals: [fn(&SimDisk); 3] = [
        |disk| disk.set(Faults { refuses: true, ..Faults::default() }),
        |disk| disk.set(Faults { room: Some(disk.bytes() + 100), ..Faults::default() }),
        |disk| disk.remove_all(),
    ];
    for (way, refuse) in refusals.into_iter().enumerate() {
        let disk = SimDisk::default();
        let spool = open(&disk);
        (0..4).for_each(|tick| spool.push(samples(tick)));
        refuse(&disk);
        let (mut now, mut said) = (Instant::now(), false);
        for tick in 0..10 {
            spool.push(if tick % 3 == 0 { events() } else { samples(tick) });
            now += crate::limits::SPOOL_SYNC_EVERY;
            turn(&spool, now);
            said |= spool.trouble().borrow().is_some();
        }
        assert!(said, "way {way}: it says so");
        assert_eq!(*spool.head().borrow(), 15, "way {way}: all is offered");
        assert_eq!(sent(&spool).len(), 14, "way {way}");
        disk.set(Faults::default());
        turn(&spool, now + crate::limits::SPOOL_RETRY * 2);
        assert_eq!(*spool.trouble().borrow(), None, "way {way}");
        assert_eq!(sent(&open(&disk)).len(), 14, "way {way}: all of it is on disk now");
    }
}

#[tokio::test]
async fn a_disk_that_hangs_stops_nothing() {
    let disk = SimDisk::default();
    let (spool, _thread) =
        Spool::open(Arc::new(Hanging(disk, "create", Arc::default())), BOUNDS, "alpha").await.expect("threads");
    let began = Instant::now();
    spool.push(samples(0));
    while spool.trouble().borrow().is_none() {
        assert!(began.elapsed() < crate::limits::SPOOL_STUCK * 10);
        spool.push(samples(1));
        std::thread::yield_now();
    }
    assert!(*spool.head().borrow() > 1, "offered from memory");
}

#[tokio::test]
async fn a_disk_that_hangs_while_room_is_made_stops_nothing() {
    let disk = Arc::new(Hanging(SimDisk::default(), "remove", Arc::default()));
    let bounds = Bounds { disk_bytes: 4_000, segment_bytes: 1_000, ..BOUNDS };
    let (spool, _thread) = Spool::open(disk, bounds, "alpha").await.expect("threads");
    let (said, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while spool.trouble().borrow().is_none() {
            spool.push(samples(0));
            std::thread::yield_now();
        }
        spool.push(samples(1));
        let _ = said.send(());
    });
    assert_eq!(told.recv_timeout(crate::limits::SPOOL_STUCK * 10), Ok(()), "batches go on from memory");
}

#[test]
fn a_disk_that_hangs_at_the_start_stops_nothing_and_what_it_holds_is_taken_in_once_it_was_read() {
    let disk = SimDisk::default();
    let before = open(&disk);
    (0..5).for_each(|tick| before.push(samples(tick)));
    let gate = Arc::<Gate>::default();
    let hanging = Arc::new(Hanging(disk.clone(), "list", Arc::clone(&gate)));
    let runtime = |paused| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(paused).build().expect("a runtime")
    };
    let opening = async {
        let began = tokio::time::Instant::now();
        let opened = Spool::open(hanging, BOUNDS, "alpha").await.expect("threads");
        assert!(began.elapsed() < SPOOL_OPEN_WAIT * 2);
        opened
    };
    let (spool, thread) = runtime(true).block_on(opening);
    assert!(spool.trouble().borrow().as_ref().is_some_and(|why| why.contains("does its disk hang?")));
    spool.push(samples(5));
    assert_eq!(*spool.head().borrow(), 2, "offered from memory");
    assert_eq!(sent(&spool).into_keys().collect::<Vec<_>>(), [(spool.epoch(), 1)]);

    gate.open();
    let late = async { tokio::time::timeout(SPOOL_OPEN_WAIT * 2, spool.found_late()).await };
    assert_eq!(runtime(false).block_on(late), Ok(()));
    assert_eq!(spool.held_epochs(), [before.epoch(), spool.epoch()]);
    assert_eq!(sent(&spool).len(), 6);
    let began = Instant::now();
    while spool.trouble().borrow().is_some() {
        assert!(began.elapsed() < SPOOL_OPEN_WAIT * 2, "the disk is used again");
        std::thread::yield_now();
    }
    runtime(false).block_on(thread.stop());
    let again = async { Spool::open(Arc::new(disk.clone()), BOUNDS, "alpha").await.expect("threads").0 };
    assert_eq!(sent(&runtime(false).block_on(again)).len(), 6);
}

/// Holds calls up until it is opened.
#[derive(Debug, Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().expect("sound") = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().expect("sound"), |open| !*open).expect("sound"));
    }
}

/// Does not come back from listing, or from making or removing a segment, while its gate is closed.
#[derive(Debug)]
struct Hanging(SimDisk, &'static str, Arc<Gate>);

impl Hanging {
    fn call(&self, call: &str, name: &str) {
        if self.1 == call && name.ends_with(".seg") {
            self.2.pass();
        }
    }
}

impl disk::Disk for Hanging {
    fn lock(&self) -> io::Result<()> {
        disk::Disk::lock(&self.0)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.call("list", ".seg");
        self.0.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn disk::DiskFile>> {
        self.call("create", name);
        self.0.create(name)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.read(name, offset, length)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.0.truncate(name, length)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call("remove", name);
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_is_not_lost() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    (0..30).for_each(|tick| spool.push(samples(tick)));
    spool.push(events());
    let again = open(&disk);
    disk.set(Faults { refuses: true, ..Faults::default() });
    assert_eq!(sent(&again).len(), 0);
    disk.set(Faults::default());
    assert_eq!((sent(&again).len(), again.evicted_batches()), (31, 0), "the next reader finds them");
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_back_to_what_it_could_not_read() {
    let disk = SimDisk::default();
    let spool = open(&disk);
    (0..30).for_each(|tick| spool.push(samples(tick)));
    let again = open(&disk);
    let mut reader = again.reader(Class::Replay, Place::FIRST, Place::END);
    disk.set(Faults { refuses: true, ..Faults::default() });
    assert_eq!(reader.next().await, Next::Nothing);
    let wait = reader.again_at().expect("it will") - tokio::time::Instant::now();
    assert!(wait <= crate::limits::SPOOL_RETRY && !wait.is_zero(), "{wait:?}");
    disk.set(Faults::default());
    assert_eq!(reader.next().await, Next::Nothing, "not yet");
    reader.again();
    let mut found = Vec::new();
    while let Next::Batch(batch) = reader.next().await {
        found.push(batch.seq);
    }
    assert_eq!((found, reader.again_at()), ((1..=30).collect(), None));
}
