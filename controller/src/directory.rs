//! Answers transport's questions from the store and the CA.
//!
//! Every connect is looked up in the database. While that is away, an agent that it knew within the
//! last [`REMEMBER_FOR`] is let in by what was answered then, so that the live view goes on; it
//! is told nothing of what is stored, sends again what was not acked, and the ledger sorts it out. That must have
//! been said once since this start: a restored database may lack what agents know as acked. Whoever is revoked
//! here is forgotten at once. Nobody enrols or renews without the database.

use crate::ca::{Authority, CaError};
use crate::limits::{DATABASE_ANSWER_WAIT, REMEMBER_FOR, REMEMBERED};
use crate::store::agents::{KeyOwner, NewKey};
use crate::store::enrolment::{EnrolledHost, Enrolment};
use crate::store::join_tokens::secret_hash;
use crate::store::{Store, StoreError};
use crate::transport::{AgentRef, Authorised, Directory, Intervals, Registry, WallClock};
use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Enrolled, Refusal, RefusalCode};
use fleetlight_protocol::samples::EntityKind;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// The directory of a running controller.
pub struct StoreDirectory {
    store: Store,
    authority: Arc<Authority>,
    sessions: Registry,
    clock: WallClock,
    /// `host:port` of the session listener, as agents reach it.
    session_endpoint: String,
    remembered: Mutex<HashMap<[u8; 32], (Authorised, Instant)>>,
    /// Agents that were told since this start what is stored of them.
    told: Mutex<HashSet<Uuid>>,
}

impl std::fmt::Debug for StoreDirectory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StoreDirectory")
            .field("session_endpoint", &self.session_endpoint)
            .finish_non_exhaustive()
    }
}

impl StoreDirectory {
    #[must_use]
    pub fn new(
        store: Store,
        authority: Arc<Authority>,
        sessions: Registry,
        clock: WallClock,
        session_endpoint: String,
    ) -> Self {
        Self {
            store,
            authority,
            sessions,
            clock,
            session_endpoint,
            remembered: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Forgets an agent and ends its session.
    pub fn shut_out(&self, agent_id: Uuid, why: &str) {
        self.remembered().retain(|_, (authorised, _)| authorised.agent.agent_id != agent_id);
        self.sessions.close(agent_id, revoked(why));
    }

    fn remember(&self, key_hash: [u8; 32], authorised: &Authorised) {
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.retain(|_, (_, at)| at.elapsed() < REMEMBER_FOR);
        }
        if remembered.len() < REMEMBERED {
            remembered.insert(key_hash, (authorised.clone(), Instant::now()));
        }
    }

    fn recall(&self, key_hash: [u8; 32]) -> Option<Authorised> {
        let remembered = self.remembered();
        remembered
            .get(&key_hash)
            .filter(|(_, at)| at.elapsed() < REMEMBER_FOR)
            .map(|(authorised, _)| authorised.clone())
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Authorised, Instant)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enrol_or_refuse(&self, request: &EnrolRequest) -> Result<Enrolled, Refusal> {
        let now_ms = (self.clock)();
        let enrolment = Enrolment {
            token_id: &request.token_id,
            secret_hash: secret_hash(&request.secret),
            hostname: &request.hostname,
            machine: &request.machine,
            now_ms,
        };
        let mut chain = Vec::new();
        let issue = |agent_id| {
            let issued = self.authority.issue(&request.csr, agent_id, now_ms).map_err(|error| not_issued(&error))?;
            chain = issued.chain;
            Ok(NewKey { hash: issued.key_hash, not_after_ms: issued.ends_ms })
        };
        // Cut off, it may have been committed all the same: the host asks again with the same key, and is answered.
        let EnrolledHost { agent_id, host_name, replaced, .. } =
            answered(self.store.enrol(&enrolment, Uuid::new_v4(), issue)).await??;
        for old in replaced {
            self.shut_out(old, "the host was enrolled again with a new key");
        }
        let session_endpoint = self.session_endpoint.clone();
        Ok(Enrolled { agent_id, host_name, chain, session_endpoint, wall_ms: now_ms })
    }
}

impl Directory for StoreDirectory {
    async fn authorise(&self, key_hash: [u8; 32]) -> Result<Authorised, Refusal> {
        let owner = match answered(self.store.key_owner(key_hash, (self.clock)())).await {
            Ok(owner) => owner,
            Err(unavailable) => return self.recall(key_hash).ok_or(unavailable),
        };
        let judged = judge(owner);
        match &judged {
            Ok(authorised) => self.remember(key_hash, authorised),
            Err(_) => {
                self.remembered().remove(&key_hash);
            }
        }
        judged
    }

