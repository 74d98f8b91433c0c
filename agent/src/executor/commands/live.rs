//! A command that the executor has in hand: what is told of it, and to whom.

use super::output::Lines;
use crate::executor::actions::Report;
use crate::limits::{COMMAND_REPORTS, COMMAND_STEPS, NAME_BYTES};
use crate::mask;
use crate::tick::wall_ms;
use fleetlight_protocol::command::{CommandReport, Output, OutputStream};
use fleetlight_protocol::limits::TEXT_CHARS;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Shared by the command's task, which tells, and the connections that listen.
#[derive(Debug)]
pub(super) struct Live {
    pub since: Instant,
    /// What no other command may act on meanwhile.
    pub subjects: Vec<String>,
    pub cancel: CancellationToken,
    told: Mutex<Told>,
    reports: broadcast::Sender<Arc<CommandReport>>,
    /// Its last report.
    end: watch::Sender<Option<Arc<CommandReport>>>,
}

/// What was told so far, within bounds.
#[derive(Debug, Default)]
struct Told {
    began_ms: Option<i64>,
    steps: Vec<(i64, String)>,
    lines: Lines,
}

/// What a listener gets: first what was told so far, then what comes, and at last the end.
#[derive(Debug)]
pub struct Attached {
    pub past: Vec<CommandReport>,
    pub reports: broadcast::Receiver<Arc<CommandReport>>,
    pub end: watch::Receiver<Option<Arc<CommandReport>>>,
}

impl Live {
    pub fn new(subjects: Vec<String>) -> Self {
        Self {
            since: Instant::now(),
            subjects,
            cancel: CancellationToken::new(),
            told: Mutex::default(),
            reports: broadcast::Sender::new(COMMAND_REPORTS),
            end: watch::Sender::default(),
        }
    }

    pub fn attach(&self) -> Attached {
        let told = self.told();
        let mut past: Vec<_> = told.began_ms.map(|began_ms| CommandReport::Accepted { began_ms }).into_iter().collect();
        past.extend(told.steps.iter().map(|(at_ms, text)| CommandReport::Step { at_ms: *at_ms, text: text.clone() }));
        let again = told.lines.again().into_iter();
        past.extend(again.map(|text| CommandReport::Output { stream: OutputStream::Stdout, text }));
        // While `told` is locked nothing is told: nothing is lost or said twice in between.
        Attached { past, reports: self.reports.subscribe(), end: self.end.subscribe() }
    }

    pub fn accepted(&self, began_ms: i64) {
        let mut told = self.told();
        told.began_ms = Some(began_ms);
        self.tell(CommandReport::Accepted { began_ms });
    }

    /// When it began, by the host's clock.
    pub fn began_ms(&self) -> Option<i64> {
        self.told().began_ms
    }

    /// The action has returned: lines without an end are shown, too.
    pub fn output_ends(&self) -> Output {
        let mut told = self.told();
        for (stream, text) in told.lines.finish() {
            self.tell(CommandReport::Output { stream, text });
        }
        told.lines.output()
    }

    /// [`CommandReport::Finished`] or [`CommandReport::Unavailable`]: nothing more comes.
    pub fn end(&self, report: CommandReport) {
        self.end.send_replace(Some(Arc::new(report)));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, report: CommandReport) {
        // Without listeners it goes nowhere.
        let _ = self.reports.send(Arc::new(report));
    }
}

impl Report for Live {
    fn step(&self, text: &str) {
        let (at_ms, text) = (wall_ms(), words(text, TEXT_CHARS));
        let mut told = self.told();
        if told.steps.len() < COMMAND_STEPS {
            told.steps.push((at_ms, text.clone()));
        }
        self.tell(CommandReport::Step { at_ms, text });
    }

    fn output(&self, stream: OutputStream, bytes: &[u8]) {
        let mut told = self.told();
        for text in told.lines.take(stream, bytes) {
            self.tell(CommandReport::Output { stream, text });
        }
    }
}

/// Text as it may leave the host: each line plain and masked, all within `limit` characters.
pub(super) fn words(text: &str, limit: usize) -> String {
    let mut within = text.floor_char_boundary(limit.saturating_mul(4));
    if within < text.len() {
        // It may end within a secret that is no longer known by its shape.
        within = text[..within].rfind(char::is_whitespace).unwrap_or(within.min(NAME_BYTES));
    }
    let plain: Vec<String> =
        text[..text.floor_char_boundary(within)].lines().map(|line| mask::plain(line.as_bytes())).collect();
    mask::cut(mask::lines(plain.iter().map(String::as_str)).join("\n"), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain_masked_and_bounded() {
        assert_eq!(words("exited\n\u{1b}[31mtoken=abc\u{1b}[0m", 100), "exited\ntoken=***");
        assert_eq!(words(&"ä ".repeat(1_000), 10).chars().count(), 10);
        let long = format!("{} password={}", "x".repeat(30), "y".repeat(1_000_000));
        assert_eq!(words(&long, 40), "x".repeat(30), "of a word that was cut nothing is shown");
    }

    #[tokio::test]
    async fn who_comes_later_hears_what_was_told_and_then_what_comes() {
        let live = Live::new(Vec::new());
        live.accepted(7);
        live.step("stopped");
        live.output(OutputStream::Stderr, b"one\ntwo");
        let Attached { past, mut reports, end } = live.attach();
        let output = |stream, text: &str| CommandReport::Output { stream, text: text.into() };
        assert_eq!(past[0], CommandReport::Accepted { began_ms: 7 });
        assert!(matches!(&past[1], CommandReport::Step { text, .. } if text == "stopped"));
        assert_eq!(past[2..], [output(OutputStream::Stdout, "one\n")]);
        assert_eq!(live.output_ends().head, "one\ntwo\n");
        assert_eq!(*reports.recv().await.expect("told"), output(OutputStream::Stderr, "two\n"));
        live.end(CommandReport::Unavailable { message: "x".into() });
        assert!(end.has_changed().expect("lives"));
    }

    #[tokio::test]
    async fn who_reads_slowly_loses_the_oldest_reports_and_not_the_end() {
        let live = Live::new(Vec::new());
        let Attached { mut reports, end, .. } = live.attach();
        for step in 0..2 * COMMAND_REPORTS {
            live.step(&step.to_string());
        }
        live.end(CommandReport::Unavailable { message: "x".into() });
        assert!(matches!(reports.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
        assert!(end.borrow().is_some());
        assert_eq!(live.attach().past.len(), COMMAND_STEPS);
    }
}
