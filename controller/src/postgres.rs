//! A private Postgres: the machine's own binaries, a data folder, a Unix socket, no TCP.
