use super::*;
use axum::http::{HeaderName, HeaderValue, StatusCode};

const OURS: &str = "https://fleet.example.org";
const JSON: (&str, &str) = ("content-type", "application/json");

fn judge(method: &Method, headers: &[(&'static str, &'static str)]) -> Option<StatusCode> {
    let site = Site { origin: OURS.into(), secure: true };
    let asked = Asked { site, client: IpAddr::from([127, 0, 0, 1]), request_id: String::new() };
    let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    judge_origin(method, &pairs.collect(), Some(&asked)).err().map(|error| error.status)
}

#[test]
fn reading_is_for_our_page_and_for_people_who_type_the_address() {
    let get = |site| judge(&Method::GET, &[("sec-fetch-site", site)]);
    assert_eq!(judge(&Method::GET, &[]), None, "scripts");
    assert_eq!((get("same-origin"), get("none")), (None, None));
    assert_eq!((get("cross-site"), get("same-site")), (Some(StatusCode::FORBIDDEN), Some(StatusCode::FORBIDDEN)));
}

#[test]
fn writing_proves_its_origin() {
    let post = |headers: &[_]| judge(&Method::POST, &[headers, &[JSON]].concat());
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]), None);
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", OURS)]), None);
    assert_eq!(post(&[("origin", OURS)]), None, "old browsers and scripts");
    for refused in [
        &[][..],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-site"), ("origin", OURS)],
        &[("origin", "null")],
        &[("origin", "https://fleet.example.org:8443")],
        &[("origin", "http://fleet.example.org")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
    ] {
        assert_eq!(post(refused), Some(StatusCode::FORBIDDEN), "{refused:?}");
    }
}

#[test]
fn writing_is_json() {
    let post = |kind| judge(&Method::DELETE, &[("origin", OURS), ("content-type", kind)]);
    assert_eq!(post("application/json; charset=utf-8"), None);
    assert_eq!(post("text/plain"), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    assert_eq!(judge(&Method::DELETE, &[("origin", OURS)]), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
}

#[test]
fn scripts_with_proof_of_their_own_need_no_origin_and_browsers_send_no_basic() {
    let post = |headers: &[_]| judge(&Method::POST, &[headers, &[JSON]].concat());
    for proof in ["Bearer fl_00", "Basic YTpi"] {
        assert_eq!(post(&[("authorization", proof)]), None);
        for foreign in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("origin", "null")] {
            assert_eq!(post(&[("authorization", proof), foreign]), Some(StatusCode::FORBIDDEN), "{foreign:?}");
        }
    }
    for site in ["none", "same-origin"] {
        let browser = [("authorization", "bASIC YTpi"), ("sec-fetch-site", site)];
        assert_eq!(judge(&Method::GET, &browser), Some(StatusCode::FORBIDDEN), "{site}");
    }
}

#[test]
fn a_socket_proves_its_origin() {
    let get = |headers: &[_]| judge(&Method::GET, &[headers, &[("upgrade", "websocket")]].concat());
    assert_eq!(get(&[("origin", OURS)]), None);
    assert_eq!(get(&[("authorization", "Bearer fl_00")]), None, "scripts");
    for refused in [&[][..], &[("origin", "https://evil.example")], &[("origin", "https://fleet.example.org:8443")]] {
        assert_eq!(get(refused), Some(StatusCode::FORBIDDEN), "{refused:?}");
    }
}
