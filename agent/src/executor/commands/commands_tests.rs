use super::testing::{Folder, command, of};
use super::*;
use crate::config::AgentConfig;
use crate::executor::actions::{Finding, Task};
use crate::executor::message::Ended;
use fleetlight_protocol::command::{
    CommandReport, CommandResult, ContainerTarget, ContainerVerb, Outcome, OutputStream,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const LEFT_MS: i64 = 60_000;

/// An executor without Docker, on a folder.
struct Host {
    executor: Arc<Executor>,
    stop: CancellationToken,
}

impl Host {
    async fn start(folder: &Folder) -> Self {
        let config = AgentConfig {
            executor_state_dir: folder.path().to_owned(),
            policy_file: folder.path().join("policy.toml"),
            docker_socket: folder.path().join("no-docker"),
            ..AgentConfig::default()
        };
        let (executor, stop) = (Arc::new(Executor::new(config)), CancellationToken::new());
        executor.commands().start(&executor, &stop).await;
        Self { executor, stop }
    }

    /// As a crash: nothing that runs comes to its end, and the journal's file is let go.
    async fn crash(self) {
        self.stop.cancel();
        self.executor.commands().journal.abandon();
    }

    fn ask(&self, script: Script, command: &Command, left_ms: i64) -> Answer {
        self.executor.commands().run_by(script, &self.executor, command.clone(), left_ms)
    }

    async fn result(&self, script: Script, command: &Command, left_ms: i64) -> CommandResult {
        match self.ask(script, command, left_ms) {
            Answer::Attached(attached) => finished(attached).await,
            Answer::Ended => self.known(command.id).await.expect("ended").result,
            Answer::Unavailable(words) => panic!("{words}"),
        }
    }

    async fn known(&self, id: Uuid) -> Option<Ended> {
        let journal = &self.executor.commands().journal;
        journal.on_thread(move |journal| journal.ended(id)).await.expect("open")
    }
}

async fn last(mut attached: Attached) -> CommandReport {
    let ended = timeout(Duration::from_secs(10), attached.end.wait_for(Option::is_some)).await;
    let report = ended.expect("in time").expect("it ends").clone().expect("an end");
    (*report).clone()
}

async fn finished(attached: Attached) -> CommandResult {
    match last(attached).await {
        CommandReport::Finished(result) => *result,
        other => panic!("{other:?}"),
    }
}

type Run = Box<dyn FnOnce(Task) -> Pin<Box<dyn Future<Output = Finding> + Send>> + Send>;

/// An action as a test wants it.
struct Script {
    prepare: Result<(), Refused>,
    prepared: Arc<Notify>,
    run: std::sync::Mutex<Option<Run>>,
}

impl Script {
    fn new<F: Future<Output = Finding> + Send + 'static>(run: impl FnOnce(Task) -> F + Send + 'static) -> Self {
        let run: Run = Box::new(|task| Box::pin(run(task)));
        let prepared = Arc::new(Notify::new());
        prepared.notify_one();
        Self { prepare: Ok(()), prepared, run: Some(run).into() }
    }

    fn refuse(reason: &str) -> Self {
        Self { prepare: Err(Refused::new(reason)), ..Self::new(|_| async { unreachable!("refused") }) }
    }

    fn done() -> Self {
        Self::new(|_| async { verified() })
    }

    /// Runs until it is released.
    fn held(release: &Arc<Notify>) -> Self {
        let release = Arc::clone(release);
        Self::new(move |_| async move {
            release.notified().await;
            verified()
        })
    }

    fn never() -> Self {
        Self::new(|_| async { panic!("it must not run") })
    }
}

impl Doing for Script {
    type Prepared = Run;

    async fn prepare(&self, _: &Life) -> Result<Run, Refused> {
        self.prepared.notified().await;
        self.prepare.clone()?;
        Ok(self.run.lock().expect("sound").take().expect("once"))
    }

