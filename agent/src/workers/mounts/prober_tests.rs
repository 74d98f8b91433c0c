//! Mounts that hang, as a gate that the test opens: none of the others must notice.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

const LONG: Duration = Duration::from_secs(20);

/// File systems of a test: those named `hung…` wait for the gate.
#[derive(Default)]
struct World {
    open: Mutex<bool>,
    opened: Condvar,
    asked: Mutex<HashMap<Vec<u8>, usize>>,
    waiting: AtomicUsize,
}

impl World {
    fn ask(&self, target: &Target) -> Result<Room, i32> {
        *self.asked.lock().expect("lock").entry(target.path.clone()).or_default() += 1;
        if target.path.starts_with(b"hung") {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            drop(self.opened.wait_while(self.open.lock().expect("lock"), |open| !*open).expect("lock"));
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        if target.path == b"bad" { Err(116) } else { Ok(Room { blocks: 7, ..Room::default() }) }
    }

    fn asked(&self, path: &str) -> usize {
        self.asked.lock().expect("lock").get(path.as_bytes()).copied().unwrap_or(0)
    }

    fn open(&self) {
        *self.open.lock().expect("lock") = true;
        self.opened.notify_all();
    }
}

type TestProber = Prober<Box<dyn Fn(&Target) -> Result<Room, i32> + Send + Sync>>;

fn prober(world: &Arc<World>) -> TestProber {
    let world = world.clone();
    Prober::new(Box::new(move |target: &Target| world.ask(target)), Duration::from_millis(20), Duration::ZERO)
}

fn question(mounts: &[(&str, bool)]) -> Question {
    let target = |(id, (path, remote)): (usize, &(&str, bool))| Target {
        id: id as u64,
        path: path.as_bytes().into(),
        remote: *remote,
    };
    Question { mounts: mounts.iter().enumerate().map(target).collect() }
}

/// Asks until `enough`; the threads need their time.
fn ask_until(prober: &mut TestProber, question: &Question, enough: impl Fn(&[Probe]) -> bool) -> Vec<Probe> {
    let deadline = Instant::now() + LONG;
    loop {
        let answer = prober.answer(question).mounts;
        if enough(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
    }
}

fn answered(probe: &Probe) -> bool {
    probe.last.is_some()
}

#[test]
fn a_hung_remote_mount_hides_no_other_and_is_asked_once() {
    let world = Arc::new(World::default());
    let mut prober = prober(&world);
    let question = question(&[("hung", true), ("good", true), ("local", false), ("bad", true)]);
    let answer =
        ask_until(&mut prober, &question, |mounts| mounts[0].out_ms.is_some() && mounts[1..].iter().all(answered));
    assert_eq!(answer[0].last, None);
    assert_eq!(answer[1].last.expect("answered").result, Ok(Room { blocks: 7, ..Room::default() }));
    assert_eq!(answer[3].last.expect("answered").result, Err(116));
    for _ in 0..3 {
        prober.answer(&question);
    }
    assert_eq!(world.asked("hung"), 1, "its first attempt is still out");
    world.open();
    let answer = ask_until(&mut prober, &question, |mounts| answered(&mounts[0]));
    assert!(answer[0].last.expect("answered").result.is_ok());
}

#[test]
fn a_hung_local_mount_costs_one_thread_and_the_others_go_on() {
    let world = Arc::new(World::default());
    let mut prober = prober(&world);
    let question = question(&[("one", false), ("hung a", false), ("two", false), ("hung b", false), ("three", false)]);
    ask_until(&mut prober, &question, |mounts| {
        [0, 2, 4].iter().all(|place| answered(&mounts[*place]))
            && [1, 3].iter().all(|place| mounts[*place].out_ms.is_some())
    });
    let before = world.asked("three");
    ask_until(&mut prober, &question, |_| world.asked("three") > before + 3);
    assert_eq!((world.asked("hung a"), world.asked("hung b")), (1, 1));
    assert_eq!(world.waiting.load(Ordering::SeqCst), 2);
    let shared = prober.shared.clone();
    let nothing = Question { mounts: Vec::new() };
    ask_until(&mut prober, &nothing, |_| shared.lock().local.threads == 2);
    world.open();
    ask_until(&mut prober, &nothing, |_| shared.lock().local.threads == 0);
    ask_until(&mut prober, &question, |mounts| mounts.iter().all(answered));
}

#[test]
fn what_is_no_longer_listed_is_forgotten_once_it_comes_back() {
    let world = Arc::new(World::default());
    let mut prober = prober(&world);
    ask_until(&mut prober, &question(&[("hung", true)]), |mounts| mounts[0].out_ms.is_some());
    // Another mount at the same place is another target, although the first is still out.
    let again = Question { mounts: vec![Target { id: 9, path: b"hung".into(), remote: true }] };
    ask_until(&mut prober, &again, |_| world.asked("hung") == 2);
    let nothing = Question { mounts: Vec::new() };
    prober.answer(&nothing);
    assert_eq!(prober.shared.lock().mounts.len(), 2, "both are out");
    world.open();
    let shared = prober.shared.clone();
    ask_until(&mut prober, &nothing, |_| shared.lock().mounts.is_empty() && shared.lock().remote.threads == 0);
}

#[test]
fn many_that_hang_take_no_thread_from_local_ones_and_the_rest_is_told_so() {
    let world = Arc::new(World::default());
    let mut prober = prober(&world);
    let names: Vec<_> = (0..PROBE_THREADS).map(|number| format!("hung {number}")).collect();
    let mut mounts: Vec<_> = names.iter().map(|name| (name.as_str(), true)).collect();
    mounts.extend([("one too many", true), ("local", false)]);
    let question = question(&mounts);
    ask_until(&mut prober, &question, |mounts| mounts[PROBE_THREADS].crowded && answered(&mounts[PROBE_THREADS + 1]));
    assert_eq!(world.asked("one too many"), 0);
    world.open();
    ask_until(&mut prober, &question, |mounts| mounts.iter().all(|probe| answered(probe) && !probe.crowded));
}

#[test]
fn more_healthy_mounts_than_threads_are_all_asked() {
    let mut prober = prober(&Arc::new(World::default()));
    let names: Vec<_> = (0..3 * PROBE_THREADS).map(|number| format!("good {number}")).collect();
    let mounts: Vec<_> = names.iter().map(|name| (name.as_str(), true)).collect();
    ask_until(&mut prober, &question(&mounts), |mounts| mounts.iter().all(answered));
}
