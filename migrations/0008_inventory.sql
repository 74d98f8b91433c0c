-- Documents with validity times, so that any past moment can be rebuilt. Intervals of one entity
-- do not overlap; a gap means that it was gone.

create table inventory (
    host_id integer not null references hosts,
    kind smallint not null,
    key text not null,
    valid_from timestamptz not null,
    -- Null: still valid.
    valid_to timestamptz,
    body jsonb not null,
    -- Who said so last, and when: what an agent's new epoch does not confirm is gone.
    said_epoch uuid not null,
    said_at timestamptz not null,
    primary key (host_id, kind, key, valid_from),
    check (valid_to > valid_from)
);
create unique index inventory_current on inventory (host_id, kind, key) where valid_to is null;
create index inventory_ended on inventory (valid_to) where valid_to is not null;

-- Takes one document in: true from `at` on, until the next one that is known. No body: gone from
-- `at` on. Documents may come late, twice and in any order.
create function put_document(host integer, of_kind smallint, of_key text, at timestamptz, new_body jsonb, epoch uuid)
    returns void language plpgsql as $$
declare
    held inventory;
    until timestamptz;
begin
    select * into held from inventory
        where host_id = host and kind = of_kind and key = of_key and valid_from <= at
        order by valid_from desc limit 1;
    if held.valid_from is not null and (held.valid_to is null or held.valid_to > at) then
        until := held.valid_to;
        if held.body = new_body then
            update inventory set said_epoch = epoch, said_at = at
                where host_id = host and kind = of_kind and key = of_key and valid_from = held.valid_from
                and said_at <= at;
            return;
        end if;
        if held.valid_from = at then
            delete from inventory where host_id = host and kind = of_kind and key = of_key and valid_from = at;
        else
            update inventory set valid_to = at
                where host_id = host and kind = of_kind and key = of_key and valid_from = held.valid_from;
        end if;
    else
        select min(valid_from) into until from inventory
            where host_id = host and kind = of_kind and key = of_key and valid_from > at;
    end if;
    if new_body is not null then
        insert into inventory values (host, of_kind, of_key, at, until, new_body, epoch, at);
    end if;
end $$;
