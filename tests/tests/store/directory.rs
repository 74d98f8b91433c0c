//! Who may come in, answered from the store and a real CA.

use crate::{Fixture, NOW_MS};
use fleetlight_controller::ca::Authority;
use fleetlight_controller::directory::StoreDirectory;
use fleetlight_controller::store::join_tokens::NewJoinToken;
use fleetlight_controller::transport::{Directory, Registry};
use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Enrolled, Refusal, RefusalCode};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

struct Entrance {
    fixture: Fixture,
    directory: StoreDirectory,
    folder: PathBuf,
}

impl Drop for Entrance {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Entrance {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let folder = std::env::temp_dir().join(format!("fleetlight-ca-{}", Uuid::new_v4()));
        let authority = Arc::new(Authority::load_or_create(&folder, NOW_MS).expect("a CA"));
        let endpoint = "controller.example:7443".to_owned();
        let directory =
            StoreDirectory::new(fixture.store.clone(), authority, Registry::default(), Arc::new(|| NOW_MS), endpoint);
        Self { fixture, directory, folder }
    }

    async fn enrol(&self, token: &NewJoinToken, hostname: &str, csr: Vec<u8>) -> Result<Enrolled, Refusal> {
        let request = EnrolRequest {
            token_id: token.id.clone(),
            secret: token.secret.clone(),
            csr,
            hostname: hostname.into(),
            machine: "m".into(),
        };
        match self.directory.enrol(request, SocketAddr::from(([127, 0, 0, 1], 1))).await {
            EnrolResponse::Enrolled(enrolled) => Ok(enrolled),
            EnrolResponse::Refused(refusal) => Err(refusal),
        }
    }
}

fn csr() -> Vec<u8> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    CertificateParams::default().serialize_request(&key).expect("a request").der().to_vec()
}

/// As transport computes it from what a peer presents.
fn presented(chain: &[Vec<u8>]) -> [u8; 32] {
    fleetlight_controller::ca::key_hash(&chain[0]).expect("a certificate")
}

#[tokio::test]
async fn an_enrolled_agent_comes_in_renews_and_is_shut_out() {
    let entrance = Entrance::new().await;
    let directory = &entrance.directory;
    let token = entrance.fixture.token(None).await;
    let enrolled = entrance.enrol(&token, "alpha", csr()).await.expect("enrols");
    assert_eq!(enrolled.session_endpoint, "controller.example:7443");
    let first = presented(&enrolled.chain);
    let authorised = directory.authorise(first).await.expect("comes in");
    assert_eq!((authorised.agent.agent_id, authorised.host_name.as_str()), (enrolled.agent_id, "alpha"));

    let chain = directory.renew(authorised.agent, csr()).await.expect("renews");
    let second = presented(&chain);
    assert_eq!(directory.authorise(second).await.expect("comes in").agent, authorised.agent);
    assert_eq!(directory.authorise(first).await.expect_err("replaced").code, RefusalCode::KeyUnknown);

    assert!(entrance.fixture.store.revoke_agent(enrolled.agent_id, "lost", NOW_MS).await.expect("revoked"));
    directory.shut_out(enrolled.agent_id, "lost");
    let refused = directory.authorise(second).await.expect_err("revoked");
    assert_eq!(refused.code, RefusalCode::KeyRevoked);
    assert!(refused.message.contains("lost"), "{refused}");
    assert!(directory.renew(authorised.agent, csr()).await.is_err());
    assert_eq!(directory.authorise([9; 32]).await.expect_err("a stranger").code, RefusalCode::KeyUnknown);
}

