//! Sources that never answer: a mount, NVML, Docker. Each costs what it may and no more; the
//! figures are in `agent.rs`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod agent;
mod disk_check;
mod docker;
mod fuse;
mod mount;
mod mount_told;
mod nvml;
