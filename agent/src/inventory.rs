//! The documents last said of each entity: drops what did not change, hashes what did.
