-- What was asked of hosts, and what became of it; docs/architecture.md, "The life of a command".

create table commands (
    -- A UUID of version 7: later ones are greater.
    id uuid primary key,
    host_id integer not null references hosts,
    -- As the wire writes it.
    action jsonb not null,
    -- `container.restart`, and what it acts on.
    name text not null,
    subject text not null,
    -- Who asked. No reference: the record outlives the account.
    user_id integer,
    user_name text not null,
    asked_at timestamptz not null,
    deadline timestamptz not null,
    -- queued: no stream has carried it. sent: one may have. finished: it is closed.
    state text not null check (state in ('queued', 'sent', 'finished')),
    cancel_requested boolean not null default false,
    closed_at timestamptz,
    outcome text,
    asked text,
    observed text,
    reason text,
    -- By the host's clock, whatever that says.
    began_ms bigint,
    ended_ms bigint,
    exit_code bigint,
    output_head text,
    output_tail text,
    output_dropped_bytes bigint,
    -- The outcome is the host's own word; what the controller closes without it, that word may still amend.
    by_host boolean not null default false,
    -- It came after the command had been closed without it.
    late boolean not null default false,
    bulk_id uuid,
    check ((state = 'finished') = (outcome is not null and closed_at is not null))
);
create index commands_of_host on commands (host_id, id desc);
create index commands_open on commands (host_id) where state <> 'finished';

-- Many commands in batches. Its state is what its items' commands say; only how it ended is kept.
create table bulks (
    id uuid primary key,
    -- `container.restart`
    name text not null,
    selection jsonb not null,
    batch_size integer not null check (batch_size > 0),
    stop_on_failure boolean not null,
    deadline_seconds integer not null,
    -- Who asked, as the audit log has it.
    who jsonb not null,
    asked_at timestamptz not null,
    state text not null check (state in ('running', 'done', 'stopped', 'cancelled')),
    -- Why it did not run to its end.
    reason text,
    closed_at timestamptz
);
create index bulks_running on bulks (id) where state = 'running';

create table bulk_items (
    bulk_id uuid not null references bulks,
    -- The order.
    position integer not null,
    -- Those of one batch go at once; never one together with what it depends on.
    batch integer not null,
    host_id integer not null references hosts,
    action jsonb not null,
    -- Once its batch has begun.
    command_id uuid references commands,
    primary key (bulk_id, position)
);
