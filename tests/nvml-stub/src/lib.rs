//! A stand-in for `libnvidia-ml.so.1`: the symbols that the agent uses, answered from a scenario.
//!
//! The scenario is JSON, in the file that `FLEETLIGHT_NVML_SCENARIO` names, else in `scenario.json`
//! beside the library; it is read again whenever it changes. What it does not state is not
//! supported. It can also make calls fail, hang or crash, lose GPUs, and send Xid errors.
//!
//! For tests only: it trusts its caller as the real library does.

// Exporting C functions and writing through a C caller's pointers has no safe form.
#![allow(unsafe_code)]
// The names and contracts of these functions are those of nvml.h.
#![allow(clippy::missing_safety_doc)]

mod events;
mod lists;
mod numbers;
mod scenario;
mod system;
