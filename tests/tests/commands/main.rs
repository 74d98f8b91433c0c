//! Commands and logs, end to end: what a host does when it is asked to, and what it does not.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod containers;
mod life;
mod logs;
