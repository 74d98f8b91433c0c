-- gpu_fleet: quarters of all GPUs together, one row for 15 minutes, so that two years of the fleet need not be
-- added up from every entity's. `x_covered_s` is the weight of `x_avg`: seconds for which the entities speak.
-- A new metric is now also a `call derive_fleet('gpu')`, after derive_tiers('gpu').

-- Hours whose lines are missing or miss late data: read them from quarters. An hour of quarters stands either here
-- or, complete, in fleet.
create table fleet_due (
    kind smallint not null,
    begins timestamptz not null,
    primary key (kind, begins)
);

create procedure derive_fleet(noun text) language plpgsql as $$
declare
    columns text;
begin
    execute format('create table if not exists %I (t0 timestamptz primary key)', noun || '_fleet');
    select string_agg(format('add column if not exists %I real, add column if not exists %I real,
        add column if not exists %I real, add column if not exists %I real',
        attname || '_covered_s', attname || '_avg', attname || '_min', attname || '_max'), ', ' order by attnum)
    into columns
    from pg_attribute where attrelid = (noun || '_hot')::regclass and attnum > 0 and not attisdropped
        and attname not in ('ts', 'host_id', 'entity_id');
    execute format('alter table %I %s', noun || '_fleet', columns);
end $$;

do $$ declare nouns text[] = array['host', 'core', 'interface', 'disk', 'sensor', 'mount', 'gpu', 'gpu_process', 'container', 'collector'];
begin
    -- Kinds are the wire numbers of the protocol's EntityKind, in this order from 0 on.
    for place in 1..cardinality(nouns) loop
        call derive_fleet(nouns[place]);
        execute format('insert into fleet_due (kind, begins)
            select distinct %s, date_bin(''1 hour'', t0, timestamptz ''epoch'') from %I', place - 1, nouns[place] || '_quarter');
    end loop;
end $$;
