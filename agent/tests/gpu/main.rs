//! The gpu collector and its NVML process, against the stub library of `tests/nvml-stub`; and,
//! where there is one, against a real card.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attribution;
mod cards;
mod faults;
mod host;
mod real_card;
mod values;
