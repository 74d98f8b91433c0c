//! The executor: the process that holds Docker's socket, the policy, the runbooks and the journal, and has no network.
//!
//! `fleetlight-agent executor` runs [`serve`]; the network-facing agent reaches it by [`Client`] through a Unix socket
//! that lets in one account. One connection carries one [`Request`] and its answers.
//!
//! - [`commands`]: the life of a command. [`actions`]: what it does, one noun a file. [`policy`]: what this host does at all.
//! - [`allowed`]: what it does when it is asked, for people who choose.
//! - [`systemd`]: units and transient services over the bus. [`trusted_file`]: files that nobody else can have written.
//! - [`logs`]: what containers, journal and declared files say, while somebody reads it.
//! - [`message`]: what can be asked. [`client`], [`server`]: the two ends. [`listen`]: taking the socket. [`peer`]: who may ask.

pub mod actions;
pub mod allowed;
pub mod client;
pub mod commands;
mod listen;
pub mod logs;
pub mod message;
mod peer;
pub mod policy;
pub mod server;
pub mod systemd;
pub mod trusted_file;
pub mod wire;

pub use client::Client;
pub use listen::{Listening, listen};
pub use message::Request;
pub use peer::Peers;
pub use server::Executor;
