//! The page's files, their headers, and what stands in for them.

use crate::site::Site;
use std::fs;

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_the_page_to_itself() {
    let site = Site::start().await;
    for path in ["", "admin/api/session", "nothing"] {
        let answer = reqwest::get(format!("{}/{path}", site.origin)).await.unwrap();
        let header = |name| answer.headers()[name].to_str().unwrap();
        let policy = header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
    }
    site.stop().await;
}

#[tokio::test]
async fn without_a_build_the_page_says_what_to_run() {
    let site = Site::start().await;
    let answer = reqwest::get(&site.origin).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(text.contains("make up") && text.contains("/nowhere") && !text.contains("<script"), "{text}");
    site.stop().await;
}

#[tokio::test]
async fn built_files_are_served_packed_and_kept() {
    let dir = std::env::temp_dir().join(format!("fl-page-{}", std::process::id()));
    fs::create_dir_all(dir.join("a/0123")).unwrap();
    fs::write(dir.join("index.html"), "<!doctype html><title>built</title>").unwrap();
    fs::write(dir.join("a/0123/page.js"), "plain").unwrap();
    fs::write(dir.join("a/0123/page.js.gz"), "packed").unwrap();
    fs::write(dir.with_extension("outside"), "secret").unwrap();
    let site = Site::with_dashboard(dir.clone()).await;
    let get = |path: &str, encoding: &'static str| {
        reqwest::Client::new().get(format!("{}{path}", site.origin)).header("Accept-Encoding", encoding).send()
    };
    let index = get("/", "identity").await.unwrap();
    assert_eq!(index.headers()["cache-control"], "no-cache");
    assert!(index.text().await.unwrap().contains("built"));
    let script = get("/a/0123/page.js", "gzip").await.unwrap();
    assert_eq!(script.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(script.headers()["content-encoding"], "gzip");
    assert_eq!(script.headers()["content-type"], "text/javascript");
    assert_eq!(script.text().await.unwrap(), "packed");
    assert_eq!(get("/a/0123/page.js", "identity").await.unwrap().text().await.unwrap(), "plain");
    let outside = format!("/..%2f{}", dir.with_extension("outside").file_name().unwrap().to_str().unwrap());
    for path in ["/a/0123/none.js", outside.as_str()] {
        let missing = get(path, "identity").await.unwrap();
        assert_eq!(missing.status(), 404, "{path}");
        assert!(!missing.headers().contains_key("cache-control"), "what is missing now may be there later");
    }
    site.stop().await;
    fs::remove_dir_all(&dir).unwrap();
    fs::remove_file(dir.with_extension("outside")).unwrap();
}

#[tokio::test]
async fn reports_of_the_browser_are_counted() {
    let site = Site::start().await;
    let browser = site.browser().await;
    assert_eq!(browser.get("csp-report").await.unwrap()["count"], 0);
    let report = reqwest::Client::new().post(format!("{}/admin/api/csp-report", site.origin));
    let report = report.header("Content-Type", "application/csp-report").header("Sec-Fetch-Site", "same-origin");
    assert_eq!(report.body(r#"{"csp-report": {}}"#).send().await.unwrap().status(), 204);
    assert_eq!(browser.get("csp-report").await.unwrap()["count"], 1);
    site.stop().await;
}

#[tokio::test]
async fn large_answers_are_packed_and_never_kept() {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    let catalogue = site.call("GET", "catalogue").header("Cookie", &cookie).header("Accept-Encoding", "gzip");
    let catalogue = catalogue.send().await.unwrap();
    assert_eq!(catalogue.headers()["content-encoding"], "gzip");
    assert_eq!(catalogue.headers()["cache-control"], "no-store");
    site.stop().await;
}
