-- Where samples go when their hour is over. All tables of a kind follow from its hot table's columns
-- by derive_tiers(): a new metric is an `alter table gpu_hot add column …` and a `call derive_tiers('gpu')`.
--
--   gpu_hot      one row an entity and tick, for hours that are open
--   gpu_late     the same, for what arrives when its hour is closed; waits to be packed
--   gpu_packed   one row an entity and hour, an array a metric, exactly what was in hot
--   gpu_minute   one row an entity and half day, arrays of 1-minute averages, least and greatest
--   gpu_quarter  one row an entity and 15 minutes
--   gpu_samples  a view of hot, late and packed; gpu_samples(since, until) is the fast way in
--
-- In packed, value i of each array was taken at t0 + (i - 1 + skipped[i]) * step_ms: skipped counts the places of
-- the grid without a tick, and is null where none is missing. It changes seldom, so that it compresses to nothing;
-- positions themselves would not. A metric that was absent all hour has no array.

create table packing (
    one boolean primary key default true check (one),
    -- What is older goes to late; hot takes it no more. Never moves back.
    closed_before timestamptz not null,
    -- Raw samples before this have been dropped; older ones are refused, since the rollups could not be made
    -- again from a part. Never moves back.
    raw_since timestamptz not null
);
insert into packing (closed_before, raw_since) values (time_of(0), time_of(0));

-- Half days of a host whose minutes are missing or miss late data: read them from packed. A half day of
-- packed data stands either here or, complete, in minute.
create table minutes_due (
    kind smallint not null,
    host_id integer not null,
    begins timestamptz not null,
    primary key (kind, host_id, begins)
);

create aggregate gcd_of(bigint) (sfunc = gcd, stype = bigint, initcond = '0');

create procedure derive_tiers(noun text) language plpgsql as $$
declare
    names text[];
    late text; packed text; minute text; quarter text; plain text; fenced text; unpacked text;
begin
    select array_agg(attname order by attnum),
        string_agg(format('add column if not exists %I %s', attname, type), ', ' order by attnum),
        string_agg(format('add column if not exists %I %s[]', attname, type), ', ' order by attnum),
        string_agg(format('add column if not exists %I real[], add column if not exists %I real[],
            add column if not exists %I real[]', attname || '_avg', attname || '_min', attname || '_max'), ', ' order by attnum),
        string_agg(format('add column if not exists %I real, add column if not exists %I real,
            add column if not exists %I real', attname || '_avg', attname || '_min', attname || '_max'), ', ' order by attnum),
        string_agg(format('%I', attname), ', ' order by attnum),
        string_agg(format('c.%1$I || ''{}''::%2$s[] as %1$I', attname, type), ', ' order by attnum),
        string_agg(format('d.%I[i]', attname), ', ' order by attnum)
    into names, late, packed, minute, quarter, plain, fenced, unpacked
    from (select attname, attnum, format_type(atttypid, null) as type from pg_attribute
          where attrelid = (noun || '_hot')::regclass and attnum > 0 and not attisdropped
          and attname not in ('ts', 'host_id', 'entity_id')) as metrics;

    execute format('create table if not exists %I (ts timestamptz not null, host_id integer not null,
        entity_id integer not null)', noun || '_late');
    execute format('alter table %I %s', noun || '_late', late);
    execute format('create index if not exists %I on %I (host_id, entity_id, ts)', noun || '_late_by_entity', noun || '_late');

    execute format('create table if not exists %I (t0 timestamptz not null, host_id integer not null,
        entity_id integer not null, n integer not null, step_ms integer not null, skipped integer[])
        partition by range (t0)', noun || '_packed');
    execute format('alter table %I %s', noun || '_packed', packed);
    execute format('create index if not exists %I on %I (host_id, entity_id, t0)', noun || '_packed_by_entity', noun || '_packed');

    execute format('create table if not exists %I (t0 timestamptz not null, host_id integer not null,
        entity_id integer not null, n integer not null, skipped integer[], count integer[] not null,
        covered_s real[] not null) partition by range (t0)', noun || '_minute');
    execute format('alter table %I %s', noun || '_minute', minute);
    execute format('create index if not exists %I on %I (host_id, entity_id, t0)', noun || '_minute_by_entity', noun || '_minute');

    execute format('create table if not exists %I (t0 timestamptz not null, host_id integer not null,
        entity_id integer not null, count integer not null, covered_s real not null) partition by range (t0)', noun || '_quarter');
    execute format('alter table %I %s', noun || '_quarter', quarter);
    execute format('create index if not exists %I on %I (host_id, entity_id, t0)', noun || '_quarter_by_entity', noun || '_quarter');
    -- For a week of the whole fleet out of a partition of 30 days; rows come in the order of time.
    execute format('create index if not exists %I on %I using brin (t0) with (pages_per_range = 16)', noun || '_quarter_by_time', noun || '_quarter');

    -- `|| '{}'` behind `offset 0` de-toasts each array once; a bare subscript would do so for each
    -- element, and so would a series up to c.n, which the planner may join before d.
    execute format('create or replace view %1$I as
        select r.ts, r.t0, hosts.name as host, entities.key, r.host_id, r.entity_id, %2$s from (
            select ts, ts as t0, host_id, entity_id, %3$s from %4$I
            union all select ts, ts, host_id, entity_id, %3$s from %5$I
            union all select c.t0 + (i - 1 + coalesce(d.skipped[i], 0)) * c.step_ms * interval ''1 millisecond'',
                c.t0, c.host_id, c.entity_id, %6$s
            from %7$I as c
            cross join lateral (select c.n, c.skipped || ''{}''::integer[] as skipped, %8$s offset 0) as d
            cross join lateral generate_series(1, d.n) as i) as r
        join entities on entities.id = r.entity_id join hosts on hosts.id = r.host_id',
        noun || '_samples', (select string_agg(format('r.%I', name), ', ' order by place) from unnest(names) with ordinality as of (name, place)),
        plain, noun || '_hot', noun || '_late', unpacked, noun || '_packed', fenced);
    -- Times of single samples leave no partition out; those of their hours do.
    execute format('create or replace function %1$I(since timestamptz, until timestamptz) returns setof %1$I
        language sql stable parallel safe as
        ''select * from %1$I where ts >= since and ts < until and t0 > since - interval ''''1 hour'''' and t0 < until''',
        noun || '_samples');
end $$;

do $$ declare noun text; begin
    foreach noun in array array['host', 'core', 'interface', 'disk', 'sensor', 'mount', 'gpu', 'gpu_process', 'container', 'collector']
    loop call derive_tiers(noun); end loop;
end $$;
