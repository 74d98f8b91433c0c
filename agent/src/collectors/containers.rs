//! Collector of containers.
