//! Every queue, wait and retry of the controller, with its reason and what happens when full: a file a noun, used by
//! their names alone.

mod api;
mod commands;
mod errands;
mod hosts;
mod ingest;
mod live;
mod logs;
mod people;
mod postgres;
mod sessions;
mod store;

pub use api::*;
pub use commands::*;
pub use errands::*;
pub use hosts::*;
pub use ingest::*;
pub use live::*;
pub use logs::*;
pub use people::*;
pub use postgres::*;
pub use sessions::*;
pub use store::*;
