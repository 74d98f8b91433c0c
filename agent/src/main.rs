//! `fleetlight-agent`: reads the command line, then hands over to the library.

use clap::{Parser, Subcommand};
use fleetlight_agent::config::{AgentConfig, DEFAULT_FILE};
use fleetlight_agent::disk_check::Wish;
use fleetlight_agent::executor::trusted_file;
use fleetlight_agent::{Failure, workers};
use fleetlight_protocol::join_token::JoinToken;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Streams this host's telemetry to its Fleetlight controller.
#[derive(Debug, Parser)]
#[command(name = "fleetlight-agent", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Collect and stream until stopped.
    Run(ConfigFile),
    /// Reach Docker for the agent, as a process without network.
    Executor(ConfigFile),
    /// Make this host's key and have the controller certify it.
    Enrol {
        /// The join token that the controller printed.
        #[arg(long)]
        token: JoinToken,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Stop at once all containers that this host's policy declares under a name, also while the controller is away.
    EmergencyStop {
        /// The name; without it the only one that is declared.
        #[arg(long)]
        pattern: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say how full file systems are, for scripts: before a build or a backup.
    DiskCheck {
        /// Exit with code 1 if one is full, or does not say; without it that is only said.
        #[arg(long)]
        block: bool,
        /// Full from here on, in percent of bytes or of inodes.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        /// What holds these paths; without any, all mounts that can be written.
        paths: Vec<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Read the configuration, say what is wrong with it, start nothing.
    CheckConfig(ConfigFile),
    /// Answers for file systems, for the agent itself.
    #[command(hide = true)]
    MountWorker,
    /// Walks trees, for the executor itself.
    #[command(hide = true)]
    FilesWorker,
    /// Answers for NVML, for the agent itself.
    #[command(hide = true)]
    NvmlWorker {
        #[arg(long)]
        library: String,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// Configuration, TOML; without it /etc/fleetlight/agent.toml if that exists.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        // Workers are many, small and without a runtime: they come before anything else.
        Verb::MountWorker => workers::mounts::serve(),
        Verb::FilesWorker => workers::files::serve(),
        Verb::NvmlWorker { library } => workers::nvml::serve(&library),
        Verb::Run(file) => conclude(run(file.config.as_deref())),
        Verb::Executor(file) => conclude(execute(file.config.as_deref())),
        Verb::Enrol { token, config } => conclude(enrol(&token, config.config.as_deref())),
        Verb::DiskCheck { block, limit, paths, config } => {
            let checked = load(config.config.as_deref())
                .and_then(|config| fleetlight_agent::disk_check(&config, &Wish { paths, limit }));
            judge(checked.map(|good| good || !block))
        }
        Verb::EmergencyStop { pattern, config } => {
            let config = load_guarded(config.config.as_deref());
            judge(config.and_then(|config| fleetlight_agent::emergency_stop(config, pattern)))
        }
        Verb::CheckConfig(file) => conclude(load(file.config.as_deref()).and_then(fleetlight_agent::check)),
    }
}

/// What a script asks: code 0 or 1.
fn judge(good: Result<bool, Failure>) -> ExitCode {
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => conclude(Err(failure)),
    }
}

fn conclude(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fleetlight-agent: {failure}");
            failure.exit_code()
        }
    }
}

fn load(file: Option<&Path>) -> Result<AgentConfig, Failure> {
    AgentConfig::load(file).map_err(|error| Failure::Config(error.to_string()))
}

/// For what acts on this host: the file names the policy, so the one that nobody named must be guarded as the policy is.
fn load_guarded(file: Option<&Path>) -> Result<AgentConfig, Failure> {
    if file.is_none() {
        let judged = trusted_file::guarded_by_links(Path::new(DEFAULT_FILE));
        judged.map_err(|why| Failure::Config(format!("the configuration cannot be trusted: {why}")))?;
    }
    load(file)
}

fn run(file: Option<&Path>) -> Result<(), Failure> {
    let config = load(file)?;
    log_to_stderr();
    fleetlight_agent::run(config)
}

fn execute(file: Option<&Path>) -> Result<(), Failure> {
    let config = load_guarded(file)?;
    log_to_stderr();
    fleetlight_agent::execute(config)
}

fn enrol(token: &JoinToken, file: Option<&Path>) -> Result<(), Failure> {
    let config = load(file)?;
    log_to_stderr();
    fleetlight_agent::enrol(token, &config)
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("FLEETLIGHT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(colours).with_target(false).init();
}
