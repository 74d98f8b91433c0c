//! One reader's lines from all hosts that it asked, merged.
//!
//! Of each host one report is held at most, and two wait; what is beyond stays on the host, which knows what to do. A host's
//! past waits for those of the others, so that all is told by time; one that says nothing is waited for in
//! bounds. Clocks of hosts are taken as they are.

use super::message::Message;
use crate::limits::LOG_PAST_WAIT;
use fleetlight_protocol::logs::{LogLine, LogsReport};
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Told of a source that ends without a word.
const SILENT_END: &str = "its host tells no more of it: the executor there has ended; read it anew when it runs again";

/// What comes of a host; an error's words are told once for each of its sources.
pub type Report = Result<LogsReport, String>;

/// One host of a reader.
#[derive(Debug)]
pub struct HostTail {
    /// The reader's numbers of its sources.
    sources: Vec<u16>,
    reports: mpsc::Receiver<Report>,
    held: VecDeque<LogLine>,
    phase: Phase,
    has_ended: bool,
    /// By source: whether the last thing that it said is why it tells no more.
    excused: Vec<bool>,
    /// Its sources go on until they say why not.
    follows: bool,
    /// Reads from the host.
    _reading: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Past,
    /// It was silent for too long: it is told as it comes.
    Late,
    Present,
}

#[derive(Debug)]
pub struct Tail {
    hosts: Vec<HostTail>,
    /// Told before any further lines.
    ready: VecDeque<Message>,
    is_live: bool,
    has_ended: bool,
    patience: Option<Instant>,
}

impl HostTail {
    #[must_use]
    pub fn new(
        sources: Vec<u16>,
        follows: bool,
        reports: mpsc::Receiver<Report>,
        reading: Option<AbortOnDropHandle<()>>,
    ) -> Self {
        let (held, excused) = (VecDeque::new(), vec![false; sources.len()]);
        Self { sources, reports, held, phase: Phase::Past, has_ended: false, excused, follows, _reading: reading }
    }

    /// The others wait for what it says of its past.
    fn is_silent(&self) -> bool {
        self.phase == Phase::Past && self.held.is_empty() && !self.has_ended
    }

    fn has_told_its_past(&self) -> bool {
        self.phase != Phase::Past || (self.has_ended && self.held.is_empty())
    }

    /// The reader's number of a source; none for one that was not asked for.
    fn number(&self, source: u16) -> Option<u16> {
        self.sources.get(usize::from(source)).copied()
    }

    fn take(&mut self, report: Option<Report>, ready: &mut VecDeque<Message>) {
        match report {
            Some(Ok(LogsReport::Lines(lines))) => {
                lines.iter().for_each(|line| self.excuse(line.source, false));
                let numbered =
                    lines.into_iter().filter_map(|line| Some(LogLine { source: self.number(line.source)?, ..line }));
                self.held = numbered.collect();
            }
            Some(Ok(LogsReport::Dropped { source, lines })) => {
                ready.extend(self.number(source).map(|source| Message::dropped(source, lines)));
            }
            Some(Ok(LogsReport::Problem { source, message })) => {
                self.excuse(source, true);
                ready.extend(self.number(source).map(|source| Message::problem(source, &message)));
            }
            Some(Ok(LogsReport::Live)) => self.phase = Phase::Present,
            Some(Err(words)) => {
                self.excused.fill(true);
                ready.extend(self.sources.iter().map(|source| Message::problem(*source, &words)));
            }
            None => {
                self.has_ended = true;
                if self.follows {
                    // Whoever reads several hosts would take its silence for quiet.
                    let without = self.sources.iter().zip(&self.excused).filter(|(_, excused)| !**excused);
                    ready.extend(without.map(|(source, _)| Message::problem(*source, SILENT_END)));
                }
            }
        }
    }

    fn excuse(&mut self, source: u16, is_excused: bool) {
        if let Some(excused) = self.excused.get_mut(usize::from(source)) {
            *excused = is_excused;
        }
    }
}

impl Tail {
    #[must_use]
    pub fn new(hosts: Vec<HostTail>) -> Self {
        Self { hosts, ready: VecDeque::new(), is_live: false, has_ended: false, patience: None }
    }

    /// The next message; none behind the end. Dropping it while it waits loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front().or_else(|| self.merged()) {
                self.patience = None;
                return Some(message);
            }
            if !self.is_live && self.hosts.iter().all(HostTail::has_told_its_past) {
                self.is_live = true;
                self.ready.push_back(Message::live());
                continue;
            }
            if self.hosts.iter().all(|host| host.has_ended) {
                return (!std::mem::replace(&mut self.has_ended, true)).then(Message::end);
            }
            self.hear().await;
        }
    }

    /// Waits for one of the hosts, and while some hold back their past, not for too long.
    async fn hear(&mut self) {
        let some_wait = !self.is_live && self.hosts.iter().any(|host| !host.is_silent());
        self.patience = some_wait.then(|| self.patience.unwrap_or_else(|| Instant::now() + LOG_PAST_WAIT));
        let patience = self.patience;
        let waited = async {
            match patience {
                Some(patience) => sleep_until(patience).await,
                None => pending().await,
            }
        };
        let Self { hosts, ready, is_live, .. } = self;
        let heard = tokio::select! {
            () = poll_fn(|context| poll_hosts(hosts, ready, *is_live, context)) => true,
            () = waited => false,
        };
        if !heard {
            self.patience = None;
            self.hosts.iter_mut().filter(|host| host.is_silent()).for_each(|host| host.phase = Phase::Late);
        }
    }

    /// Lines that can be told now.
    fn merged(&mut self) -> Option<Message> {
        let mut lines = Vec::new();
        while self.is_live || !self.hosts.iter().any(HostTail::is_silent) {
            let oldest = self.hosts.iter_mut().filter(|host| !host.held.is_empty());
            let oldest = oldest.min_by_key(|host| host.held.front().and_then(|line| line.at_ms));
            let Some(line) = oldest.and_then(|host| host.held.pop_front()) else { break };
            lines.push(line);
        }
        (!lines.is_empty()).then(|| Message::lines(lines))
    }
}

