//! Collector of gpu.
