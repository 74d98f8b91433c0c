//! An agent's place among those who are there: whoever was said to be connected is said to be gone.

use super::listener::Context;
use super::opening::Opened;
use super::registry::{Close, Entry, Line};
use super::session::End;
use super::{AgentRef, Presence, WallClock};
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// Held as long as the session runs. However that ends, its end is told, unless a newer session has the place.
pub(super) struct Present {
    /// Taken when it leaves.
    entry: Option<Entry>,
    agent: AgentRef,
    presence: mpsc::Sender<Presence>,
    wall: WallClock,
}

impl Present {
    /// Takes the agent's place in the registry, and says that it is connected.
    pub async fn enter<D>(peer: SocketAddr, opened: &Opened, context: &Context<D>) -> Result<Self, End> {
        let permit = context.presence.reserve().await.ok();
        let (hello, agent) = (&opened.hello, opened.agent);
        let connected = Presence::Connected {
            agent,
            address: peer,
            agent_version: hello.agent_version.clone(),
            boot_id: hello.boot_id.clone(),
            at_ms: (context.wall)(),
        };
        let announce = say(permit, connected);
        let entry = context.registry.enter(agent.agent_id, hello.epoch, hello.connection, announce)?;
        let (presence, wall) = (context.presence.clone(), context.wall.clone());
        Ok(Self { entry: Some(entry), agent, presence, wall })
    }

    /// From now on the agent can be asked.
    pub fn welcomed(&self, line: Line) {
        if let Some(entry) = &self.entry {
            entry.welcomed(line);
        }
    }

    /// Waits until the registry ends this session.
    pub async fn closed(&mut self) -> Close {
        match &mut self.entry {
            Some(entry) => entry.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Gives the place up, and says why.
    pub async fn leave(mut self, goodbye: bool, reason: String) {
        let presence = self.presence.clone();
        let permit = presence.reserve().await.ok();
        let gone = self.gone(goodbye, reason);
        if let Some(entry) = self.entry.take() {
            entry.leave(say(permit, gone));
        }
    }

    fn gone(&self, goodbye: bool, reason: String) -> Presence {
        Presence::Disconnected { agent: self.agent, at_ms: (self.wall)(), goodbye, reason }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            // Nobody can wait here: with a full queue the live view finds out by the silence.
            entry.leave(|| drop(self.presence.try_send(self.gone(false, "its session broke off".into()))));
        }
    }
}

/// Without a permit nobody listens any more.
fn say(permit: Option<mpsc::Permit<'_, Presence>>, presence: Presence) -> impl FnOnce() {
    move || {
        if let Some(permit) = permit {
            permit.send(presence);
        }
    }
}
