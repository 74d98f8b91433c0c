//! The controller's configuration: TOML file, then the environment.
