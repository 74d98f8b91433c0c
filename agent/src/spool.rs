//! Batches that the controller has not acknowledged, in memory, bounded.
