-- Hot samples: one wide row per entity and tick, partitioned by hour (the store makes and drops
-- the partitions). Columns are the protocol's metric catalogue; a test compares them. Within a table they
-- stand widest first, which spares padding; the order means nothing to readers and writers.
--
-- The index serves one entity over time, and all entities of a host. Against (host_id, ts, entity_id), with
-- 720,000 rows of 40 hosts in the order of arrival: 44 bytes a row, not 72, since each host's last page does
-- not split in the middle, 208 bytes of WAL a row, not 233, and an hour of one of 25 entities in three quarters
-- of the time. A BRIN on ts is smaller (9.7 against 14.2 bytes a value, all in) but reads a whole hour of
-- the fleet for one line of a chart.
--
-- No foreign keys and no uniqueness here: the ledger keeps repeats out.

create table host_hot (
    ts timestamptz not null,
    memory_total_bytes bigint,
    memory_used_bytes bigint,
    memory_available_bytes bigint,
    memory_cached_bytes bigint,
    swap_total_bytes bigint,
    swap_used_bytes bigint,
    host_id integer not null,
    entity_id integer not null,
    cpu_percent real,
    cpu_user_percent real,
    cpu_system_percent real,
    cpu_iowait_percent real,
    cpu_irq_percent real,
    cpu_steal_percent real,
    load1 real,
    load5 real,
    load15 real,
    psi_cpu_some_percent real,
    psi_memory_some_percent real,
    psi_memory_full_percent real,
    psi_io_some_percent real,
    psi_io_full_percent real,
    processes real,
    processes_running real
) partition by range (ts);
create index host_hot_by_entity on host_hot (host_id, entity_id, ts);

create table core_hot (
    ts timestamptz not null,
    host_id integer not null,
    entity_id integer not null,
    cpu_percent real
) partition by range (ts);
create index core_hot_by_entity on core_hot (host_id, entity_id, ts);

create table interface_hot (
    ts timestamptz not null,
    host_id integer not null,
    entity_id integer not null,
    receive_bytes_per_second real,
    transmit_bytes_per_second real,
    receive_packets_per_second real,
    transmit_packets_per_second real,
    errors_per_second real,
    drops_per_second real
) partition by range (ts);
create index interface_hot_by_entity on interface_hot (host_id, entity_id, ts);

create table disk_hot (
    ts timestamptz not null,
    host_id integer not null,
    entity_id integer not null,
    read_bytes_per_second real,
    write_bytes_per_second real,
    reads_per_second real,
    writes_per_second real,
    busy_percent real,
    request_seconds real
) partition by range (ts);
create index disk_hot_by_entity on disk_hot (host_id, entity_id, ts);

create table sensor_hot (
    ts timestamptz not null,
    host_id integer not null,
    entity_id integer not null,
    temperature_celsius real
) partition by range (ts);
create index sensor_hot_by_entity on sensor_hot (host_id, entity_id, ts);

create table mount_hot (
    ts timestamptz not null,
    total_bytes bigint,
    used_bytes bigint,
    available_bytes bigint,
    inodes_total bigint,
    inodes_used bigint,
    host_id integer not null,
    entity_id integer not null,
    probe_seconds real,
    state smallint
) partition by range (ts);
create index mount_hot_by_entity on mount_hot (host_id, entity_id, ts);

create table gpu_hot (
    ts timestamptz not null,
    memory_total_bytes bigint,
    memory_used_bytes bigint,
    energy_joules bigint,
    throttle_reasons bigint,
    pcie_replays bigint,
    nvlink_errors bigint,
    ecc_corrected bigint,
    ecc_uncorrected bigint,
    retired_pages bigint,
    remapped_rows_corrected bigint,
    remapped_rows_uncorrected bigint,
    host_id integer not null,
    entity_id integer not null,
    utilization_percent real,
    memory_utilization_percent real,
    temperature_celsius real,
    memory_temperature_celsius real,
    power_watts real,
    power_limit_watts real,
    graphics_clock_megahertz real,
    memory_clock_megahertz real,
    video_clock_megahertz real,
    fan_percent real,
    pcie_receive_bytes_per_second real,
    pcie_transmit_bytes_per_second real,
    encoder_percent real,
    decoder_percent real,
    pcie_link_generation smallint,
    pcie_link_width smallint,
    nvlink_links_active smallint,
    remap_pending smallint,
    remap_failed smallint
) partition by range (ts);
create index gpu_hot_by_entity on gpu_hot (host_id, entity_id, ts);

create table gpu_process_hot (
    ts timestamptz not null,
    memory_used_bytes bigint,
    host_id integer not null,
    entity_id integer not null,
    utilization_percent real
) partition by range (ts);
create index gpu_process_hot_by_entity on gpu_process_hot (host_id, entity_id, ts);

create table container_hot (
    ts timestamptz not null,
    memory_used_bytes bigint,
    memory_cache_bytes bigint,
    host_id integer not null,
    entity_id integer not null,
    cpu_percent real,
    receive_bytes_per_second real,
    transmit_bytes_per_second real,
    read_bytes_per_second real,
    write_bytes_per_second real,
    pids real,
    cpu_throttled_percent real
) partition by range (ts);
create index container_hot_by_entity on container_hot (host_id, entity_id, ts);

create table collector_hot (
    ts timestamptz not null,
    missed_ticks bigint,
    host_id integer not null,
    entity_id integer not null,
    duration_seconds real,
    lateness_seconds real
) partition by range (ts);
create index collector_hot_by_entity on collector_hot (host_id, entity_id, ts);

