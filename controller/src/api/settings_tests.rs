use super::*;

fn settings(listen: &str, public_url: Option<&str>, tls: bool, proxy: Option<&str>) -> Result<Sites, WebError> {
    let settings = WebSettings {
        listen: listen.parse().unwrap(),
        public_url: public_url.map(str::to_owned),
        tls: tls.then(|| TlsFiles { certificate: "c".into(), key: "k".into() }),
        trusted_proxy: proxy.map(|proxy| proxy.parse().unwrap()),
        dashboard_dir: PathBuf::new(),
        jwt: None,
    };
    Sites::new(&settings, settings.listen)
}

#[test]
fn off_loopback_needs_encryption_and_a_name() {
    let public = Some("https://fleet.example.org");
    assert!(matches!(settings("0.0.0.0:80", public, false, None), Err(WebError::Unencrypted(_))));
    assert!(matches!(settings("0.0.0.0:443", None, true, None), Err(WebError::NoPublicUrl(_))));
    assert!(matches!(settings("192.0.2.1:80", None, false, Some("192.0.2.2")), Err(WebError::NoPublicUrl(_))));
    assert!(settings("0.0.0.0:443", public, true, None).is_ok());
    assert!(settings("0.0.0.0:80", public, false, Some("192.0.2.2")).is_ok());
    assert!(settings("127.0.0.1:7070", None, false, None).is_ok());
    assert!(settings("[::1]:7070", None, false, None).is_ok());
}

#[test]
fn a_public_url_is_an_encrypted_origin() {
    for wrong in ["fleet.example.org", "ftp://fleet.example.org", "https://fleet.example.org/page", "https://a@b", ""] {
        assert!(matches!(settings("127.0.0.1:1", Some(wrong), false, None), Err(WebError::PublicUrl(_))), "{wrong}");
    }
    let plain = settings("127.0.0.1:1", Some("http://fleet.example.org"), false, None);
    assert!(matches!(plain, Err(WebError::PublicUrlUnencrypted(_))));
    assert!(settings("127.0.0.1:1", Some("http://fleet.localhost:1"), false, None).is_ok());
}

#[test]
fn hosts_are_ours_by_name_and_port() {
    let sites = settings("127.0.0.1:7070", Some("https://Fleet.Example.org:443/"), false, None).unwrap();
    let site = |host: &str| sites.of_host(host).map(|site| (site.origin, site.secure));
    assert_eq!(site("fleet.example.org"), Some(("https://fleet.example.org".into(), true)));
    assert_eq!(site("localhost:7070"), Some(("http://localhost:7070".into(), false)));
    assert_eq!(site("[::1]:7070"), Some(("http://[::1]:7070".into(), false)));
    for foreign in ["localhost", "localhost:7071", "fleet.example.org:7070", "evil.example:7070", "", "127.0.0.1"] {
        assert_eq!(site(foreign), None, "{foreign}");
    }
    assert_eq!(sites.origin(), "https://fleet.example.org");
}

#[test]
fn only_the_named_proxy_may_speak_for_others_and_come_in_unencrypted() {
    let sites = settings("0.0.0.0:80", Some("https://fleet.example.org"), false, Some("192.0.2.2")).unwrap();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(sites.admits(ip("192.0.2.2")) && sites.admits(ip("::ffff:192.0.2.2")) && sites.admits(ip("127.0.0.1")));
    assert!(!sites.admits(ip("192.0.2.3")));
    assert_eq!(sites.client(ip("192.0.2.2"), Some("1.1.1.1, 198.51.100.7")), ip("198.51.100.7"));
    assert_eq!(sites.client(ip("127.0.0.1"), Some("198.51.100.7")), ip("127.0.0.1"));
    assert_eq!(sites.client(ip("192.0.2.2"), Some("nonsense")), ip("192.0.2.2"));
}
