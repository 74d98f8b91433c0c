//! Gathers the readings of one tick into one batch.
