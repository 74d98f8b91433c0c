//! `fleetlight-agent emergency-stop`: on the host, also while the controller and even the executor are away.

use crate::config::AgentConfig;
use crate::executor::actions::{Finding, Report, Task, emergency};
use crate::executor::policy::{self, Policy};
use crate::executor::{Client, Executor, Request, wire};
use crate::failure::Failure;
use crate::limits::{EMERGENCY_SILENCE, EMERGENCY_TAKEN_WITHIN};
use fleetlight_protocol::command::{CommandReport, Outcome, OutputStream};
use std::path::Path;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Stops, prints each step, and gives whether all are stopped. Without a pattern it is the only one that is declared.
///
/// # Errors
/// [`Failure`] if the policy has no such pattern, or Docker does not answer.
pub async fn run(config: AgentConfig, pattern: Option<String>) -> Result<bool, Failure> {
    let policy = policy::load(&config.policy_file).await.map_err(|refused| Failure::Config(refused.reason))?;
    let pattern = chosen(pattern, &policy, &config.policy_file)?;
    let client = Client::new(config.executor_socket.clone());
    let found = match through(&client, pattern.clone()).await {
        Ok(found) => found,
        Err(why) => {
            eprintln!("{why}\nstopping without the executor");
            directly(config, &pattern, &policy).await?
        }
    };
    println!("{}", found.observed);
    if found.outcome != Outcome::Verified {
        eprintln!("not so: {}: {}", found.asked, found.reason.unwrap_or_default());
    }
    Ok(found.outcome == Outcome::Verified)
}

fn chosen(pattern: Option<String>, policy: &Policy, file: &Path) -> Result<String, Failure> {
    let file = file.display();
    let known: Vec<&str> = policy.emergency_stops().collect();
    match (pattern, &known[..]) {
        (Some(pattern), _) => {
            policy.emergency_stop(&pattern).map(|_| pattern.clone()).map_err(|refused| Failure::Config(refused.reason))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => Err(Failure::Config(format!(
            "{file} declares no emergency stop: add [emergency_stop.NAME] with containers = [\"pattern\"]; \
             if the executor was given a --config, give this the same"
        ))),
        (None, several) => {
            Err(Failure::Config(format!("{file} declares several: add --pattern with one of {}", several.join(", "))))
        }
    }
}

/// By the executor.
///
/// # Errors
/// In words: it is away, has other trouble than with Docker, or does not say in time that it has begun.
async fn through(client: &Client, pattern: String) -> Result<Finding, String> {
    let mut stream = client.ask(&Request::EmergencyStop { pattern }).await?;
    let mut within = EMERGENCY_TAKEN_WITHIN;
    loop {
        match timeout(within, wire::read(&mut stream)).await {
            Err(_) => return Err(format!("the executor has said nothing for {} s", within.as_secs())),
            Ok(Err(error)) => return Err(format!("the executor broke off: {error}")),
            Ok(Ok(None)) => return Err("the executor broke off, or does not take this from this account".into()),
            Ok(Ok(Some(CommandReport::Unavailable { message }))) => return Err(message),
            Ok(Ok(Some(CommandReport::Finished(result)))) => {
                if result.outcome == Outcome::Refused {
                    return Err(result.reason.unwrap_or_default());
                }
                let (outcome, asked, observed) = (result.outcome, result.asked, result.observed);
                return Ok(Finding { outcome, asked, observed, reason: result.reason, exit_code: None });
            }
            Ok(Ok(Some(CommandReport::Step { text, .. }))) => println!("{text}"),
            Ok(Ok(Some(CommandReport::Accepted { .. } | CommandReport::Output { .. }))) => {}
        }
        within = EMERGENCY_SILENCE;
    }
}

/// By this process, which must be allowed to use Docker's socket.
async fn directly(config: AgentConfig, pattern: &str, policy: &Policy) -> Result<Finding, Failure> {
    let executor = Arc::new(Executor::new(config));
    let prepared = emergency::prepare(pattern, policy, &executor).await;
    let prepared = prepared.map_err(|refused| Failure::Unavailable(refused.reason))?;
    let (command, report, cancel) = (Uuid::now_v7(), Arc::new(Printed), CancellationToken::new());
    Ok(prepared.run(&Task { executor, command, report, cancel }).await)
}

/// Steps as lines.
#[derive(Debug)]
struct Printed;

impl Report for Printed {
    fn step(&self, text: &str) {
        println!("{text}");
    }

    fn output(&self, _: OutputStream, _: &[u8]) {}
}
