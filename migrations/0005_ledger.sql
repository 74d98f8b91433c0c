-- What has been stored of each agent's sequence, in the same transaction as the data itself: so
-- that delivery at least once becomes storage exactly once.

create table ledger (
    host_id integer not null references hosts,
    agent_id uuid not null,
    -- A new one at each start of the agent.
    epoch uuid not null,
    -- Stored here.
    seqs int8multirange not null default '{}',
    -- Will never come: forced out at the agent, or refused by this database (see quarantine).
    evicted int8multirange not null default '{}',
    first_at timestamptz not null,
    updated_at timestamptz not null,
    -- First live sample of the epoch: the latest of a host is the agent that runs now.
    live_at timestamptz,
    primary key (host_id, agent_id, epoch)
-- Room on each page keeps the constant updates in place.
) with (fillfactor = 50);
