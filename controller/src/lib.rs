//! The controller: transport → ingest → store, live → api → dispatch → store, transport.
//!
//! `store` holds all SQL and `live` the present; neither imports a sibling. `transport` knows
//! people's keys only through [`transport::Directory`]. This file's modules are joined in `run`.

pub mod api;
pub mod ca;
pub mod config;
pub mod directory;
pub mod dispatch;
pub mod failure;
pub mod feed;
pub mod ingest;
#[cfg(debug_assertions)]
mod kill_point;
pub mod limits;
pub mod live;
pub mod postgres;
pub mod run;
pub mod store;
pub mod transport;

pub use failure::Failure;
pub use run::{join_token, reset_password, run};
