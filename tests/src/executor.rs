//! An executor in a test's own process, for tests that run collectors there: on their runtime, by their clock.

use crate::sim_agent::Folder;
use anyhow::{Context, Result};
use fleetlight_agent::config::AgentConfig;
use fleetlight_agent::executor::{Executor, Peers, listen, server};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// It answers until it is dropped.
#[derive(Debug)]
pub struct Beside {
    _folder: Folder,
    config: AgentConfig,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Beside {
    /// One for the Docker socket of `config`. Must be called on a runtime.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub async fn start(config: AgentConfig) -> Result<Self> {
        let folder = Folder::new()?;
        let config = AgentConfig {
            executor_socket: folder.path().join("executor"),
            executor_state_dir: folder.path().join("executor-state"),
            policy_file: folder.path().join("policy.toml"),
            ..config
        };
        let stop = CancellationToken::new();
        let task = run(&config, stop.clone()).await?;
        Ok(Self { _folder: folder, config, stop, task })
    }

    /// The configuration, with the executor's socket.
    #[must_use]
    pub fn config(&self) -> AgentConfig {
        self.config.clone()
    }

    /// Ends it; its socket stays behind, as after a kill.
    ///
    /// # Errors
    /// If it has panicked.
    pub async fn end(&mut self) -> Result<()> {
        self.stop.cancel();
        Ok((&mut self.task).await?)
    }

    /// Starts it once more.
    ///
    /// # Errors
    /// If it has not ended.
    pub async fn again(&mut self) -> Result<()> {
        self.stop = CancellationToken::new();
        self.task = run(&self.config, self.stop.clone()).await?;
        Ok(())
    }
}

async fn run(config: &AgentConfig, stop: CancellationToken) -> Result<JoinHandle<()>> {
    let listening =
        listen(&config.executor_socket).await.map_err(anyhow::Error::msg).context("the executor's socket")?;
    let (executor, peers) = (Arc::new(Executor::new(config.clone())), Peers::new(&config.agent_user));
    Ok(tokio::spawn(server::serve(listening, executor, peers, stop)))
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
