//! SQL for the buckets of a chart, over hot, late, packed and rollups.
//!
//! What is packed has quarters, and either minutes or a note in `minutes_due`; and either lines of the fleet or a note
//! in `fleet_due` (compaction.rs). So the sources below complement each other in any snapshot, without a boundary in
//! time to agree on.
//!
//! Rows are added up here, arrays are sent whole and added up in parts.rs: a tenth of the time of opening them in SQL
//! (docs/decisions/packed-storage.md). It is one statement, so both are of one snapshot.

use super::grid::{Grid, Source};
use super::partitions::HOUR_MS;
use super::tables::{HotTable, type_name};
use super::tiers::{HALF_DAY_MS, MINUTE_MS, Tier, fleet, late};
use crate::limits::DEFAULT_INTERVAL_MS;
use fleetlight_protocol::samples::EntityKind;

// Columns of a row. It has either a bucket and its parts (sum, weight, least and greatest of each metric), or a chunk:
// raw values; or, from `CHUNK` on, raw values, averages, least and greatest of each metric, the first or the others null.
pub const GROUP: usize = 0;
pub const BUCKET: usize = 1;
pub const PARTS: usize = 2;
pub const FIRST: usize = 3;
pub const STEP: usize = 4;
pub const LENGTH: usize = 5;
pub const SKIPPED: usize = 6;
/// Seconds for which each minute speaks; null in raw chunks.
pub const COVERED: usize = 7;
pub const CHUNK: usize = 8;

/// What a question reads.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub table: &'a HotTable,
    pub metrics: &'a [&'static str],
    /// SQL on `host_id` and `entity_id`; empty: all.
    pub only: &'a str,
    /// What one sample stands for beside rollups, seconds. None: for as long as its host's interval, since hosts differ.
    pub interval_s: Option<f64>,
}

/// All that there is for a chart, by `group`: `entity_id`, or a number.
///
/// Times are literals: the planner then leaves all other partitions out.
pub fn pieces(wanted: &Wanted<'_>, grid: &Grid, group: &str) -> String {
    let due = due(wanted);
    match grid.source {
        Source::Samples => format!(
            "{} union all {}",
            added(wanted, grid, group, &samples(wanted, grid)),
            packed(wanted, grid, group, ""),
        ),
        Source::Minutes => format!(
            "{} union all {} union all {}",
            added(wanted, grid, group, &samples(wanted, grid)),
            packed(wanted, grid, group, &format!(" and {due}")),
            minutes(wanted, grid, group, &due),
        ),
        Source::Quarters => {
            let made =
                if wanted.only.is_empty() { lines(wanted, grid) } else { quarters(wanted, &of_quarter(wanted, grid)) };
            added(wanted, grid, group, &format!("{} union all {made}", samples(wanted, grid)))
        }
    }
}

fn list(wanted: &Wanted<'_>, of: impl Fn(&str) -> String) -> String {
    wanted.metrics.iter().map(|name| of(name)).collect::<Vec<_>>().join(", ")
}

/// Parts of single rows, by bucket.
fn added(wanted: &Wanted<'_>, grid: &Grid, group: &str, rows: &str) -> String {
    let (from_ms, step_ms) = (grid.from_ms, grid.step_ms);
    let parts = if is_plain(wanted, grid) {
        list(wanted, |name| format!("sum({name}), count({name})::float8, min({name}), max({name})"))
    } else {
        list(wanted, |name| {
            let weight = format!("sum({name}_s) filter (where {name}_avg is not null)");
            format!("sum({name}_avg * {name}_s), {weight}, min({name}_min), max({name}_max)")
        })
    };
    let nothing = chunk(wanted, grid, &|name| {
        let kind = wanted.table.metrics().iter().find(|metric| metric.name == name).map(|metric| metric.column);
        format!("null::{}[]", kind.map_or("real", type_name))
    });
    format!(
        "select {group}, ((at_ms - {from_ms}) / {step_ms})::integer as bucket, array[{parts}]::float8[],
            null::bigint, null::integer, null::integer, null::integer[], null::real[], {nothing}
         from ({rows}) as pieces group by 1, 2"
    )
}

/// The columns from [`CHUNK`] on, of which `raw` gives the first of each metric.
fn chunk(wanted: &Wanted<'_>, grid: &Grid, raw: &dyn Fn(&str) -> String) -> String {
    let rest = if grid.source == Source::Minutes { ", null::real[], null::real[], null::real[]" } else { "" };
    list(wanted, |name| format!("{}{rest}", raw(name)))
}

/// Whether all samples of a chart weigh the same.
fn is_plain(wanted: &Wanted<'_>, grid: &Grid) -> bool {
    grid.source == Source::Samples && wanted.interval_s.is_some()
}

