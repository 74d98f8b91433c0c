-- People who use the page, how they set their first password, and their sessions.

create table users (
    id            integer generated always as identity primary key,
    name          text not null unique,
    role          text not null check (role in ('admin')),
    -- PHC string of argon2id; null until the one-time link has been used.
    password_hash text,
    created_at    timestamptz not null default now(),
    last_login_at timestamptz
);

insert into users (name, role) values ('admin', 'admin');

-- At most one link stands for a user: a new start of the controller makes a new one.
create table setup_tokens (
    user_id    integer primary key references users on delete cascade,
    -- SHA-256 of the token.
    hash       bytea not null,
    created_at timestamptz not null default now()
);

create table web_sessions (
    -- SHA-256 of the cookie's value.
    hash       bytea primary key,
    user_id    integer not null references users on delete cascade,
    created_at timestamptz not null,
    used_at    timestamptz not null,
    expires_at timestamptz not null,
    -- Where the login came from.
    address    text not null
);

create index on web_sessions (user_id);
create index on web_sessions (expires_at);
