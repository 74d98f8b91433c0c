//! Whole-system tests and benchmarks: the only crate that knows both sides.
//!
//! - [`system`]: a real controller and real agents as processes, in a folder of their own.
//! - [`client`]: the API as a browser uses it: cookie, JSON, server-sent events.
//! - [`docker`]: a Docker daemon and an image, without a registry.
//! - [`executor`]: an executor in the test's own process.
//! - [`fake_docker`]: a daemon that says what a test tells it to, or nothing.
//! - [`netns`]: hosts with addresses of their own, as network namespaces.
//! - [`relay`]: a UDP relay that counts and cuts.
//! - [`figures`]: what a benchmark found, beside its peers.
//! - [`past`]: what an agent holds that was cut off for long.
//! - [`measure`]: what processes cost. [`account`]: their CPU time, by the kernel's own account.
//! - [`clock`]: a wall clock that a test sets.
//! - [`sim_net`]: a seeded network in memory; [`sim_controller`], [`sim_agent`]: both ends on it, without a database.
//! - [`systemd_host`]: a Debian with systemd, and the executor in it.
//! - [`postgres`]: a private cluster for each test binary, a database for each test.

pub mod account;
pub mod client;
pub mod clock;
pub mod docker;
pub mod executor;
pub mod fake_docker;
pub mod figures;
pub mod measure;
pub mod netns;
pub mod past;
pub mod postgres;
pub mod relay;
pub mod sim_agent;
pub mod sim_controller;
pub mod sim_net;
pub mod system;
pub mod systemd_host;
