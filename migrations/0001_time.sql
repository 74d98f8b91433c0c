-- Times cross the border as milliseconds since the Unix epoch, and are timestamptz inside.
-- The planner inlines both; a millisecond is exact in a double for the next 200 years.

create function time_of(ms bigint) returns timestamptz
    language sql immutable parallel safe strict
    return to_timestamp(ms::double precision / 1000);

create function ms_of(at timestamptz) returns bigint
    language sql stable parallel safe strict
    return (extract(epoch from at) * 1000)::bigint;
