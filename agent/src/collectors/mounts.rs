//! Collector of mounts.
