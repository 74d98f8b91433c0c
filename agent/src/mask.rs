//! Masks secrets by key and by shape before they leave the host.
