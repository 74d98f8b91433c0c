//! Inbound batches → one transaction → acks; the live view is fed in passing.
