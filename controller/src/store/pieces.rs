//! SQL for the buckets of a chart, over hot, late, packed and rollups.
//!
//! What is packed has quarters, and either minutes or a note in `minutes_due` (compaction.rs). So the sources
//! below complement each other in any snapshot, without a boundary in time to agree on.

use super::grid::{Grid, Source};
use super::partitions::HOUR_MS;
use super::tables::HotTable;
use super::tiers::{HALF_DAY_MS, MINUTE_MS, Tier, late};

/// What a question reads.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub table: &'a HotTable,
    pub metrics: &'a [&'static str],
    /// SQL on `host_id` and `entity_id`; empty: all.
    pub only: &'a str,
    /// What one sample stands for beside rollups, seconds.
    pub interval_s: f64,
}

/// A select of `{group}, bucket, array[avg, min, max, … of each metric]`.
///
/// Times are literals: the planner then leaves all other partitions out.
pub fn buckets(wanted: &Wanted<'_>, grid: &Grid, group: &str) -> String {
    let (from_ms, to_ms, step_ms) = (grid.from_ms, grid.to_ms(), grid.step_ms);
    let (values, pieces) = match grid.source {
        Source::Samples => (plain(wanted), samples(wanted, grid, &|name| format!("{name}::float8 as {name}"), "")),
        Source::Minutes | Source::Quarters => (weighted(wanted), rollups(wanted, grid)),
    };
    let group = if group.is_empty() { String::new() } else { format!("{group}, ") };
    format!(
        "select {group}((at_ms - {from_ms}) / {step_ms})::integer as bucket, array[{values}]
         from ({pieces}) as pieces where at_ms >= {from_ms} and at_ms < {to_ms} group by {group}bucket"
    )
}

fn plain(wanted: &Wanted<'_>) -> String {
    list(wanted, |name| format!("avg({name}), min({name}), max({name})"))
}

fn weighted(wanted: &Wanted<'_>) -> String {
    list(wanted, |name| {
        format!(
            "sum({name}_avg * w) / nullif(sum(w) filter (where {name}_avg is not null), 0), min({name}_min), max({name}_max)"
        )
    })
}

fn list(wanted: &Wanted<'_>, of: impl Fn(&str) -> String) -> String {
    wanted.metrics.iter().map(|name| of(name)).collect::<Vec<_>>().join(", ")
}

/// Hot, late, and those chunks that `chunks` (SQL on `c`) lets through.
fn samples(wanted: &Wanted<'_>, grid: &Grid, of: &dyn Fn(&str) -> String, chunks: &str) -> String {
    let Wanted { table, only, interval_s, .. } = wanted;
    let (from_ms, to_ms) = (grid.from_ms, grid.to_ms());
    let columns = list(wanted, |name| of(name));
    let single = [table.name.clone(), late(table)].map(|name| {
        format!(
            "select (date_part('epoch', ts) * 1000)::bigint as at_ms, host_id, entity_id, {interval_s}::float8 as w, {columns}
             from {name} where ts >= time_of({from_ms}) and ts < time_of({to_ms}){only}"
        )
    });
    let [hot, late] = single;
    let packed = Tier::Packed.table(table);
    let kind_of = |name: &str| table.metrics().iter().find(|metric| metric.name == name).map(|metric| metric.column);
    let arrays = list(wanted, |name| {
        let kind = kind_of(name).map_or("real", super::tables::type_name);
        format!("c.{name} || '{{}}'::{kind}[] as {name}")
    });
    let elements = list(wanted, |name| format!("d.{name}[i] as {name}"));
    let since_ms = from_ms - HOUR_MS;
    format!(
        "{hot} union all {late} union all
         select at_ms, host_id, entity_id, {interval_s}::float8, {columns} from (
            select d.at_ms + (i - 1 + coalesce(d.skipped[i], 0)) * c.step_ms as at_ms, c.host_id, c.entity_id, {elements}
            from (select * from {packed} as c where t0 > time_of({since_ms}) and t0 < time_of({to_ms}){only}{chunks}) as c
            cross join lateral (
                select (date_part('epoch', c.t0) * 1000)::bigint as at_ms, c.n, c.skipped || '{{}}'::integer[] as skipped, {arrays}
                offset 0) as d
            cross join lateral generate_series(1, d.n) as i) as r"
    )
}

fn rollups(wanted: &Wanted<'_>, grid: &Grid) -> String {
    let as_three = |name: &str| {
        format!("{name}::float8 as {name}_avg, {name}::float8 as {name}_min, {name}::float8 as {name}_max")
    };
    let due = format!(
        "exists (select from minutes_due as m where m.kind = {} and m.host_id = c.host_id
            and m.begins <= c.t0 and m.begins > c.t0 - interval '12 hours')",
        wanted.table.kind as i16
    );
    let (raw, made) = if grid.source == Source::Quarters {
        (samples(wanted, grid, &as_three, " and false"), quarters(wanted, grid))
    } else {
        (samples(wanted, grid, &as_three, &format!(" and {due}")), minutes(wanted, grid, &due))
    };
    format!("{raw} union all {made}")
}

fn quarters(wanted: &Wanted<'_>, grid: &Grid) -> String {
    let (quarter, only) = (Tier::Quarter.table(wanted.table), wanted.only);
    let (from_ms, to_ms) = (grid.from_ms, grid.to_ms());
    let columns = list(wanted, |name| format!("{name}_avg, {name}_min, {name}_max"));
    format!(
        "select (date_part('epoch', t0) * 1000)::bigint, host_id, entity_id, covered_s, {columns}
         from {quarter} where t0 >= time_of({from_ms}) and t0 < time_of({to_ms}){only}"
    )
}

fn minutes(wanted: &Wanted<'_>, grid: &Grid, due: &str) -> String {
    let (minute, only) = (Tier::Minute.table(wanted.table), wanted.only);
    let (since_ms, to_ms) = (grid.from_ms - HALF_DAY_MS, grid.to_ms());
    let three = |of: fn(&str) -> String| {
        list(wanted, |name| ["avg", "min", "max"].map(|end| of(&format!("{name}_{end}"))).join(", "))
    };
    let arrays = three(|name| format!("c.{name} || '{{}}'::real[] as {name}"));
    let elements = three(|name| format!("d.{name}[i]"));
    format!(
        "select d.at_ms + (i - 1 + coalesce(d.skipped[i], 0)) * {MINUTE_MS}, c.host_id, c.entity_id, d.covered_s[i], {elements}
         from (select * from {minute} as c where t0 > time_of({since_ms}) and t0 < time_of({to_ms}){only} and not {due}) as c
         cross join lateral (
            select (date_part('epoch', c.t0) * 1000)::bigint as at_ms, c.n, c.skipped || '{{}}'::integer[] as skipped,
                c.covered_s || '{{}}'::real[] as covered_s, {arrays} offset 0) as d
         cross join lateral generate_series(1, d.n) as i"
    )
}
