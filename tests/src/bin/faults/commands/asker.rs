//! People who ask for the same thing again and again, each once the last is closed.

use super::effects::Starts;
use crate::random::Random;
use crate::world::World;
use anyhow::Result;
use fleetlight_protocol::command::ContainerTarget;
use fleetlight_tests::client::Client;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What an answer of a controller that dies may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a daemon may take over a restart whose executor died: what comes later would look like the next one's.
const DAEMON_WITHIN: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub enum Wish {
    Check,
    Restart(ContainerTarget),
    Runbook(&'static str),
    /// The restart of all its containers with such a name, one after the other.
    Bulk(String),
}

#[derive(Debug)]
pub struct Asker<'a> {
    world: &'a World,
    client: Client,
    starts: &'a Starts,
    host: i64,
    wish: Wish,
    random: Random,
}

impl<'a> Asker<'a> {
    pub fn new(world: &'a World, client: &Client, starts: &'a Starts, host: i64, wish: Wish) -> Self {
        let stream =
            format!("{host} {wish:?}").bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
        let random = Random::new(world.seed, stream);
        Self { world, client: client.clone(), starts, host, wish, random }
    }

    pub async fn ask(&mut self) {
        while !self.world.is_over() {
            let before = self.count();
            let order = self.order();
            let made = self.post(&self.path(), &order).await;
            let id = made.ok().and_then(|view| view["id"].as_str().map(str::to_owned));
            if let Some(id) = &id
                && self.kind() == "commands"
                && self.random.one_in(6)
            {
                sleep(self.random.ms(0, 1_500)).await;
                let _ = self.post(&format!("commands/{id}/cancel"), &json!({})).await;
            }
            self.until_closed(id.as_deref()).await;
            self.until_still(id.as_deref(), before).await;
            sleep(self.random.ms(100, 800)).await;
        }
    }

    fn path(&self) -> String {
        match self.wish {
            Wish::Bulk(_) => "bulks".into(),
            _ => format!("hosts/{}/commands", self.host),
        }
    }

    fn order(&mut self) -> Value {
        let action = match &self.wish {
            Wish::Check => json!("check"),
            Wish::Restart(container) => {
                let stable_seconds = self.random.within(0, 1);
                json!({ "container": { "verb": "restart", "container": container, "stable_seconds": stable_seconds } })
            }
            Wish::Runbook(name) => json!({ "runbook": { "name": name, "parameters": {} } }),
            Wish::Bulk(pattern) => {
                return json!({ "verb": "restart", "selection": { "host_ids": [self.host], "pattern": pattern }, "batch_size": 1,
                               "stop_on_failure": false, "stable_seconds": 0 });
            }
        };
        let deadline_seconds = if self.random.one_in(5) { 1 } else { 60 };
        json!({ "action": action, "deadline_seconds": deadline_seconds })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        timeout(ANSWER_WITHIN, self.client.post(path, body)).await?
    }

    async fn get(&self, path: &str) -> Result<Value> {
        timeout(ANSWER_WITHIN, self.client.get(path)).await?
    }

    /// Until the controller says that nothing of the kind is open: what was asked may be stored though no answer came.
    async fn until_closed(&self, id: Option<&str>) {
        while !self.world.is_over() {
            sleep(POLL).await;
            let is_closed = match id {
                Some(id) => self.get(&format!("{}/{id}", self.kind())).await.is_ok_and(|view| has_ended(&view)),
                None => self.get(&self.open()).await.is_ok_and(|list| self.has_none(&list)),
            };
            if is_closed {
                return;
            }
        }
    }

    fn kind(&self) -> &'static str {
        if matches!(self.wish, Wish::Bulk(_)) { "bulks" } else { "commands" }
    }

    /// Where everything of this kind that is open is listed.
    fn open(&self) -> String {
        if self.kind() == "bulks" { "bulks".into() } else { format!("commands?open=true&host={}", self.host) }
    }

    fn has_none(&self, open: &Value) -> bool {
        let is_ours = |view: &Value| match &self.wish {
            Wish::Check => view["subject"] == "",
            Wish::Restart(container) => view["subject"] == *container.name,
            Wish::Runbook(name) => view["subject"] == *name,
            Wish::Bulk(pattern) => view["selection"]["pattern"] == *pattern && view["state"] == "running",
        };
        open.as_array().is_some_and(|open| !open.iter().any(is_ours))
    }

    /// Until nothing of a restart can come any more: a daemon that was asked goes on when the executor is gone.
    async fn until_still(&self, id: Option<&str>, before: usize) {
        if matches!(self.wish, Wish::Check | Wish::Runbook(_)) {
            return;
        }
        if let Some(id) = id
            && self.get(&format!("{}/{id}", self.kind())).await.is_ok_and(|view| is_still(&view))
        {
            return;
        }
        let until = Instant::now() + DAEMON_WITHIN;
        while Instant::now() < until && (self.kind() == "bulks" || self.count() == before) {
            sleep(POLL).await;
        }
    }

    /// Starts of its container so far.
    fn count(&self) -> usize {
        let Wish::Restart(container) = &self.wish else { return 0 };
        self.starts.read().ok().and_then(|starts| starts.get(&container.id).map(Vec::len)).unwrap_or(0)
    }
}

fn has_ended(view: &Value) -> bool {
    // A command, or a bulk.
    !matches!(view["state"].as_str(), None | Some("queued" | "sent" | "running"))
}

/// Whether the daemon has ended what it was asked, if it was.
fn is_still(view: &Value) -> bool {
    let all_verified = view["total"].is_i64() && view["verified"] == view["total"];
    all_verified || matches!(view["outcome"].as_str(), Some("verified" | "refused" | "expired"))
}
