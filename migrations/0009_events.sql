-- Facts at a time. The agent makes the id, so that a repeat is recognised.

create table events (
    host_id integer not null references hosts,
    id uuid not null,
    at timestamptz not null,
    -- What the host's clock said, where that could not be believed and `at` is the arrival.
    claimed_ms bigint,
    kind smallint not null,
    key text not null,
    -- The entity's name for people, as it was then.
    subject text not null,
    -- 0 info, 1 warn, 2 crit.
    severity smallint not null,
    fact text not null,
    detail jsonb not null,
    primary key (host_id, id)
);
create index events_of_host on events (host_id, at desc);
create index events_of_fleet on events (at desc);
