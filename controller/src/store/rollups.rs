//! SQL that makes rollups from packed chunks: rows of 15 minutes, arrays of minutes; and the fleet's lines from quarters.
//!
//! Both say how many rows they saw (`count`) and for how long those speak (`covered_s`); averages
//! are weighted by that time, so that a time of finer sampling does not bias them.

use super::chunks::{each, unpack};
use super::partitions::HOUR_MS;
use super::tables::HotTable;
use super::tiers::{self, HALF_DAY_MS, MINUTE_MS, QUARTER_MS, Tier};

/// Makes the quarters of an hour again, of one host or of all.
pub fn quarters(table: &HotTable, hour: i64, host_id: Option<i32>) -> String {
    let quarter = Tier::Quarter.table(table);
    let (from_ms, to_ms) = (hour * HOUR_MS, (hour + 1) * HOUR_MS);
    let chunks = chunks_of(table, from_ms, to_ms, host_id);
    let columns = each(table, |name, _| format!(", {name}_avg, {name}_min, {name}_max"));
    let only = of_host(host_id);
    let buckets = buckets(table, &unpack(table, &chunks), QUARTER_MS);
    format!(
        "delete from {quarter} where t0 >= time_of({from_ms}) and t0 < time_of({to_ms}){only};
         insert into {quarter} (t0, host_id, entity_id, count, covered_s{columns})
         select time_of(bucket * {QUARTER_MS}), host_id, entity_id, count, covered_s{columns} from ({buckets}) as b"
    )
}

/// Makes the minutes of a host's half day again.
pub fn minutes(table: &HotTable, begins_ms: i64, host_id: i32) -> String {
    let minute = Tier::Minute.table(table);
    let to_ms = begins_ms + HALF_DAY_MS;
    let chunks = chunks_of(table, begins_ms, to_ms, Some(host_id));
    let columns = each(table, |name, _| format!(", {name}_avg, {name}_min, {name}_max"));
    let part = |name: &str| format!(", case when count({name}) > 0 then array_agg({name}) end as {name}");
    let arrays = each(table, |name, _| ["avg", "min", "max"].map(|end| part(&format!("{name}_{end}"))).concat());
    let buckets = buckets(table, &unpack(table, &chunks), MINUTE_MS);
    format!(
        "delete from {minute} where t0 >= time_of({begins_ms}) and t0 < time_of({to_ms}) and host_id = {host_id};
         insert into {minute} (t0, host_id, entity_id, n, skipped, count, covered_s{columns})
         select time_of(first * {MINUTE_MS}), host_id, entity_id, n,
            case when most_skipped > 0 then skipped end, count, covered_s{columns}
         from (
            select min(bucket) as first, host_id, entity_id, count(*)::integer as n, max(skipped) as most_skipped,
                array_agg(skipped) as skipped, array_agg(count) as count, array_agg(covered_s) as covered_s{arrays}
            from (
                select *, (bucket - first_value(bucket) over entity - row_number() over entity + 1)::integer as skipped
                from ({buckets}) as b
                window entity as (partition by host_id, entity_id order by bucket)
                order by host_id, entity_id, bucket) as sorted
            group by host_id, entity_id) as made"
    )
}

/// Makes the fleet's quarters of an hour again.
pub fn fleet(table: &HotTable, begins_ms: i64) -> String {
    let (fleet, quarter) = (tiers::fleet(table), Tier::Quarter.table(table));
    let range = format!("t0 >= time_of({begins_ms}) and t0 < time_of({})", begins_ms + HOUR_MS);
    let columns = each(table, |name, _| format!(", {name}_covered_s, {name}_avg, {name}_min, {name}_max"));
    let values = each(table, |name, _| {
        let covered = format!("sum(covered_s::float8) filter (where {name}_avg is not null)");
        format!(
            ", {covered}::real, (sum({name}_avg::float8 * covered_s) / nullif({covered}, 0))::real,
             min({name}_min), max({name}_max)"
        )
    });
    format!(
        "delete from {fleet} where {range};
         insert into {fleet} (t0{columns}) select t0{values} from {quarter} where {range} group by t0"
    )
}

/// Notes that the fleet's quarters of an hour are to be made again.
pub fn fleet_due(table: &HotTable, hour: i64) -> String {
    let (kind, begins_ms) = (table.kind as i16, hour * HOUR_MS);
    format!("insert into fleet_due (kind, begins) values ({kind}, time_of({begins_ms})) on conflict do nothing")
}

/// Notes that the minutes of an hour's half day are to be made again, for each host that has chunks in it.
pub fn due(table: &HotTable, hour: i64, host_id: Option<i32>) -> String {
    let chunks = chunks_of(table, hour * HOUR_MS, (hour + 1) * HOUR_MS, host_id);
    let (kind, begins_ms) = (table.kind as i16, (hour * HOUR_MS).div_euclid(HALF_DAY_MS) * HALF_DAY_MS);
    format!(
        "insert into minutes_due (kind, host_id, begins)
         select distinct {kind}::smallint, host_id, time_of({begins_ms}) from {chunks} as c on conflict do nothing"
    )
}

fn chunks_of(table: &HotTable, from_ms: i64, to_ms: i64, host_id: Option<i32>) -> String {
    let (packed, only) = (Tier::Packed.table(table), of_host(host_id));
    format!("(select * from {packed} where t0 >= time_of({from_ms}) and t0 < time_of({to_ms}){only})")
}

fn of_host(host_id: Option<i32>) -> String {
    host_id.map_or_else(String::new, |id| format!(" and host_id = {id}"))
}

fn buckets(table: &HotTable, rows: &str, width_ms: i64) -> String {
    let values = each(table, |name, _| {
        format!(
            ", (sum({name}::float8 * w_ms) / nullif(sum(w_ms) filter (where {name} is not null), 0))::real as {name}_avg,
             min({name})::real as {name}_min, max({name})::real as {name}_max"
        )
    });
    format!(
        "select host_id, entity_id, at_ms / {width_ms} as bucket, count(*)::integer as count,
            (sum(w_ms) / 1000.0)::real as covered_s{values}
         from ({rows}) as r group by host_id, entity_id, at_ms / {width_ms}"
    )
}
