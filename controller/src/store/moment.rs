//! The state of hosts at a past moment: the last row of each entity shortly before it, and the documents
//! that were valid. From samples where they are kept, else from minutes, else from quarters.

use super::grid::Source;
use super::partitions::{HOUR_MS, hour_of};
use super::series::SeriesError;
use super::tables::{self, HotTable};
use super::tiers::{HALF_DAY_MS, MINUTE_MS, QUARTER_MS, Tier, late};
use super::{FAR_MS, Store, StoreError, doing};
use crate::limits::{LATEST_WINDOW, MOMENT_ROWS};
use fleetlight_protocol::document::Document;
use fleetlight_protocol::samples::{EntityKind, Row};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::BTreeMap;

/// The rows of the entity that a sub-query stands beside.
const OF_ENTITY: &str = "host_id = e.host_id and entity_id = e.id";

/// One host, as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Of its newest row.
    pub tick_ms: Option<i64>,
    pub rows: Vec<Row>,
    pub documents: Vec<Document>,
}

impl Store {
    /// All hosts that had rows or documents at `at_ms`, by their ids.
    ///
    /// # Errors
    /// As [`Store::kinds_at`].
    pub async fn fleet_at(&self, at_ms: i64, now_ms: i64) -> Result<BTreeMap<i32, Moment>, SeriesError> {
        self.kinds_at(&EntityKind::ALL, at_ms, now_ms).await
    }

    /// Where the numbers of a moment are from.
    #[must_use]
    pub fn source_at(&self, at_ms: i64, now_ms: i64) -> Source {
        self.finest(at_ms, now_ms)
    }

    /// The same of some kinds of entities.
    ///
    /// # Errors
    /// They are more than [`MOMENT_ROWS`]; the time is none; the database does not answer.
    pub async fn kinds_at(
        &self,
        kinds: &[EntityKind],
        at_ms: i64,
        now_ms: i64,
    ) -> Result<BTreeMap<i32, Moment>, SeriesError> {
        if !(0..=FAR_MS).contains(&at_ms) {
            return Err(SeriesError::Question("ms must be milliseconds since the Unix epoch".into()));
        }
        let mut hosts: BTreeMap<i32, Moment> = BTreeMap::new();
        let nothing = || Moment { tick_ms: None, rows: Vec::new(), documents: Vec::new() };
        let documents = self.fleet_documents(kinds, at_ms).await?;
        let mut found = bounded(documents.len())?;
        for (host_id, document) in documents {
            hosts.entry(host_id).or_insert_with(nothing).documents.push(document);
        }
        for table in tables::all().iter().filter(|table| kinds.contains(&table.kind)) {
            let rows = self.rows_at(table, None, at_ms, self.source_at(at_ms, now_ms)).await?;
            found = bounded(found + rows.len())?;
            for (host_id, tick_ms, row) in rows {
                let host = hosts.entry(host_id).or_insert_with(nothing);
                host.tick_ms = host.tick_ms.max(Some(tick_ms));
                host.rows.push(row);
            }
        }
        Ok(hosts)
    }

