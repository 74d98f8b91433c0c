-- Short numbers for what samples are about. Kinds are the wire numbers of the protocol's EntityKind.

create table entities (
    id integer generated always as identity primary key,
    host_id integer not null references hosts,
    kind smallint not null,
    key text not null,
    unique (host_id, kind, key)
);