/// Takes a report of each host that has one and holds none.
fn poll_hosts(
    hosts: &mut [HostTail],
    ready: &mut VecDeque<Message>,
    is_live: bool,
    context: &mut Context<'_>,
) -> Poll<()> {
    let mut heard = Poll::Pending;
    for host in hosts {
        let waits_for_others = !is_live && host.phase == Phase::Present;
        if host.has_ended || waits_for_others || !host.held.is_empty() {
            continue;
        }
        if let Poll::Ready(report) = host.reports.poll_recv(context) {
            host.take(report, ready);
            heard = Poll::Ready(());
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::time::Duration;

    fn line(source: u16, at_ms: i64) -> LogLine {
        LogLine { source, at_ms: Some(at_ms), level: None, text: format!("{at_ms}") }
    }

    fn hosts(count: u16) -> (Tail, Vec<mpsc::Sender<Report>>) {
        let (senders, tails) = (0..count)
            .map(|host| {
                let (sender, reports) = mpsc::channel(8);
                (sender, HostTail::new(vec![host * 10, host * 10 + 1], true, reports, None))
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        (Tail::new(tails), senders)
    }

    /// Name and, of lines, `source:text`.
    async fn told(tail: &mut Tail) -> Option<String> {
        let message = tail.next().await?;
        let data: Value = serde_json::from_str(&message.data).unwrap();
        let Some(lines) = data["lines"].as_array() else { return Some(format!("{} {}", message.name, message.data)) };
        let lines = lines.iter().map(|line| format!("{}:{}", line["source"], line["text"].as_str().unwrap()));
        Some(lines.collect::<Vec<_>>().join(" "))
    }

    #[tokio::test(start_paused = true)]
    async fn pasts_of_hosts_are_merged_by_time() {
        let (mut tail, senders) = hosts(2);
        senders[0].send(Ok(LogsReport::Lines(vec![line(0, 1), line(1, 5)]))).await.unwrap();
        senders[0].send(Ok(LogsReport::Live)).await.unwrap();
        senders[0].send(Ok(LogsReport::Lines(vec![line(0, 9)]))).await.unwrap();
        let early = tokio::time::timeout(Duration::from_secs(1), told(&mut tail)).await;
        assert!(early.is_err(), "the other's past is yet to come: {early:?}");
        senders[1].send(Ok(LogsReport::Lines(vec![line(0, 2), line(0, 7)]))).await.unwrap();
        senders[1].send(Ok(LogsReport::Live)).await.unwrap();
        assert_eq!(told(&mut tail).await.unwrap(), "0:1 10:2 1:5");
        assert_eq!(told(&mut tail).await.unwrap(), "10:7");
        assert_eq!(told(&mut tail).await.unwrap(), "live {}");
        assert_eq!(told(&mut tail).await.unwrap(), "0:9");
        let gone = LogsReport::Problem { source: 0, message: "removed".into() };
        senders[0].send(Ok(gone)).await.unwrap();
        assert_eq!(told(&mut tail).await.unwrap(), r#"problem {"message":"removed","source":0}"#);
        drop(senders);
        for source in [1, 10, 11] {
            let expected = format!(r#"problem {{"message":"{SILENT_END}","source":{source}}}"#);
            assert_eq!(told(&mut tail).await.unwrap(), expected, "who has said why is not told of again");
        }
        assert_eq!(told(&mut tail).await.unwrap(), "end {}");
        assert_eq!(told(&mut tail).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_or_lost_host_holds_nobody_up() {
        let (mut tail, senders) = hosts(3);
        senders[0].send(Ok(LogsReport::Lines(vec![line(0, 1)]))).await.unwrap();
        senders[0].send(Ok(LogsReport::Live)).await.unwrap();
        senders[1].send(Err("it is gone".into())).await.unwrap();
        let mut lost = senders.into_iter();
        let (first, _, silent) = (lost.next().unwrap(), lost.next(), lost.next().unwrap());
        assert_eq!(told(&mut tail).await.unwrap(), r#"problem {"message":"it is gone","source":10}"#);
        assert_eq!(told(&mut tail).await.unwrap(), r#"problem {"message":"it is gone","source":11}"#);
        let began = Instant::now();
        assert_eq!(told(&mut tail).await.unwrap(), "0:1");
        assert_eq!(began.elapsed(), LOG_PAST_WAIT);
        assert_eq!(told(&mut tail).await.unwrap(), "live {}");
        silent.send(Ok(LogsReport::Dropped { source: 1, lines: 3 })).await.unwrap();
        assert_eq!(told(&mut tail).await.unwrap(), r#"dropped {"lines":3,"source":21}"#);
        silent.send(Ok(LogsReport::Dropped { source: 2, lines: 3 })).await.unwrap();
        silent.send(Ok(LogsReport::Lines(vec![line(2, 1), line(1, 2)]))).await.unwrap();
        assert_eq!(told(&mut tail).await.unwrap(), "21:2", "what was not asked for is not told");
        drop((first, silent));
        while tail.hosts.iter().any(|host| !host.has_ended) || !tail.ready.is_empty() {
            assert!(told(&mut tail).await.unwrap().contains("tells no more"));
        }
        assert_eq!(told(&mut tail).await.unwrap(), "end {}");
    }
}
