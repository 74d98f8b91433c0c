-- What arrived and could not be stored as what it says it is: counted per host, reason and hour.

create table quarantine (
    host_id integer not null references hosts,
    -- `time`: the tick is in the future or older than what is kept; `refused`: the database said no.
    reason text not null,
    hour timestamptz not null,
    batches bigint not null,
    rows bigint not null,
    -- Of the last one: sequence number, tick, and why.
    last_seq bigint not null,
    last_tick_ms bigint,
    last_detail text not null,
    primary key (host_id, reason, hour)
);
