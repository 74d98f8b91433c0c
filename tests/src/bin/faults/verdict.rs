//! Whether Postgres holds what the agent took: each row once, with its values, and nothing else.

use crate::stored::{self, Stored};
use crate::taken::{self, Kept, Place, Taken, Values};
use anyhow::{Result, bail, ensure};
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The longest that history may take to arrive once all is well again.
const SETTLED_WITHIN: Duration = Duration::from_secs(150);

/// What may become of a host's batches other than being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Nothing: every row is there, and nothing was refused.
    Nothing,
    /// Batches that never reached its full disk are stored as well.
    NotOnDisk,
    /// Ticks that its wrong clock put far into the future are refused, and counted; some are.
    RefusedForTime,
    /// What its bound forced out is gone, and counted; some is.
    Evicted,
}

/// What was found of one host.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    pub starts: usize,
    pub ticks: usize,
    pub rows: usize,
    pub packed_rows: i64,
    pub events: usize,
    /// Batches of samples that are not there, and what was counted of such ones, by reason.
    pub missing: usize,
    pub refused: BTreeMap<String, i64>,
    /// The first few of what is wrong.
    pub faults: Vec<String>,
}

/// Waits until everything taken so far is in the ledger, then compares.
pub async fn judge(url: &str, host: &str, taken: &mut Taken, allowed: Allowed) -> Result<Verdict> {
    taken.harvest()?;
    let due: BTreeSet<(Uuid, u64)> = taken.batches.keys().copied().collect();
    settled(url, host, &due).await?;
    let mut stored = Stored::read(url, host).await?;
    taken.harvest()?;
    let mut verdict = Verdict {
        starts: taken.batches.keys().map(|(epoch, _)| epoch).collect::<BTreeSet<_>>().len(),
        packed_rows: stored.packed_rows,
        refused: std::mem::take(&mut stored.refused),
        ..Verdict::default()
    };
    // Large ones first: where a clock went back, a refused batch may hold what is a part of a stored one.
    let mut ticks: Vec<(bool, Vec<(Place, Values)>)> = Vec::new();
    for (key, kept) in &taken.batches {
        match kept {
            Kept::Samples(at_ms, rows) => ticks.push((due.contains(key), taken::rows(*at_ms, rows).collect())),
            Kept::Events(events) if due.contains(key) => {
                for event in events {
                    verdict.events += 1;
                    let times = stored.events.get(&event.id).copied().unwrap_or(0);
                    verdict.expect(times == 1, || format!("event {event:?} of {key:?} is there {times} times"));
                }
            }
            Kept::Events(_) | Kept::Inventory(_) => {}
        }
    }
    ticks.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    ticks.iter().for_each(|(is_due, rows)| verdict.tick(&mut stored, rows, *is_due));
    verdict.leftovers(&stored, allowed);
    verdict.account(allowed);
    Ok(verdict)
}

async fn settled(url: &str, host: &str, due: &BTreeSet<(Uuid, u64)>) -> Result<()> {
    let began = Instant::now();
    let mut connection = PgConnection::connect(url).await?;
    let host_id =
        sqlx::query_scalar("select id from hosts where name = $1").bind(host).fetch_one(&mut connection).await?;
    loop {
        let ledger = stored::ledger(&mut connection, host_id).await?;
        let missing: Vec<_> =
            due.iter().filter(|(epoch, seq)| !ledger.get(epoch).is_some_and(|seqs| seqs.contains(*seq))).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        if began.elapsed() > SETTLED_WITHIN {
            bail!("{host}: {} of {} batches do not arrive, the first is {first:?}", missing.len(), due.len());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

impl Verdict {
    pub fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        const SHOWN: usize = 10;
        if !holds && self.faults.len() < SHOWN {
            self.faults.push(fault());
        }
    }

    /// One batch: takes its rows out of `stored`, if all are there. A part of one shows as rows that nobody took.
    fn tick(&mut self, stored: &mut Stored, rows: &[(Place, Values)], is_due: bool) {
        let is_held =
            |(place, values): &(Place, Values)| stored.rows.get(place).is_some_and(|held| held.contains(values));
        let is_there = rows.iter().all(is_held);
        for (place, values) in rows.iter().filter(|_| is_there) {
            if let Some(held) = stored.rows.get_mut(place)
                && let Some(at) = held.iter().position(|held| held == values)
            {
                held.swap_remove(at);
            }
        }
        if is_due {
            self.ticks += 1;
            self.rows += if is_there { rows.len() } else { 0 };
            self.missing += usize::from(!is_there);
        }
    }

    /// What nobody took, or came twice.
    fn leftovers(&mut self, stored: &Stored, allowed: Allowed) {
        for (place, rows) in stored.rows.iter().filter(|(_, rows)| !rows.is_empty()) {
            let most = usize::from(allowed == Allowed::NotOnDisk);
            self.expect(rows.len() <= most, || {
                format!("{place:?} has {} rows that nobody took: {:?}", rows.len(), rows.first())
            });
        }
    }

    /// What is missing is what was counted.
    fn account(&mut self, allowed: Allowed) {
        let counted = |reason: &str| self.refused.get(reason).copied().unwrap_or(0);
        let counted = match allowed {
            Allowed::Nothing | Allowed::NotOnDisk => 0,
            Allowed::RefusedForTime => counted("time"),
            Allowed::Evicted => counted("evicted"),
        };
        // Rate: held back, and stored all the same.
        let all: i64 = self.refused.iter().filter(|(reason, _)| *reason != "rate").map(|(_, batches)| batches).sum();
        let (missing, refused) = (self.missing as i64, self.refused.clone());
        self.expect(missing == counted, || format!("{missing} ticks are missing, {counted} are counted: {refused:?}"));
        let must_miss = matches!(allowed, Allowed::RefusedForTime | Allowed::Evicted);
        self.expect(missing > 0 || !must_miss, || "no tick is missing: what was to happen to it did not".to_owned());
        self.expect(all == counted, || format!("batches were refused for other reasons, too: {refused:?}"));
    }

    /// # Errors
    /// What is wrong with the host.
    pub fn check(&self, host: &str) -> Result<()> {
        ensure!(self.faults.is_empty(), "{host}: {}", self.faults.join("\n  "));
        ensure!(self.ticks > 0 && self.rows > 0 && self.events > 0, "{host}: nothing was taken: {self:?}");
        Ok(())
    }
}
