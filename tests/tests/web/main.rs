//! The page's API as browsers meet it: the real router on a real port, a real database.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails says so by panicking")]

mod calls;
mod commands;
mod doors;
mod login;
mod page;
mod people;
mod proofs;
mod rights;
mod sessions;
mod site;
mod stream;
mod tokens;
