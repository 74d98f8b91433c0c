//! Containers.

use super::{resolution::*, sample};

sample! {
    /// One running container; numbers come from its cgroup's files, not from the Docker API. With ticks of less than
    /// 4.5 s, levels that cannot have changed, and `memory.stat` while the memory in use is steady, are up to 4.5 s old.
    ContainerSample is Container {
        cpu_percent: Percent, Real, SHARE, "CPU time, of one core (200 is two cores); cpuacct.usage or cpu.stat";
        memory_used_bytes: Bytes, Int8, MEMORY, "memory less inactive file cache, as docker stats says; memory.usage_in_bytes or memory.current, less the cache as old as memory_cache_bytes", "container_memory_working_set_bytes";
        memory_cache_bytes: Bytes, Int8, MEMORY, "file cache; memory.stat cache or file, read every 4.5 s while the memory in use moves by less than 1 MiB", "container_memory_cache";
        receive_bytes_per_second: BytesPerSecond, Real, RATE, "bytes received, all interfaces but loopback; /proc/<pid>/net/dev";
        transmit_bytes_per_second: BytesPerSecond, Real, RATE, "bytes sent, all interfaces but loopback; /proc/<pid>/net/dev";
        read_bytes_per_second: BytesPerSecond, Real, RATE, "bytes read from block devices; blkio.throttle.io_service_bytes or io.stat";
        write_bytes_per_second: BytesPerSecond, Real, RATE, "bytes written to block devices; blkio.throttle.io_service_bytes or io.stat";
        pids: Count, Real, ONE, "processes and threads; pids.current", "container_processes";
        cpu_throttled_percent: Percent, Real, SHARE, "CPU periods in which the limit stopped it; cpu.stat nr_throttled of nr_periods";
    }
}