    async fn run(prepared: Run, task: &Task) -> Finding {
        prepared(task.clone()).await
    }
}

fn verified() -> Finding {
    Finding {
        outcome: Outcome::Verified,
        asked: "it runs".into(),
        observed: "it runs".into(),
        reason: None,
        exit_code: None,
    }
}

fn restart(number: u128, name: &str) -> Command {
    let container = ContainerTarget { id: "5a".repeat(32), name: name.into(), image: "web:1".into() };
    of(number, Action::Container { verb: ContainerVerb::Restart, container, stable_seconds: 0 })
}

#[tokio::test]
async fn a_hundred_askers_of_one_command_get_one_run_and_its_result() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let (runs, release, asked) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()), command(1));
    let counted = || {
        let (runs, release) = (Arc::clone(&runs), Arc::clone(&release));
        Script::new(move |task| async move {
            runs.fetch_add(1, Ordering::Relaxed);
            task.report.step("begun");
            release.notified().await;
            verified()
        })
    };
    let answers: Vec<_> = (0..100).map(|_| host.ask(counted(), &asked, LEFT_MS)).collect();
    release.notify_one();
    for answer in answers {
        let Answer::Attached(attached) = answer else { panic!("{answer:?}") };
        assert_eq!(finished(attached).await.outcome, Outcome::Verified);
    }
    // Asked again it is known, by this start and by the next.
    let first = host.result(Script::never(), &asked, LEFT_MS).await;
    host.crash().await;
    let host = Host::start(&folder).await;
    assert_eq!(host.result(Script::never(), &asked, LEFT_MS).await, first);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_must_not_begin_ends_with_its_reason_and_is_journaled() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let late = Script { prepared: Arc::default(), ..Script::never() };
    for (number, script, left_ms, outcome, words) in [
        (1, Script::never(), 0, Outcome::Expired, "deadline had passed"),
        (2, Script::never(), i64::MIN, Outcome::Interrupted, "journal is younger"),
        (3, Script::never(), i64::MAX, Outcome::Refused, "more than a day"),
        (4, Script::refuse("by rule 7"), LEFT_MS, Outcome::Refused, "by rule 7"),
        (5, late, 20, Outcome::Expired, "before it could begin"),
    ] {
        let mut asked = command(number);
        // It was asked for since the journal is there.
        asked.deadline_ms = asked.asked_ms;
        let result = host.result(script, &asked, left_ms).await;
        assert_eq!(result.outcome, outcome, "{result:?}");
        assert!(result.reason.as_ref().is_some_and(|reason| reason.contains(words)), "{result:?}");
        assert_eq!(result.began_ms, None);
        assert_eq!(host.known(asked.id).await.expect("journaled").result, result);
    }
}

#[tokio::test]
async fn of_what_was_asked_before_the_journal_was_born_nothing_is_claimed() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let mut asked = command(1);
    asked.asked_ms -= 3_600_000;
    asked.deadline_ms = asked.asked_ms + 60_000;
    let left_ms = asked.deadline_ms - crate::tick::wall_ms();
    let result = host.result(Script::never(), &asked, left_ms).await;
    assert_eq!(result.outcome, Outcome::Interrupted);
    assert_eq!(result.observed, "not known");
}

#[tokio::test]
async fn what_an_earlier_start_began_was_interrupted() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let (asked, release) = (restart(1, "web"), Arc::new(Notify::new()));
    let Answer::Attached(mut attached) = host.ask(Script::held(&release), &asked, LEFT_MS) else { panic!("taken") };
    let accepted = attached.reports.recv().await.expect("told");
    assert!(matches!(*accepted, CommandReport::Accepted { .. }));
    host.crash().await;

    let host = Host::start(&folder).await;
    let result = host.result(Script::never(), &asked, LEFT_MS).await;
    assert_eq!(result.outcome, Outcome::Interrupted);
    assert!(result.began_ms.is_some());
    let ended = host.known(asked.id).await.expect("journaled");
    assert_eq!((ended.kind, ended.subject.as_str()), (fleetlight_protocol::samples::EntityKind::Container, "web"));
}

