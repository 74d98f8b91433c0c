//! `fleetlight-controller`: reads the command line, then hands over to the library.

use clap::{Parser, Subcommand};
use fleetlight_controller::config::{ControllerConfig, DEFAULT_FILE};
use fleetlight_controller::store::hosts::{HOST_NAME_RULE, is_host_name};
use fleetlight_controller::{Failure, join_token, reset_password, run};
use std::future::Future;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Takes in telemetry of agents, keeps it in Postgres, serves the page.
#[derive(Debug, Parser)]
#[command(name = "fleetlight-controller", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until stopped.
    Run(ConfigFile),
    /// Read the configuration, say what is wrong with it, start nothing.
    CheckConfig(ConfigFile),
    /// Print a one-time token that enrols one host within an hour.
    JoinToken {
        /// The host's name; a host that is known by it keeps its history and gets a new key.
        #[arg(long, value_parser = host_name)]
        host: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print a one-time link that sets a new password, good for a day: for who forgot the old one.
    ResetPassword {
        /// Whose; without it the first admin's.
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// Configuration, TOML; without it /etc/fleetlight/controller.toml if that exists.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Run(file) => load(file.config.as_deref()).and_then(|config| {
            log_to_stderr("info");
            let place = file.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
            block_on(run(config)).map_err(|failure| failure.configured_in(place))
        }),
        Verb::CheckConfig(file) => load(file.config.as_deref()).map(|_| println!("configuration is good")),
        Verb::JoinToken { host, config } => load(config.config.as_deref()).and_then(|config| {
            log_to_stderr("warn");
            let token = block_on(join_token(config, host.as_deref()))?;
            println!("{token}");
            Ok(())
        }),
        Verb::ResetPassword { user, config } => load(config.config.as_deref()).and_then(|config| {
            log_to_stderr("warn");
            let link = block_on(reset_password(config, user.as_deref()))?;
            println!("{link}");
            Ok(())
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fleetlight-controller: {failure}");
            failure.exit_code()
        }
    }
}

fn host_name(text: &str) -> Result<String, String> {
    if is_host_name(text) { Ok(text.to_owned()) } else { Err(HOST_NAME_RULE.to_owned()) }
}

fn load(file: Option<&Path>) -> Result<ControllerConfig, Failure> {
    ControllerConfig::load(file).map_err(|error| Failure::Config(error.to_string()))
}

fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Other(format!("the runtime cannot start: {error}")))?.block_on(task)
}

fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_env("FLEETLIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(colours).with_target(false).init();
}
