//! Host, logical CPUs, network interfaces, block devices, temperature sensors.

use super::{resolution::*, sample};

sample! {
    /// The host as a whole. Shares of CPU time are over all cores, since the previous tick.
    HostSample is Host {
        cpu_percent: Percent, Real, SHARE, "CPU time not idle and not waiting for I/O, of all cores; /proc/stat";
        cpu_user_percent: Percent, Real, SHARE, "CPU time in user mode, nice included; /proc/stat";
        cpu_system_percent: Percent, Real, SHARE, "CPU time in the kernel; /proc/stat";
        cpu_iowait_percent: Percent, Real, SHARE, "CPU time idle while a disk request was open; /proc/stat";
        cpu_irq_percent: Percent, Real, SHARE, "CPU time in hard and soft interrupts; /proc/stat";
        cpu_steal_percent: Percent, Real, SHARE, "CPU time that the hypervisor gave to others; /proc/stat";
        load1: Count, Real, crate::metric::Resolution::Step(0.01), "load average over 1 min; /proc/loadavg", "node_load1";
        load5: Count, Real, crate::metric::Resolution::Step(0.01), "load average over 5 min; /proc/loadavg", "node_load5";
        load15: Count, Real, crate::metric::Resolution::Step(0.01), "load average over 15 min; /proc/loadavg", "node_load15";
        psi_cpu_some_percent: Percent, Real, SHARE, "time in which some task waited for a CPU; /proc/pressure/cpu";
        psi_memory_some_percent: Percent, Real, SHARE, "time in which some task waited for memory; /proc/pressure/memory";
        psi_memory_full_percent: Percent, Real, SHARE, "time in which all tasks waited for memory; /proc/pressure/memory";
        psi_io_some_percent: Percent, Real, SHARE, "time in which some task waited for I/O; /proc/pressure/io";
        psi_io_full_percent: Percent, Real, SHARE, "time in which all tasks waited for I/O; /proc/pressure/io";
        memory_total_bytes: Bytes, Int8, ONE, "MemTotal; /proc/meminfo", "node_memory_MemTotal_bytes";
        memory_used_bytes: Bytes, Int8, MEMORY, "MemTotal less MemAvailable; /proc/meminfo";
        memory_available_bytes: Bytes, Int8, MEMORY, "MemAvailable; /proc/meminfo", "node_memory_MemAvailable_bytes";
        memory_cached_bytes: Bytes, Int8, MEMORY, "Cached, Buffers and SReclaimable; /proc/meminfo";
        swap_total_bytes: Bytes, Int8, ONE, "SwapTotal; /proc/meminfo", "node_memory_SwapTotal_bytes";
        swap_used_bytes: Bytes, Int8, MEMORY, "SwapTotal less SwapFree; /proc/meminfo";
        processes: Count, Real, ONE, "threads that exist; /proc/loadavg, fourth field";
        processes_running: Count, Real, ONE, "threads that run or wait for a CPU; /proc/loadavg, fourth field";
    }
}

sample! {
    /// One logical CPU.
    CoreSample is Core {
        cpu_percent: Percent, Real, SHARE, "CPU time not idle and not waiting for I/O, of this core; /proc/stat";
    }
}

sample! {
    /// One network interface, loopback left out.
    InterfaceSample is Interface {
        receive_bytes_per_second: BytesPerSecond, Real, RATE, "bytes received; /proc/net/dev";
        transmit_bytes_per_second: BytesPerSecond, Real, RATE, "bytes sent; /proc/net/dev";
        receive_packets_per_second: PerSecond, Real, SMALL_RATE, "packets received; /proc/net/dev";
        transmit_packets_per_second: PerSecond, Real, SMALL_RATE, "packets sent; /proc/net/dev";
        errors_per_second: PerSecond, Real, SMALL_RATE, "receive and transmit errors; /proc/net/dev";
        drops_per_second: PerSecond, Real, SMALL_RATE, "packets dropped, both directions; /proc/net/dev";
    }
}

sample! {
    /// One block device; partitions, loop and RAM devices are left out.
    DiskSample is Disk {
        read_bytes_per_second: BytesPerSecond, Real, RATE, "bytes read; /proc/diskstats, sectors of 512";
        write_bytes_per_second: BytesPerSecond, Real, RATE, "bytes written; /proc/diskstats, sectors of 512";
        reads_per_second: PerSecond, Real, SMALL_RATE, "reads completed; /proc/diskstats";
        writes_per_second: PerSecond, Real, SMALL_RATE, "writes completed; /proc/diskstats";
        busy_percent: Percent, Real, SHARE, "time with a request open; /proc/diskstats";
        request_seconds: Seconds, Real, DURATION, "mean time a completed request took; /proc/diskstats";
    }
}

sample! {
    /// One temperature sensor.
    SensorSample is Sensor {
        temperature_celsius: Celsius, Real, TENTH, "temperature, read every 30 s; temp*_input of /sys/class/hwmon, else /sys/class/thermal", "node_hwmon_temp_celsius";
    }
}
