//! Processes of their own for calls that may never return.
//!
//! A thread stuck in the kernel keeps its whole process unkillable, so statvfs of a network mount
//! and NVML run in children of the same binary. Parent and child exchange one question and one
//! answer at a time, as length-prefixed MessagePack on the child's standard input and output.
//!
//! Invariants: an answer belongs to its question (numbers are echoed, late answers are dropped); a
//! child that cannot be killed is left alone and no second one is started until it is gone, so
//! that a stuck source costs one process at most; a child ends when its parent does.

mod client;
pub mod files;
mod message;
pub mod mounts;
pub mod nvml;
mod server;

pub use client::{Worker, WorkerError};
pub use server::serve;
