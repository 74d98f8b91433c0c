//! SQL that packs rows into one row an entity and hour, and unpacks them again. Exact both ways:
//! times are t0 + (i − 1 + skipped) × step, values are arrays of the hot column's own type.

use super::tables::HotTable;
use super::tiers::Tier;

/// `, name` for each metric, in the order of the hot table.
pub fn names(table: &HotTable) -> String {
    each(table, |name, _| format!(", {name}"))
}

/// Joins what `of` says of each metric and its type.
pub fn each(table: &HotTable, of: impl Fn(&str, &str) -> String) -> String {
    let metric = |(place, column): &(usize, _)| of(table.metrics()[*place].name, super::tables::type_name(*column));
    table.columns.iter().map(metric).collect()
}

/// A select of single rows (`ts, host_id, entity_id, …`, and `at_ms`, `w_ms`) from chunks `source`.
///
/// `w_ms` is the time for which a row speaks: to its nearer neighbour in the hour, at most a minute, so
/// that neither an outage nor a second of focus makes one row count for more than it saw.
/// `|| '{}'` behind `offset 0` de-toasts each array once; a bare subscript would for each element, and so
/// would a series up to `c.n`, which the planner may join before `d`.
pub fn unpack(table: &HotTable, source: &str) -> String {
    let fenced = each(table, |name, kind| format!(", c.{name} || '{{}}'::{kind}[] as {name}"));
    let values = each(table, |name, _| format!(", d.{name}[i] as {name}"));
    format!(
        "select c.t0 + (i - 1 + coalesce(d.skipped[i], 0)) * c.step_ms * interval '1 millisecond' as ts,
            (date_part('epoch', c.t0) * 1000)::bigint + (i - 1 + coalesce(d.skipped[i], 0)) * c.step_ms as at_ms,
            greatest(1, least(60000, coalesce(
                least((1 + d.skipped[i] - d.skipped[i - 1]) * c.step_ms, (1 + d.skipped[i + 1] - d.skipped[i]) * c.step_ms),
                nullif(c.step_ms, 0)))) as w_ms,
            c.host_id, c.entity_id{values}
         from {source} as c
         cross join lateral (select c.n, c.skipped || '{{}}'::integer[] as skipped{fenced} offset 0) as d
         cross join lateral generate_series(1, d.n) as i"
    )
}

/// An insert into packed of rows (`ts, host_id, entity_id, …`) of one hour.
///
/// Sorting a sub-query and then aggregating costs half of `array_agg(x order by ts)` for each column.
pub fn pack(table: &HotTable, rows: &str) -> String {
    let (packed, names) = (Tier::Packed.table(table), names(table));
    let arrays = each(table, |name, _| format!(", case when count({name}) > 0 then array_agg({name}) end as {name}"));
    format!(
        "insert into {packed} (t0, host_id, entity_id, n, step_ms, skipped{names})
         select t0, host_id, entity_id, n, step_ms,
            case when least_gap < greatest_gap then (
                select array_agg(((at_ms - places[1]) / step_ms - place + 1)::integer order by place)
                from unnest(places) with ordinality as u (at_ms, place)) end{names}
         from (
            select min(ts) as t0, host_id, entity_id, count(*)::integer as n, gcd_of(gap)::integer as step_ms,
                min(gap) as least_gap, max(gap) as greatest_gap, array_agg(at_ms) as places{arrays}
            from (
                select *, at_ms - lag(at_ms) over (partition by host_id, entity_id order by ts) as gap
                from (select *, (date_part('epoch', ts) * 1000)::bigint as at_ms from {rows} as rows) as timed
                order by host_id, entity_id, ts) as sorted
            group by host_id, entity_id) as chunks"
    )
}
