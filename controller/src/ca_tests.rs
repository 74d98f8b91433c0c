use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

const NOW_MS: i64 = 1_790_000_000_000;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fleetlight-ca-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn authority(&self) -> Result<Authority, CaError> {
        Authority::load_or_create(&self.0, NOW_MS)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn request() -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new(vec!["somebody.else".to_owned()]).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let csr = params.serialize_request(&key).expect("csr").der().to_vec();
    (key, csr)
}

#[test]
fn a_ca_survives_a_restart_and_its_key_is_private() {
    let folder = Folder::new();
    let first = folder.authority().expect("made");
    let second = folder.authority().expect("loaded");
    assert_eq!(first.fingerprint(), second.fingerprint());
    assert_eq!(first.fingerprint(), key_hash(first.certificate()).expect("hash"));
    assert_eq!(first.derived_secret("a"), second.derived_secret("a"));
    assert_ne!(first.derived_secret("a"), first.derived_secret("b"));
    let mode = fs::metadata(folder.0.join(KEY_FILE)).expect("key file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_lost_certificate_is_made_anew_from_the_key() {
    let folder = Folder::new();
    let pin = folder.authority().expect("made").fingerprint();
    fs::remove_file(folder.0.join(CERTIFICATE_FILE)).expect("removed");
    assert_eq!(folder.authority().expect("made anew").fingerprint(), pin);
}

#[test]
fn faults_of_the_folder_are_named() {
    let folder = Folder::new();
    folder.authority().expect("made");
    let key = folder.0.join(KEY_FILE);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("chmod");
    assert!(matches!(folder.authority(), Err(CaError::KeyExposed { mode: 0o644, .. })));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::write(&key, "nonsense").expect("written");
    assert!(matches!(folder.authority(), Err(CaError::Damaged { .. })));
    fs::write(&key, KeyPair::generate().expect("key").serialize_pem()).expect("written");
    let error = folder.authority().expect_err("another key").to_string();
    assert!(error.contains("does not belong to the key"), "{error}");
    fs::remove_file(&key).expect("removed");
    assert!(matches!(folder.authority(), Err(CaError::KeyMissing { .. })));
}

#[test]
fn names_and_powers_of_a_request_are_ignored() {
    let folder = Folder::new();
    let authority = folder.authority().expect("made");
    let agent_id = Uuid::from_u128(7);
    let (key, csr) = request();
    let issued = authority.issue(&csr, agent_id, NOW_MS).expect("issued");
    assert_eq!(issued.key_hash, digest(&key.subject_public_key_info()));
    assert_eq!(issued.key_hash, key_hash(&issued.chain[0]).expect("hash"));
    assert_eq!(issued.ends_ms, NOW_MS + LEAF_LIFE.as_millis() as i64);
    let (_, leaf) = x509_parser::parse_x509_certificate(&issued.chain[0]).expect("leaf");
    assert!(!leaf.is_ca());
    let names = leaf.subject_alternative_name().expect("extension").expect("names").value.general_names.clone();
    let expected = format!("fleetlight:agent:{agent_id}");
    assert_eq!(names, [x509_parser::extensions::GeneralName::URI(&expected)]);
}

#[test]
fn a_request_without_its_key_is_refused() {
    let folder = Folder::new();
    let authority = folder.authority().expect("made");
    let (_, mut csr) = request();
    let last = csr.len() - 1;
    csr[last] ^= 1;
    for csr in [csr, b"garbage".to_vec(), vec![0x30; CSR_BYTES + 1]] {
        assert!(matches!(authority.issue(&csr, Uuid::nil(), NOW_MS), Err(CaError::Request(_))));
    }
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("key");
    let csr = CertificateParams::default().serialize_request(&key).expect("csr");
    let error = authority.issue(csr.der(), Uuid::nil(), NOW_MS).expect_err("another kind of key").to_string();
    assert!(error.contains("P-256"), "{error}");
}
