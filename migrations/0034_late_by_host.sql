-- Late rows are merged by host and hour. By the index of their entities, each hour of a host passed by all that waits
-- of it; that one stays for charts of an entity, for moments, and for entities that are to be forgotten.
do $$ declare noun text; begin
    foreach noun in array array['host', 'core', 'interface', 'disk', 'sensor', 'mount', 'gpu', 'gpu_process', 'container', 'collector']
    loop execute format('create index %I on %I (host_id, ts)', noun || '_late_by_host', noun || '_late'); end loop;
end $$;
