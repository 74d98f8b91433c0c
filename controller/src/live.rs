//! The present, in memory: hosts, their last rows and documents, and who listens.