    async fn enrol(&self, request: EnrolRequest, _from: SocketAddr) -> EnrolResponse {
        match self.enrol_or_refuse(&request).await {
            Ok(enrolled) => EnrolResponse::Enrolled(enrolled),
            Err(refusal) => EnrolResponse::Refused(refusal),
        }
    }

    async fn renew(&self, agent: AgentRef, csr: Vec<u8>) -> Result<Vec<Vec<u8>>, Refusal> {
        let now_ms = (self.clock)();
        let issued = self.authority.issue(&csr, agent.agent_id, now_ms).map_err(|error| not_issued(&error))?;
        let key = NewKey { hash: issued.key_hash, not_after_ms: issued.ends_ms };
        match answered(self.store.add_key(agent.agent_id, key, now_ms)).await? {
            true => Ok(issued.chain),
            false => Err(revoked("it is not to be renewed")),
        }
    }

    async fn stored(&self, agent: AgentRef, epochs: Vec<Uuid>) -> Result<Vec<(Uuid, Intervals)>, Refusal> {
        match answered(self.store.stored(agent.host_id, &epochs)).await {
            Ok(stored) => {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.len() < REMEMBERED {
                    told.insert(agent.agent_id);
                }
                Ok(stored.into_iter().map(|(epoch, set)| (epoch, set.intervals().to_vec())).collect())
            }
            Err(_) if self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(&agent.agent_id) => {
                Ok(Vec::new())
            }
            Err(unavailable) => Err(unavailable),
        }
    }

    async fn wanted(&self, agent: AgentRef, hashes: Vec<(EntityKind, String)>) -> Result<Vec<EntityKind>, Refusal> {
        Ok(answered(self.store.differing(agent.host_id, &hashes)).await.unwrap_or_default())
    }
}

/// What the database knows against a key.
fn judge(owner: Option<KeyOwner>) -> Result<Authorised, Refusal> {
    let Some(owner) = owner else {
        return Err(Refusal {
            code: RefusalCode::KeyUnknown,
            message: "this controller does not know this agent's key (it was renewed elsewhere, belongs to another \
                      controller, or is younger than the backup that this one was restored from): enrol the host again with a join token that is bound to its name"
                .into(),
        });
    };
    match owner.revoked_for {
        Some(why) => Err(revoked(&why)),
        None => {
            let agent = AgentRef { agent_id: owner.agent_id, host_id: owner.host_id };
            Ok(Authorised { agent, host_name: owner.host_name })
        }
    }
}

fn revoked(why: &str) -> Refusal {
    let message = format!("this agent was revoked ({why}): enrol the host again with a join token bound to its name");
    Refusal { code: RefusalCode::KeyRevoked, message }
}

fn not_issued(error: &CaError) -> Refusal {
    let code = match error {
        CaError::Request(_) => RefusalCode::Malformed,
        _ => {
            tracing::error!(%error, "the CA issues no certificate");
            RefusalCode::Unavailable
        }
    };
    Refusal { code, message: error.to_string() }
}

/// The database's answer, or that there is none. It is waited for less long than transport waits
/// for us, so that what we remember still helps.
async fn answered<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refusal> {
    let reason = match timeout(DATABASE_ANSWER_WAIT, question).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", DATABASE_ANSWER_WAIT.as_secs()),
    };
    tracing::debug!(reason, "the directory cannot ask the database");
    let message = "the controller's database does not answer; try again".into();
    Err(Refusal { code: RefusalCode::Unavailable, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> KeyOwner {
        KeyOwner { agent_id: Uuid::nil(), host_id: 3, host_name: "alpha".into(), not_after_ms: 0, revoked_for: None }
    }

    #[test]
    fn keys_are_judged_by_what_is_known_against_them() {
        let judged = judge(Some(owner())).expect("nothing against it");
        assert_eq!((judged.agent.host_id, judged.host_name.as_str()), (3, "alpha"));
        let refused = judge(Some(KeyOwner { revoked_for: Some("stolen".into()), ..owner() })).expect_err("revoked");
        assert!(refused.message.contains("stolen") && refused.message.contains("join token"), "{refused}");
        assert_eq!(refused.code, RefusalCode::KeyRevoked, "no former key of it is tried");
        let unknown = judge(None).expect_err("unknown");
        assert!(unknown.message.contains("enrol"), "{unknown}");
        assert_eq!(unknown.code, RefusalCode::KeyUnknown);
    }
}
