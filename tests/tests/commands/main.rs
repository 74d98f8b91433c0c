//! Commands and logs, end to end: what a host does when it is asked to, and what it does not.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod closed;
mod containers;
mod dispatch;
mod emergency;
mod journals;
mod life;
mod logs;
mod on_systemd;
mod runbooks;
mod two_processes;
mod units;
