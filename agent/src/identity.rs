//! This host's key, certificate and the controller's CA, on disk.