#[tokio::test]
async fn one_command_at_a_time_has_a_subject() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let (first, release) = (restart(1, "web"), Arc::new(Notify::new()));
    let Answer::Attached(running) = host.ask(Script::held(&release), &first, LEFT_MS) else { panic!("taken") };
    let result = host.result(Script::never(), &restart(2, "web"), LEFT_MS).await;
    assert_eq!(result.outcome, Outcome::Refused);
    let reason = result.reason.expect("why");
    assert!(reason.contains("busy with command") && reason.contains(&first.id.to_string()), "{reason}");
    let other = of(3, Action::Runbook { name: "web".into(), parameters: Default::default() });
    assert_eq!(host.result(Script::done(), &other, LEFT_MS).await.outcome, Outcome::Verified);
    release.notify_one();
    assert_eq!(finished(running).await.outcome, Outcome::Verified);
    assert_eq!(host.result(Script::done(), &restart(4, "web"), LEFT_MS).await.outcome, Outcome::Verified);
}

#[tokio::test]
async fn as_many_as_the_host_takes_and_an_emergency_stop_beside_them() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let release = Arc::new(Notify::new());
    let mut running = Vec::new();
    for number in 0..COMMANDS_AT_ONCE as u128 {
        let Answer::Attached(attached) = host.ask(Script::held(&release), &command(number), LEFT_MS) else {
            panic!("taken")
        };
        running.push(attached);
    }
    let Answer::Unavailable(words) = host.ask(Script::never(), &command(100), LEFT_MS) else { panic!("too many") };
    assert!(words.contains("as many as it takes"), "{words}");
    let emergency = of(101, Action::EmergencyStop { pattern: "all".into() });
    assert_eq!(host.result(Script::done(), &emergency, LEFT_MS).await.outcome, Outcome::Verified);
    for attached in running {
        release.notify_one();
        release.notify_waiters();
        finished(attached).await;
    }
}

#[tokio::test]
async fn who_cancels_is_heard_before_it_begins_and_while_it_runs() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let commands = host.executor.commands();
    let waiting = Script { prepared: Arc::default(), ..Script::never() };
    let Answer::Attached(attached) = host.ask(waiting, &command(1), LEFT_MS) else { panic!("taken") };
    assert!(commands.cancel(command(1).id));
    let result = finished(attached).await;
    assert_eq!((result.outcome, result.began_ms), (Outcome::Cancelled, None));

    let stops = Script::new(|task| async move {
        task.cancel.cancelled().await;
        Finding { outcome: Outcome::Cancelled, ..verified() }
    });
    let Answer::Attached(mut attached) = host.ask(stops, &command(2), LEFT_MS) else { panic!("taken") };
    attached.reports.recv().await.expect("it has begun");
    assert!(commands.cancel(command(2).id));
    let result = finished(attached).await;
    assert!(result.outcome == Outcome::Cancelled && result.began_ms.is_some());
    assert!(!commands.cancel(command(2).id) && !commands.cancel(Uuid::nil()));
}

#[tokio::test]
async fn an_action_that_panics_has_failed_and_lets_its_subject_go() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let panics = Script::new(|task| async move {
        task.report.output(OutputStream::Stdout, b"so far");
        panic!("a fault")
    });
    let result = host.result(panics, &restart(1, "web"), LEFT_MS).await;
    assert_eq!((result.outcome, result.output.head.as_str()), (Outcome::Failed, "so far\n"));
    assert_eq!(host.result(Script::done(), &restart(2, "web"), LEFT_MS).await.outcome, Outcome::Verified);
}

