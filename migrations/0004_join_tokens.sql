-- One-time tokens that enrol a host. The secret is kept as its SHA-256 only.

create table join_tokens (
    id text primary key,
    secret_hash bytea not null check (octet_length(secret_hash) = 32),
    -- Bound to this name: it may make the host, or replace the key of an existing one.
    host_name text,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    used_by uuid references agents,
    revoked_at timestamptz
);
