-- People with roles, accounts that can be disabled, their API tokens, and sessions that can be listed.

alter table users
    drop constraint users_role_check,
    add constraint users_role_check check (role in ('admin', 'support', 'developer', 'sysops')),
    add column active boolean not null default true,
    -- Nothing but setting a new one is open to whoever logs in by a password that somebody else knows.
    add column must_change_password boolean not null default false;

comment on column users.password_hash is
    'PHC string of argon2id; or bcrypt''s, from elsewhere, until the next login; null until a one-time link has been used.';

-- Links for those who forgot their password end; the first admin's does not, since each start makes a new one.
alter table setup_tokens add column expires_at timestamptz;

alter table web_sessions
    add column id uuid not null unique default gen_random_uuid(),
    add column user_agent text not null default '',
    -- When the password was last given; the creation of sessions from before.
    add column authenticated_at timestamptz not null default '-infinity';

create table api_tokens (
    id          uuid primary key,
    user_id     integer not null references users on delete cascade,
    name        text not null,
    -- SHA-256 of the whole token, which is shown once.
    hash        bytea not null unique check (octet_length(hash) = 32),
    -- At most these, and at most what the owner's role allows at the time.
    role        text not null check (role in ('admin', 'support', 'developer', 'sysops')),
    scopes      text[] not null check (scopes <@ array['read', 'act', 'admin']),
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    used_at     timestamptz,
    revoked_at  timestamptz
);

create index on api_tokens (user_id);

-- Browsers in which somebody has logged in: guesses by others do not slow them down (docs/decisions/login-back-off.md).
create table known_devices (
    -- SHA-256 of the cookie's value.
    hash    bytea primary key check (octet_length(hash) = 32),
    user_id integer not null references users on delete cascade,
    used_at timestamptz not null
);

create index on known_devices (user_id, used_at);