#[tokio::test]
async fn without_a_journal_nothing_begins_but_an_emergency_stop() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("file"), "").expect("a file");
    let config = AgentConfig { executor_state_dir: folder.path().join("file/journal"), ..AgentConfig::default() };
    let executor = Arc::new(Executor::new(config));
    let run = |script, command: Command| executor.commands().run_by(script, &executor, command, LEFT_MS);
    let opened = executor.commands().journal.on_thread(Journal::open).await;
    assert!(opened.expect_err("no folder").to_string().contains("file/journal"));
    assert!(matches!(run(Script::never(), command(1)), Answer::Unavailable(_)));
    let begun = Arc::new(Notify::new());
    let emergency = of(2, Action::EmergencyStop { pattern: "all".into() });
    let script = Script::new({
        let begun = Arc::clone(&begun);
        |_| async move {
            begun.notify_one();
            verified()
        }
    });
    assert!(matches!(run(script, emergency), Answer::Attached(_)));
    timeout(Duration::from_secs(10), begun.notified()).await.expect("it runs");
}

#[test]
fn on_a_disk_that_hangs_the_policy_is_read_and_an_emergency_stop_begins() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let folder = Folder::new();
        let host = Host::start(&folder).await;
        let disk = Hung::new(&host.executor.commands().journal);
        let waiting: Vec<_> = (0..4).map(|number| host.ask(Script::never(), &command(number), LEFT_MS)).collect();
        assert!(waiting.iter().all(|answer| matches!(answer, Answer::Attached(_))));
        let begun = Arc::new(Notify::new());
        let emergency = of(9, Action::EmergencyStop { pattern: "all".into() });
        let begins = Arc::clone(&begun);
        let script = Script::new(|_| async move {
            begins.notify_one();
            verified()
        });
        let Answer::Attached(attached) = host.ask(script, &emergency, LEFT_MS) else { panic!("taken") };
        timeout(Duration::from_secs(10), begun.notified()).await.expect("it does not wait for the disk");
        let policy = policy::load(&host.executor.config().policy_file);
        timeout(Duration::from_secs(10), policy).await.expect("a thread is left").expect("a policy");
        // The others are not wanted any more.
        (0..4).for_each(|number| assert!(host.executor.commands().cancel(command(number).id)));
        drop(disk);
        assert_eq!(finished(attached).await.outcome, Outcome::Verified);
        for answer in waiting {
            let Answer::Attached(attached) = answer else { panic!("taken") };
            assert_eq!(finished(attached).await.outcome, Outcome::Cancelled);
        }
    });
}

/// The journal's disk, which hangs until this is dropped.
struct Hung(Option<std::sync::mpsc::Sender<()>>, Option<std::thread::JoinHandle<()>>);

impl Hung {
    fn new(journal: &Arc<Journal>) -> Self {
        let (hangs, heard) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let journal = Arc::clone(journal);
        let thread = std::thread::spawn(move || {
            let _held = journal.hang();
            hangs.send(()).expect("waited for");
            let _ = released.recv();
        });
        heard.recv().expect("it hangs");
        Self(Some(release), Some(thread))
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        drop(self.0.take());
        if let Some(thread) = self.1.take() {
            thread.join().expect("sound");
        }
    }
}

#[tokio::test]
async fn results_are_told_as_they_come_until_they_are_settled() {
    let folder = Folder::new();
    let host = Host::start(&folder).await;
    let journal = &host.executor.commands().journal;
    let mut newest = journal.newest.subscribe();
    host.result(Script::done(), &command(1), LEFT_MS).await;
    assert!(newest.has_changed().expect("lives"));
    newest.borrow_and_update();
    assert_eq!(journal.unsettled(0).expect("one").1, command(1).id);
    let id = command(1).id;
    journal.on_thread(move |journal| journal.settle(&[id])).await.expect("noted");
    assert_eq!(journal.unsettled(0), None);
    assert_eq!(host.result(Script::never(), &command(1), LEFT_MS).await.outcome, Outcome::Verified, "still known");
}
