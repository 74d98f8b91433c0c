//! Join tokens over real loopback TCP: one becomes an identity, the rest are refused in words.

use fleetlight_agent::identity::Identity;
use fleetlight_agent::transport::enrol::{EnrolError, Host, enrol};
use fleetlight_controller::ca::Authority;
use fleetlight_controller::transport::enrolment::{acceptor, serve};
use fleetlight_protocol::SERVER_NAME;
use fleetlight_protocol::control::{EnrolRequest, EnrolResponse, Enrolled, Refusal, RefusalCode};
use fleetlight_protocol::frame::{self, HEAD_BYTES, Head};
use fleetlight_protocol::join_token::JoinToken;
use fleetlight_tests::sim_agent::{Folder, authority};
use fleetlight_tests::sim_controller::{BEGAN_MS, Memory, wall};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct Door {
    memory: Arc<Memory>,
    endpoint: String,
    folder: Folder,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Door {
    async fn open() -> Self {
        let memory = Arc::new(Memory::new(authority().expect("a CA")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = listener.local_addr().expect("an address").to_string();
        let tls = acceptor(&memory.authority, BEGAN_MS).expect("TLS");
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, tls, Arc::clone(&memory), stop.clone()));
        Self { memory, endpoint, folder: Folder::new().expect("a folder"), stop, task }
    }

    fn token(&self, id: char) -> JoinToken {
        token(&self.memory.authority, id, &self.endpoint)
    }

    async fn enrol(&self, token: &JoinToken) -> Result<Identity, EnrolError> {
        enrol(token, self.folder.path(), gpu_1(), wall(0)).await
    }

    async fn close(self) {
        self.stop.cancel();
        self.task.await.expect("ends");
    }
}

fn token(authority: &Authority, id: char, endpoint: &str) -> JoinToken {
    JoinToken {
        ca_fingerprint: authority.fingerprint(),
        id: id.to_string().repeat(32),
        secret: "f".repeat(32),
        endpoint: endpoint.into(),
    }
}

fn gpu_1() -> Host {
    Host { hostname: "gpu-1".into(), machine: "machine".into() }
}

/// A controller that answers only as a test says, and a token for it.
async fn controller() -> (Authority, TcpListener, JoinToken) {
    let authority = authority().expect("a CA");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("an address").to_string();
    let token = token(&authority, '1', &endpoint);
    (authority, listener, token)
}

#[tokio::test]
async fn refusals_come_in_the_controllers_words() {
    let door = Door::open().await;
    let refusals = [
        ('1', RefusalCode::TokenUsed, "this token was used on 3 May by host gpu-7: make a new one"),
        ('2', RefusalCode::TokenExpired, "this token expired an hour ago: make a new one"),
        ('3', RefusalCode::TokenRevoked, "this token was revoked: ask who did, or make a new one"),
        ('4', RefusalCode::TokenHost, "this token is for host gpu-9, not gpu-1"),
    ];
    for (id, code, message) in refusals {
        let refusal = Refusal { code, message: message.into() };
        let answer = EnrolResponse::Refused(refusal.clone());
        door.memory.tables().tokens.insert(id.to_string().repeat(32), answer);
        let error = door.enrol(&door.token(id)).await.expect_err("refused");
        assert_eq!(error.to_string(), message);
        assert!(matches!(error, EnrolError::Refused(said) if said == refusal));
    }
    assert!(Identity::load(door.folder.path()).expect("readable").is_none(), "nothing was written");
    door.close().await;
}

#[tokio::test]
async fn a_wrong_fingerprint_keeps_the_secret_at_home() {
    let door = Door::open().await;
    let mut token = door.token('1');
    token.ca_fingerprint[0] ^= 1;
    let error = door.enrol(&token).await.expect_err("refused");
    assert!(matches!(error, EnrolError::WrongController { .. }), "{error}");
    let words = error.to_string();
    assert!(words.contains("fingerprint") && words.contains("make a new token"), "{words}");
    assert!(door.memory.tables().enrolments.is_empty(), "the controller never saw the secret");
    door.close().await;
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let door = Door::open().await;
    let token = door.token('1');
    door.stop.cancel();
    door.task.await.expect("ends");
    let host = Host { hostname: String::new(), machine: String::new() };
    let error = enrol(&token, door.folder.path(), host, wall(0)).await.expect_err("nobody");
    assert!(error.to_string().contains(&token.endpoint) && error.to_string().contains("TCP port"), "{error}");
}

/// The next request, and where to answer it.
async fn requested(authority: &Authority, listener: &TcpListener) -> (EnrolRequest, TlsStream<TcpStream>) {
    let tls = acceptor(authority, BEGAN_MS).expect("TLS");
    let (stream, _) = listener.accept().await.expect("a connection");
    let mut stream = tls.accept(stream).await.expect("TLS");
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.expect("a head");
    let head = Head::parse(head).expect("within bounds");
    let mut payload = vec![0; head.length];
    stream.read_exact(&mut payload).await.expect("a payload");
    (frame::decode(head, &payload).expect("a request"), stream)
}

/// Answers like the real listener, but certifies the key that the request names.
async fn issuing(authority: &Authority, listener: &TcpListener) -> EnrolRequest {
    let (request, mut stream) = requested(authority, listener).await;
    assert_eq!(request.secret, "f".repeat(32));
    let agent_id = Uuid::from_u128(5);
    let chain = authority.issue(&request.csr, agent_id, BEGAN_MS).expect("issued").chain;
    let answer = EnrolResponse::Enrolled(Enrolled {
        agent_id,
        host_name: "gpu-1".into(),
        chain,
        session_endpoint: "controller.example:7443".into(),
        wall_ms: BEGAN_MS,
    });
    stream.write_all(&frame::encode(&answer).expect("encodes")).await.expect("sent");
    stream.shutdown().await.expect("closed");
    request
}

#[tokio::test]
async fn a_good_token_becomes_an_identity_that_only_its_owner_can_read() {
    let (authority, listener, token) = controller().await;
    let folder = Folder::new().expect("a folder");
    // A clock ten years behind is no hindrance: the pinned CA makes no certificate in advance.
    let behind = wall(-10 * 365 * 24 * 3_600 * 1_000);
    let (enrolled, _) = tokio::join!(enrol(&token, folder.path(), gpu_1(), behind), issuing(&authority, &listener));
    let enrolled = enrolled.expect("enrolled");
    assert_eq!((enrolled.host_name.as_str(), enrolled.agent_id), ("gpu-1", Uuid::from_u128(5)));
    let loaded = Identity::load(folder.path()).expect("readable").expect("there");
    assert_eq!((loaded.leaf, loaded.authority), (enrolled.leaf, authority.certificate().clone()));
    assert_eq!(loaded.session_endpoint, "controller.example:7443");
    let mode = std::fs::metadata(folder.path().join("identity.json")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let (authority, listener, token) = controller().await;
    let folder = Folder::new().expect("a folder");
    // Whoever reads the request and hangs up may have used the token up.
    let hangs_up = async { requested(&authority, &listener).await.0 };
    let (lost, first) = tokio::join!(enrol(&token, folder.path(), gpu_1(), wall(0)), hangs_up);
    let lost = lost.expect_err("no answer").to_string();
    assert!(lost.contains("try again with the same token"), "{lost}");
    let (enrolled, second) =
        tokio::join!(enrol(&token, folder.path(), gpu_1(), wall(0)), issuing(&authority, &listener));
    enrolled.expect("enrolled");
    assert_eq!(public_key(&authority, &second.csr), public_key(&authority, &first.csr));
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|it| it.file_name()).collect();
    assert!(!left.iter().any(|name| name == "enrolling.json"), "{left:?}");
}

fn public_key(authority: &Authority, csr: &[u8]) -> [u8; 32] {
    authority.issue(csr, Uuid::nil(), BEGAN_MS).expect("a request").key_hash
}

#[tokio::test]
async fn an_oversize_request_is_refused_and_the_next_one_served() {
    let door = Door::open().await;
    let clock = Arc::new(fleetlight_agent::transport::clock::Clock::load(door.folder.path(), wall(0)));
    let pin = door.memory.authority.fingerprint();
    let config = fleetlight_agent::transport::tls::enrolment_config(pin, clock).expect("TLS");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = rustls_pki_types::ServerName::try_from(SERVER_NAME).expect("a name");
    let stream = TcpStream::connect(&door.endpoint).await.expect("connects");
    let mut stream = connector.connect(name, stream).await.expect("TLS");
    stream.write_all(&[0, 1, 0, 0]).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let (head, payload) = answer.split_first_chunk::<HEAD_BYTES>().expect("a frame");
    let answer: EnrolResponse = frame::decode(Head::parse(*head).expect("a head"), payload).expect("an answer");
    assert!(matches!(answer, EnrolResponse::Refused(refusal) if refusal.code == RefusalCode::Malformed));
    let error = door.enrol(&door.token('9')).await.expect_err("unknown");
    assert!(error.to_string().contains("not known here"), "{error}");
    door.close().await;
}
