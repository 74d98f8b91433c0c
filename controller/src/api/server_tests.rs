use super::*;
use axum::extract::Extension;
use axum::routing::get;
use rustls_pki_types::ServerName;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// A folder with a certificate for `localhost` and its key.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> (Self, CertificateDer<'static>) {
        let dir = std::env::temp_dir().join(format!("fl-web-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        (Self(dir), made.cert.der().clone())
    }

    fn settings(&self, certificate: &str, key: &str) -> WebSettings {
        WebSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            tls: Some(TlsFiles { certificate: self.0.join(certificate), key: self.0.join(key) }),
            trusted_proxy: None,
            dashboard_dir: PathBuf::new(),
            jwt: None,
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn connector(root: CertificateDer<'static>, protocol: &[u8]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_page_is_served_encrypted_and_ends_in_order() {
    let (files, root) = Files::new("tls");
    let web = Web::bind(files.settings("cert.pem", "key.pem")).await.unwrap();
    let address = web.address().unwrap();
    assert_eq!(web.origin(), format!("https://{address}"));
    let router = Router::new().route("/", get(async |Extension(peer): Extension<Peer>| peer.0.ip().to_string()));
    let stop = CancellationToken::new();
    let listening = Listening { listener: web.listener, tls: web.tls, sites: web.own.sites };
    let served = tokio::spawn(listening.serve(router, stop.clone()));
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut tls = connector(root.clone(), b"http/1.1").connect(name.clone(), tcp).await.unwrap();
    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
    let tcp = TcpStream::connect(address).await.unwrap();
    let tls = connector(root, b"h2").connect(name, tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Neither a browser that says nothing nor one that speaks no TLS holds up the end.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    stop.cancel();
    timeout(WEB_DRAIN + Duration::from_secs(5), served).await.expect("ends").unwrap();
}

#[tokio::test]
async fn faults_of_the_certificate_and_the_port_are_named() {
    let (files, _) = Files::new("faults");
    // As the start says them, with the setting at fault.
    let said = |error: WebError| format!("{}: {error}", error.setting());
    let fault = async |certificate, key| said(Web::bind(files.settings(certificate, key)).await.unwrap_err());
    let missing = fault("none.pem", "key.pem").await;
    assert!(missing.contains("web_tls") && missing.contains("none.pem"), "{missing}");
    let no_key = fault("cert.pem", "cert.pem").await;
    assert!(no_key.contains("cert.pem is not read as a PEM private key"), "{no_key}");
    let other = rcgen::KeyPair::generate().unwrap();
    fs::write(files.0.join("other.pem"), other.serialize_pem()).unwrap();
    let mismatch = fault("cert.pem", "other.pem").await;
    assert!(mismatch.contains("and its key cannot be used"), "{mismatch}");
    let empty = files.0.join("empty.pem");
    fs::write(&empty, "").unwrap();
    let empty = fault("empty.pem", "key.pem").await;
    assert!(empty.contains("empty.pem"), "{empty}");
    let taken = Web::bind(files.settings("cert.pem", "key.pem")).await.unwrap();
    let settings = WebSettings { listen: taken.address().unwrap(), ..files.settings("cert.pem", "key.pem") };
    let taken = said(Web::bind(settings).await.unwrap_err());
    assert!(["web_listen", "cannot be opened", "another port"].iter().all(|words| taken.contains(words)), "{taken}");
}