#[tokio::test]
async fn garbage_in_a_request_is_refused_and_uses_nothing_up() {
    let entrance = Entrance::new().await;
    let token = entrance.fixture.token(None).await;
    let refused = entrance.enrol(&token, "alpha", vec![1, 2, 3]).await.expect_err("no request");
    assert_eq!(refused.code, RefusalCode::Malformed);
    entrance.enrol(&token, "alpha", csr()).await.expect("the token is still good");
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_is_answered_again_to_the_same_key_only() {
    let entrance = Entrance::new().await;
    let old = entrance.enrol(&entrance.fixture.token(None).await, "alpha", csr()).await.expect("enrols");
    let token = entrance.fixture.token(Some("alpha")).await;
    let request = csr();
    // The commit waits for us; the answer is not waited for as long, and the commit comes all the same.
    let gate = "create function gate() returns trigger language plpgsql as
                    'begin perform pg_advisory_xact_lock(7); return null; end';
                create constraint trigger gate after update on join_tokens deferrable initially deferred
                    for each row execute function gate()";
    sqlx::raw_sql(gate).execute(&entrance.fixture.pool).await.expect("a gate");
    let mut closed = entrance.fixture.pool.begin().await.expect("begins");
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *closed).await.expect("closed");
    let refused = entrance.enrol(&token, "alpha", request.clone()).await.expect_err("cut off");
    assert!(!refused.code.is_final(), "the host tries again: {refused}");
    closed.rollback().await.expect("opened");
    let used = format!("join_tokens where id = '{}' and used_by is not null", token.id);
    let committed = async { while entrance.fixture.count(&used).await == 0 {} };
    timeout(Duration::from_secs(30), committed).await.expect("committed, though nobody waits");

    let stranger = entrance.enrol(&token, "alpha", csr()).await.expect_err("another key");
    assert_eq!(stranger.code, RefusalCode::TokenUsed);
    let enrolled = entrance.enrol(&token, "alpha", request.clone()).await.expect("answered");
    assert_eq!(enrolled.host_name, "alpha");
    let authorised = entrance.directory.authorise(presented(&enrolled.chain)).await.expect("comes in");
    assert_eq!(authorised.agent.agent_id, enrolled.agent_id);
    assert_ne!(enrolled.agent_id, old.agent_id);
    let again = entrance.enrol(&token, "alpha", request.clone()).await.expect("as often as it asks");
    assert_eq!((again.agent_id, entrance.fixture.count("agents").await), (enrolled.agent_id, 2));
    // Not for a key that was revoked meanwhile.
    assert!(entrance.fixture.store.revoke_agent(enrolled.agent_id, "lost", NOW_MS).await.expect("revoked"));
    assert_eq!(entrance.enrol(&token, "alpha", request).await.expect_err("revoked").code, RefusalCode::TokenUsed);
}

#[tokio::test]
async fn without_the_database_only_the_known_come_in() {
    let entrance = Entrance::new().await;
    let directory = &entrance.directory;
    let enrolled = entrance.enrol(&entrance.fixture.token(None).await, "alpha", csr()).await.expect("enrols");
    let other = entrance.enrol(&entrance.fixture.token(None).await, "beta", csr()).await.expect("enrols");
    let third = entrance.enrol(&entrance.fixture.token(None).await, "delta", csr()).await.expect("enrols");
    let (known, unseen) = (presented(&enrolled.chain), presented(&other.chain));
    let untold_key = presented(&third.chain);
    let agent = directory.authorise(known).await.expect("comes in").agent;
    let untold = directory.authorise(untold_key).await.expect("comes in").agent;
    let epoch = Uuid::new_v4();
    assert_eq!(directory.stored(agent, vec![epoch]).await.expect("asked"), [(epoch, Vec::new())], "nothing is stored");
    let token = entrance.fixture.token(None).await;
    entrance.fixture.take_away().await;

    assert_eq!(directory.authorise(known).await.expect("is remembered").agent, agent);
    assert_eq!(directory.authorise(unseen).await.expect_err("is not").code, RefusalCode::Unavailable);
    assert_eq!(directory.stored(agent, vec![epoch]).await.expect("goes on"), [], "it is not known what is");
    let refused = directory.stored(untold, vec![epoch]).await.expect_err("perhaps the database was restored");
    assert_eq!(refused.code, RefusalCode::Unavailable);
    assert_eq!(directory.wanted(agent, Vec::new()).await.expect("goes on"), []);
    let refused = entrance.enrol(&token, "gamma", csr()).await.expect_err("nobody enrols");
    assert!(!refused.code.is_final(), "the host tries again: {refused}");
    entrance.fixture.bring_back().await;
    entrance.enrol(&token, "gamma", csr()).await.expect("and then it works");
}
