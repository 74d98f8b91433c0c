//! Enrolment, keys, renewal, revocation.

use crate::{Fixture, NOW_MS};
use fleetlight_controller::store::agents::NewKey;
use fleetlight_controller::store::enrolment::{EnrolledHost, Enrolment};
use fleetlight_controller::store::join_tokens::{NewJoinToken, secret_hash};
use fleetlight_protocol::control::{Refusal, RefusalCode};
use uuid::Uuid;

const HOUR_MS: i64 = 3_600_000;

fn key(number: u8) -> NewKey {
    NewKey { hash: [number; 32], not_after_ms: NOW_MS + 7 * 24 * HOUR_MS }
}

async fn enrol_at(
    fixture: &Fixture,
    token: &NewJoinToken,
    hostname: &str,
    number: u8,
    now_ms: i64,
) -> Result<(Uuid, EnrolledHost), Refusal> {
    let secret_hash = secret_hash(&token.secret);
    let enrolment = Enrolment { token_id: &token.id, secret_hash, hostname, machine: "m", now_ms };
    let agent_id = Uuid::new_v4();
    let host = fixture.store.enrol(&enrolment, agent_id, |_| Ok(key(number))).await.expect("the database answers")?;
    Ok((host.agent_id, host))
}

async fn enrol(
    fixture: &Fixture,
    token: &NewJoinToken,
    hostname: &str,
    number: u8,
) -> Result<(Uuid, EnrolledHost), Refusal> {
    enrol_at(fixture, token, hostname, number, NOW_MS).await
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> RefusalCode {
    result.expect_err("refused").code
}

#[tokio::test]
async fn a_token_enrols_once() {
    let fixture = Fixture::new().await;
    let token = fixture.token(None).await;
    assert!(!format!("{token:?}").contains(&token.secret));
    let (agent_id, host) = enrol(&fixture, &token, "alpha", 1).await.expect("enrols");
    assert_eq!(host.host_name, "alpha");
    let used = enrol(&fixture, &token, "beta", 2).await.expect_err("used");
    assert_eq!(used.code, RefusalCode::TokenUsed);
    assert!(used.message.contains("make a new one"), "{used}");
    let listed = fixture.store.join_tokens().await.expect("listed");
    assert_eq!((listed[0].used_by, listed[0].used_ms), (Some(agent_id), Some(NOW_MS)));
    let owner = fixture.store.key_owner([1; 32], NOW_MS).await.expect("asked").expect("known");
    assert_eq!((owner.agent_id, owner.host_name.as_str()), (agent_id, "alpha"));
}

#[tokio::test]
async fn each_fault_of_a_token_is_named() {
    let fixture = Fixture::new().await;
    let mut stranger = fixture.token(None).await;
    stranger.id = "0".repeat(32);
    assert_eq!(code(enrol(&fixture, &stranger, "alpha", 1).await), RefusalCode::TokenUnknown);
    let mut guessed = fixture.token(None).await;
    guessed.secret = "f".repeat(32);
    assert_eq!(code(enrol(&fixture, &guessed, "alpha", 1).await), RefusalCode::TokenUnknown);
    let late = fixture.token(None).await;
    assert_eq!(code(enrol_at(&fixture, &late, "alpha", 1, NOW_MS + HOUR_MS).await), RefusalCode::TokenExpired);
    let revoked = fixture.token(None).await;
    assert!(fixture.store.revoke_join_token(&revoked.id, NOW_MS).await.expect("revoked"));
    assert_eq!(code(enrol(&fixture, &revoked, "alpha", 1).await), RefusalCode::TokenRevoked);
    let token = fixture.token(None).await;
    assert_eq!(code(enrol(&fixture, &token, "no good", 1).await), RefusalCode::Malformed);
    assert_eq!(fixture.count("hosts").await, 0);
}

#[tokio::test]
async fn a_refused_certificate_leaves_the_token_good() {
    let fixture = Fixture::new().await;
    let token = fixture.token(None).await;
    let secret_hash = secret_hash(&token.secret);
    let enrolment = Enrolment { token_id: &token.id, secret_hash, hostname: "alpha", machine: "m", now_ms: NOW_MS };
    let bad = |_| Err(Refusal { code: RefusalCode::Malformed, message: "no request".into() });
    let refused = fixture.store.enrol(&enrolment, Uuid::new_v4(), bad).await.expect("the database answers");
    assert_eq!(code(refused), RefusalCode::Malformed);
    assert_eq!(fixture.count("hosts").await, 0);
    enrol(&fixture, &token, "alpha", 1).await.expect("enrols");
}

#[tokio::test]
async fn an_answer_is_given_again_to_the_same_machine_only() {
    let fixture = Fixture::new().await;
    for (hostname, first, again, may) in
        [("alpha", "m", "m", true), ("beta", "m", "clone", false), ("gamma", "m", "", false), ("delta", "", "m", true)]
    {
        let token = fixture.token(None).await;
        let secret_hash = secret_hash(&token.secret);
        let number = hostname.as_bytes()[0];
        let ask = async |machine| {
            let enrolment = Enrolment { token_id: &token.id, secret_hash, hostname, machine, now_ms: NOW_MS };
            let asked = fixture.store.enrol(&enrolment, Uuid::new_v4(), |_| Ok(key(number))).await;
            asked.expect("the database answers").map(|host| host.agent_id).map_err(|refusal| refusal.code)
        };
        let agent_id = ask(first).await.expect("enrols");
        let expected = if may { Ok(agent_id) } else { Err(RefusalCode::TokenUsed) };
        assert_eq!(ask(again).await, expected, "{first:?}, then {again:?}");
    }
}

#[tokio::test]
async fn a_name_is_taken_over_only_by_a_token_bound_to_it() {
    let fixture = Fixture::new().await;
    let token = fixture.token(None).await;
    let (old, host) = enrol(&fixture, &token, "alpha", 1).await.expect("enrols");
    let unbound = fixture.token(None).await;
    let refused = enrol(&fixture, &unbound, "alpha", 2).await.expect_err("never takes over a name");
    assert_eq!(refused.code, RefusalCode::TokenHost);
    assert!(refused.message.contains("bound to \"alpha\""), "{refused}");

    let bound = fixture.token(Some("alpha")).await;
    let (new, again) = enrol(&fixture, &bound, "another-hostname", 2).await.expect("replaces the key");
    assert_eq!((again.host_id, again.host_name.as_str()), (host.host_id, "alpha"), "the host keeps its history");
    assert_eq!(again.replaced, [old]);
    let old_key = fixture.store.key_owner([1; 32], NOW_MS).await.expect("asked").expect("known");
    assert!(old_key.revoked_for.is_some());
    let new_key = fixture.store.key_owner([2; 32], NOW_MS).await.expect("asked").expect("known");
    assert_eq!((new_key.agent_id, new_key.revoked_for), (new, None));
}

#[tokio::test]
async fn two_machines_cannot_use_one_token() {
    let fixture = Fixture::new().await;
    let token = fixture.token(None).await;
    let (one, other) = tokio::join!(enrol(&fixture, &token, "alpha", 1), enrol(&fixture, &token, "beta", 2));
    assert_eq!([&one, &other].iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(fixture.count("hosts").await, 1);
}

/// An agent that enrolled with key 1.
struct Renewing {
    fixture: Fixture,
    agent_id: Uuid,
}

impl Renewing {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let token = fixture.token(None).await;
        let (agent_id, _) = enrol(&fixture, &token, "alpha", 1).await.expect("enrols");
        Self { fixture, agent_id }
    }

    async fn renew(&self, keys: impl IntoIterator<Item = u8>) {
        for number in keys {
            let at_ms = NOW_MS + i64::from(number);
            assert!(self.fixture.store.add_key(self.agent_id, key(number), at_ms).await.expect("renews"));
        }
    }

    /// Whether an agent that comes with this key is known; to ask is to use it.
    async fn known(&self, number: u8) -> bool {
        self.fixture.store.key_owner([number; 32], NOW_MS).await.expect("asked").is_some()
    }
}

#[tokio::test]
async fn a_renewed_key_ends_the_old_one_once_it_is_used() {
    let agent = Renewing::new().await;
    assert!(agent.known(1).await);
    // The answer to the first renewal is lost; the old key still works, and the second counts.
    agent.renew([2]).await;
    assert!(agent.known(1).await);
    agent.renew([3]).await;
    assert!(agent.known(3).await);
    assert!(!agent.known(1).await && !agent.known(2).await, "the new key is in use");
    agent.renew(4..20).await;
    assert_eq!(agent.fixture.count("agent_keys").await, 4, "bounded");
}

#[tokio::test]
async fn renewals_that_are_never_used_do_not_shut_an_agent_out() {
    let agent = Renewing::new().await;
    assert!(agent.known(1).await);
    agent.renew(2..7).await;
    assert_eq!(agent.fixture.count("agent_keys").await, 4, "bounded");
    assert!(agent.known(1).await, "the key in use stays");
    assert!(agent.known(6).await, "so does the newest");
}

#[tokio::test]
async fn a_revoked_agent_stays_out() {
    let fixture = Fixture::new().await;
    let token = fixture.token(None).await;
    let (agent_id, _) = enrol(&fixture, &token, "alpha", 1).await.expect("enrols");
    assert!(fixture.store.revoke_agent(agent_id, "stolen", NOW_MS).await.expect("revoked"));
    assert!(!fixture.store.revoke_agent(agent_id, "again", NOW_MS).await.expect("asked"), "once is enough");
    let owner = fixture.store.key_owner([1; 32], NOW_MS).await.expect("asked").expect("known");
    assert_eq!(owner.revoked_for.as_deref(), Some("stolen"));
    assert!(!fixture.store.add_key(agent_id, key(2), NOW_MS).await.expect("asked"));
    let agents = fixture.store.agents().await.expect("listed");
    assert_eq!((agents[0].id, agents[0].revoked_ms), (agent_id, Some(NOW_MS)));
}
