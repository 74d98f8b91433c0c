//! Whole-system tests and benchmarks: the only crate that knows both sides.
//!
//! - [`system`]: a real controller and real agents as processes, in a folder of their own.
//! - [`client`]: the API as a browser uses it: cookie, JSON, server-sent events.
//! - [`netns`]: hosts with addresses of their own, as network namespaces.
//! - [`relay`]: a UDP relay that counts and cuts.
//! - [`measure`]: what processes cost.
//! - [`postgres`]: a private cluster for each test binary, a database for each test.

pub mod client;
pub mod measure;
pub mod netns;
pub mod postgres;
pub mod relay;
pub mod system;