    /// The last row of each entity shortly before `at_ms`, with its host and tick.
    pub(super) async fn rows_at(
        &self,
        table: &HotTable,
        host_id: Option<i32>,
        at_ms: i64,
        source: Source,
    ) -> Result<Vec<(i32, i64, Row)>, StoreError> {
        let (there, last) = match source {
            Source::Samples => (of_samples(table, host_id, at_ms), samples(table, at_ms)),
            Source::Minutes => (of_minutes(table, host_id, at_ms), minutes(table, at_ms)),
            Source::Quarters => (of_quarters(table, host_id, at_ms), quarters(table, at_ms)),
        };
        // A probe of an index for each entity: a scan would pass by all other moments of the hour or the day. `offset 0`
        // keeps the keys a probe too: the planner knows nothing of how many are there, and might read all that ever were.
        let sql = format!(
            "select e.host_id, at_ms, key, numbers from ({there}) as e (host_id, id)
             cross join lateral ({last} order by at_ms desc limit 1) as last
             cross join lateral (select key from entities where id = e.id offset 0) as named
             order by e.id limit {}",
            MOMENT_ROWS + 1
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .fetch_all(&self.questions)
            .await
            .map_err(doing("reading the numbers of a moment"))?;
        let row = |row: &sqlx::postgres::PgRow| Row { kind: table.kind, key: row.get(2), values: row.get(3) };
        Ok(rows.iter().map(|found| (found.get(0), found.get(1), row(found))).collect())
    }

    /// The last tick of a host that is kept as such.
    pub(super) async fn last_tick_ms(&self, host_id: i32) -> Result<Option<i64>, StoreError> {
        let newest = ["host_hot", "host_late"].map(|table| {
            format!(
                "(select (date_part('epoch', ts) * 1000)::bigint from {table}
                  where {table}.host_id = entities.host_id and entity_id = entities.id order by ts desc limit 1)"
            )
        });
        let sql = format!(
            "select greatest({}, (
                select (date_part('epoch', t0) * 1000)::bigint + (n - 1 + coalesce(skipped[n], 0)) * step_ms from host_packed
                where host_packed.host_id = entities.host_id and entity_id = entities.id order by t0 desc limit 1))
             from entities where host_id = $1 and kind = $2",
            newest.join(", ")
        );
        let tick: Option<Option<i64>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(host_id)
            .bind(EntityKind::Host as i16)
            .fetch_optional(&self.pool)
            .await
            .map_err(doing("looking for a host's last tick"))?;
        Ok(tick.flatten())
    }
}

/// The host and the number of each entity that has rows in the partitions which hold these times. From one to the next by
/// the index: what died before those partitions costs nothing, and its rows within them are not walked.
fn there(parent: &str, time: &str, tier: Option<Tier>, host_id: Option<i32>, (since_ms, at_ms): (i64, i64)) -> String {
    let of_host = host_id.map_or_else(|| "true".to_owned(), |id| format!("host_id = {id}"));
    // Whole partitions: a bound within one would make each step pass by the rows outside it.
    let range = tier.map_or_else(String::new, |tier| {
        let from_ms = tier.begin(hour_of(since_ms)) * HOUR_MS;
        let to_ms = (tier.begin(hour_of(at_ms)) + tier.hours()) * HOUR_MS;
        format!(" and {time} >= time_of({from_ms}) and {time} < time_of({to_ms})")
    });
    let first = |after: &str| {
        format!(
            "(select host_id, entity_id from {parent} where {of_host}{range}{after} order by host_id, entity_id limit 1)"
        )
    };
    format!(
        "(with recursive step (host_id, id) as ({} union all
            select next.* from step cross join lateral {} as next) select * from step)",
        first(""),
        first(" and (host_id, entity_id) > (step.host_id, step.id)")
    )
}

fn of_samples(table: &HotTable, host_id: Option<i32>, at_ms: i64) -> String {
    let since_ms = at_ms - LATEST_WINDOW.as_millis() as i64;
    [
        there(&table.name, "ts", Some(Tier::Hot), host_id, (since_ms, at_ms)),
        there(&late(table), "ts", None, host_id, (since_ms, at_ms)),
        there(&Tier::Packed.table(table), "t0", Some(Tier::Packed), host_id, (since_ms - HOUR_MS, at_ms)),
    ]
    .join(" union ")
}

fn of_minutes(table: &HotTable, host_id: Option<i32>, at_ms: i64) -> String {
    let since_ms = at_ms - MINUTE_MS - LATEST_WINDOW.as_millis() as i64 - HALF_DAY_MS;
    there(&Tier::Minute.table(table), "t0", Some(Tier::Minute), host_id, (since_ms, at_ms))
}

