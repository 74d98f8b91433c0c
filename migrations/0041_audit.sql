-- Who did what: a row before the act, a closing after it. Both are only ever added to.
-- No references: the log outlives whatever it names, and checking them would need the right to update.

create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    user_id integer,
    user_name text not null,
    role text not null,
    -- How they proved who they are: session, token, …
    authenticated text not null,
    address text not null,
    request_id text not null,
    action text not null,
    host_id integer,
    subject text not null,
    detail jsonb not null,
    command_id uuid,
    bulk_id uuid
);
create index audit_by_time on audit (at);
create index audit_of_command on audit (command_id) where command_id is not null;
create index audit_of_bulk on audit (bulk_id) where bulk_id is not null and command_id is null;

create table audit_closings (
    id bigint generated always as identity primary key,
    audit_id bigint not null,
    at timestamptz not null,
    outcome text not null,
    detail jsonb not null,
    -- The truth about an act that had been closed without it.
    late boolean not null default false
);
create index closings_of_audit on audit_closings (audit_id, id desc);

-- The owner's own rights go, and a trigger stands before superusers, as a private Postgres's owner is one.
revoke update, delete, truncate on audit, audit_closings from public, current_user;

create function audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only: % of % is refused', lower(tg_op), tg_table_name
        using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete or truncate on audit
    for each statement execute function audit_is_append_only();
create trigger append_only before update or delete or truncate on audit_closings
    for each statement execute function audit_is_append_only();

-- One line an act, with its last closing; `open` without one.
create view audit_log as
select audit.id, audit.at, user_id, user_name, role, authenticated, address, request_id, action, audit.host_id,
       hosts.name as host_name, subject, audit.detail, command_id, bulk_id,
       coalesce(last.outcome, 'open') as outcome, last.detail as result, last.at as closed_at,
       coalesce(last.late, false) as late
from audit
left join hosts on hosts.id = audit.host_id
left join lateral (
    select closing.outcome, closing.detail, closing.at, closing.late
    from audit_closings as closing where closing.audit_id = audit.id order by closing.id desc limit 1
) as last on true;
