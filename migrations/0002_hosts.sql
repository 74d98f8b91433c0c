-- A host is a record: its name and its history. What may speak for it is an agent (0003).

create table hosts (
    id integer generated always as identity primary key,
    name text not null unique,
    created_at timestamptz not null,
    removed_at timestamptz
);
