-- An agent is a key that speaks for a host, and the keys that follow it by renewal.

create table agents (
    id uuid primary key,
    host_id integer not null references hosts,
    -- SHA-256 of the machine's id, so that clones can be noticed.
    machine text not null,
    created_at timestamptz not null,
    last_seen_at timestamptz,
    revoked_at timestamptz,
    -- Why, in words.
    revoked_for text
);
create index agents_of_host on agents (host_id);

-- After a renewal the old key stays until the new one is first used: the answer may have been lost.
create table agent_keys (
    -- SHA-256 of the public key, DER.
    key_hash bytea primary key check (octet_length(key_hash) = 32),
    agent_id uuid not null references agents,
    -- Which key came later: a clock may step back.
    number bigint generated always as identity,
    created_at timestamptz not null,
    not_after timestamptz not null,
    used_at timestamptz
);
create index keys_of_agent on agent_keys (agent_id);
