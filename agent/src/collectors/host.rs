//! Collector of host.
