//! The agent: collectors → batcher → spool → transport.
//!
//! Commands come back up the same road: transport → the executor's socket → [`results`] → spool → transport.
//!
//! `collectors` never import `transport`; this file joins them by bounded channels. What may block
//! for ever (statfs of a network mount, NVML) runs in [`workers`], processes of their own.

pub mod batcher;
pub mod collectors;
pub mod config;
pub mod disk_check;
pub mod docker;
pub mod emergency_stop;
pub mod executor;
pub mod failure;
pub mod identity;
pub mod inventory;
#[cfg(debug_assertions)]
mod kill_point;
pub mod limits;
pub mod lines;
pub mod mask;
mod policy_trouble;
pub mod random;
pub mod results;
pub mod run;
pub mod spool;
pub mod tick;
pub mod transport;
mod trouble;
pub mod workers;

pub use failure::Failure;
pub use run::{check, disk_check, emergency_stop, enrol, execute, run};