/// Hot and late rows.
fn samples(wanted: &Wanted<'_>, grid: &Grid) -> String {
    let Wanted { table, only, .. } = wanted;
    let (from_ms, to_ms) = (grid.from_ms, grid.to_ms());
    let (interval_s, intervals) = match wanted.interval_s {
        Some(interval_s) => (format!("{interval_s}::float8"), String::new()),
        None => stated(grid),
    };
    let columns = list(wanted, |name| {
        let value = format!("{name}::float8");
        if is_plain(wanted, grid) {
            return format!("{value} as {name}");
        }
        format!("{interval_s} as {name}_s, {value} as {name}_avg, {value} as {name}_min, {value} as {name}_max")
    });
    [table.name.clone(), late(table)]
        .map(|name| {
            format!(
                "select (date_part('epoch', ts) * 1000)::bigint as at_ms, host_id, entity_id, {columns}
                 from {name}{intervals} where ts >= time_of({from_ms}) and ts < time_of({to_ms}){only}"
            )
        })
        .join(" union all ")
}

/// What a row of each host stands for, and the join that tells it: the interval that the host's own document states.
fn stated(grid: &Grid) -> (String, String) {
    let (host, longest_ms) = (EntityKind::Host as i16, grid.longest_ms());
    (
        format!("least(coalesce(stated.interval_ms, {DEFAULT_INTERVAL_MS}), {longest_ms}) / 1000.0::float8"),
        format!(
            " left join (
                select host_id, max((body->>'interval_ms')::bigint) as interval_ms from inventory
                where kind = {host} and valid_to is null and (body->>'interval_ms')::bigint > 0 group by host_id
             ) as stated using (host_id)"
        ),
    )
}

/// Those raw chunks that `chunks` (SQL on `c`) lets through.
fn packed(wanted: &Wanted<'_>, grid: &Grid, group: &str, chunks: &str) -> String {
    let (packed, only) = (Tier::Packed.table(wanted.table), wanted.only);
    let (since_ms, to_ms) = (grid.from_ms - HOUR_MS, grid.to_ms());
    let arrays = chunk(wanted, grid, &|name| format!("c.{name}"));
    format!(
        "select {group}, null, null, (date_part('epoch', t0) * 1000)::bigint, step_ms, n, skipped, null, {arrays}
         from {packed} as c where t0 > time_of({since_ms}) and t0 < time_of({to_ms}){only}{chunks}"
    )
}

/// Whether the minutes of a chunk's half day are not made, or not all: SQL on `c`.
fn due(wanted: &Wanted<'_>) -> String {
    format!(
        "exists (select from minutes_due as m where m.kind = {} and m.host_id = c.host_id
            and m.begins <= c.t0 and m.begins > c.t0 - interval '12 hours')",
        wanted.table.kind as i16
    )
}

fn minutes(wanted: &Wanted<'_>, grid: &Grid, group: &str, due: &str) -> String {
    let (minute, only) = (Tier::Minute.table(wanted.table), wanted.only);
    let (since_ms, to_ms) = (grid.from_ms - HALF_DAY_MS, grid.to_ms());
    let arrays = list(wanted, |name| format!("null, c.{name}_avg, c.{name}_min, c.{name}_max"));
    format!(
        "select {group}, null, null, (date_part('epoch', t0) * 1000)::bigint, {MINUTE_MS}, n, skipped, covered_s, {arrays}
         from {minute} as c where t0 > time_of({since_ms}) and t0 < time_of({to_ms}){only} and not {due}"
    )
}

fn within(grid: &Grid) -> String {
    format!("t0 >= time_of({}) and t0 < time_of({})", grid.from_ms, grid.to_ms())
}

fn of_quarter(wanted: &Wanted<'_>, grid: &Grid) -> String {
    format!("{} where {}{}", Tier::Quarter.table(wanted.table), within(grid), wanted.only)
}

fn quarters(wanted: &Wanted<'_>, of: &str) -> String {
    let columns = list(wanted, |name| format!("covered_s, {name}_avg, {name}_min, {name}_max"));
    format!("select (date_part('epoch', t0) * 1000)::bigint, host_id, entity_id, {columns} from {of}")
}

/// Quarters of the whole fleet: its own lines, and single quarters for hours whose lines are not made yet.
fn lines(wanted: &Wanted<'_>, grid: &Grid) -> String {
    let (fleet, quarter, kind) = (fleet(wanted.table), Tier::Quarter.table(wanted.table), wanted.table.kind as i16);
    let columns = list(wanted, |name| format!("{name}_covered_s, {name}_avg, {name}_min, {name}_max"));
    let range = within(grid);
    // `offset 0` keeps the hours first: the planner knows nothing of their number, and would look each quarter's up.
    let due = format!(
        "(select q.* from fleet_due as d cross join lateral (
            select * from {quarter} where t0 >= d.begins and t0 < d.begins + interval '1 hour' and {range} offset 0) as q
          where d.kind = {kind}) as due"
    );
    format!(
        "select (date_part('epoch', t0) * 1000)::bigint, 0, 0, {columns} from {fleet} where {range} and not exists (
            select from fleet_due as d where d.kind = {kind} and d.begins = date_bin('1 hour', t0, timestamptz 'epoch'))
         union all {}",
        quarters(wanted, &due)
    )
}