/// A partition is a month, and has an index by time.
fn of_quarters(table: &HotTable, host_id: Option<i32>, at_ms: i64) -> String {
    let (of_host, from_ms) =
        (host_id.map_or_else(String::new, |id| format!(" and host_id = {id}")), at_ms - QUARTER_MS);
    format!(
        "select distinct host_id, entity_id from {} where t0 > time_of({from_ms}) and t0 <= time_of({at_ms}){of_host}",
        Tier::Quarter.table(table)
    )
}

/// `found` rows and documents, unless they are too many for one answer.
fn bounded(found: usize) -> Result<usize, SeriesError> {
    if found <= MOMENT_ROWS {
        return Ok(found);
    }
    let words = format!("more than {MOMENT_ROWS} rows and documents: ask for fewer kinds");
    Err(SeriesError::Question(words))
}

fn numbers(table: &HotTable, of: impl Fn(&str) -> String) -> String {
    let values: Vec<String> = table.metrics().iter().map(|metric| format!("{}::float8", of(metric.name))).collect();
    format!("array[{}] as numbers", values.join(", "))
}

/// The last row of `e` within the window in hot, late and packed.
fn samples(table: &HotTable, at_ms: i64) -> String {
    let (values, window_ms) = (numbers(table, str::to_owned), LATEST_WINDOW.as_millis() as i64);
    let from_ms = at_ms - window_ms;
    let single = [table.name.clone(), late(table)].map(|name| {
        format!(
            "(select (date_part('epoch', ts) * 1000)::bigint as at_ms, {values} from {name}
              where {OF_ENTITY} and ts > time_of({from_ms}) and ts <= time_of({at_ms}) order by ts desc limit 1)"
        )
    });
    let elements = numbers(table, |name| format!("c.{name}[c.i]"));
    let chunk = chunk_at(&Tier::Packed.table(table), "step_ms", at_ms, at_ms - HOUR_MS - window_ms);
    format!(
        "{} union all select at_ms, {elements} from ({chunk}) as c where at_ms > {from_ms}",
        single.join(" union all ")
    )
}

fn minutes(table: &HotTable, at_ms: i64) -> String {
    let elements = numbers(table, |name| format!("c.{name}_avg[c.i]"));
    let from_ms = at_ms - MINUTE_MS - LATEST_WINDOW.as_millis() as i64;
    let step = format!("{MINUTE_MS}");
    let chunk = chunk_at(&Tier::Minute.table(table), &step, at_ms, from_ms - HALF_DAY_MS);
    format!("select at_ms, {elements} from ({chunk}) as c where at_ms > {from_ms}")
}

fn quarters(table: &HotTable, at_ms: i64) -> String {
    let values = numbers(table, |name| format!("{name}_avg"));
    let from_ms = at_ms - QUARTER_MS;
    format!(
        "select (date_part('epoch', t0) * 1000)::bigint as at_ms, {values}
         from {} where {OF_ENTITY} and t0 > time_of({from_ms}) and t0 <= time_of({at_ms})",
        Tier::Quarter.table(table)
    )
}

/// The last chunk of `e` that begins by then, with `i`, its last element that is not after `at_ms`, and its time.
/// Chunks of an entity do not overlap, so no other one holds a later element.
fn chunk_at(packed: &str, step_ms: &str, at_ms: i64, since_ms: i64) -> String {
    format!(
        "select c.*, i, first_ms + (i - 1 + coalesce(skipped[i], 0)) * {step_ms} as at_ms
         from (select *, (date_part('epoch', t0) * 1000)::bigint as first_ms from {packed}
               where {OF_ENTITY} and t0 > time_of({since_ms}) and t0 <= time_of({at_ms})
               order by t0 desc limit 1) as c
         cross join lateral (
            select case when skipped is null then least(n, coalesce(({at_ms} - first_ms) / nullif({step_ms}, 0) + 1, n))
                else (select max(place) from unnest(skipped) with ordinality as s (places, place)
                      where (place - 1 + places) * {step_ms} <= {at_ms} - first_ms) end::integer as i offset 0) as last"
    )
}
