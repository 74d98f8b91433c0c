//! Inbound batches → one transaction → acks; the live view is fed in passing.

mod sink;

pub use sink::LiveSink;
