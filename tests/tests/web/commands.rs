//! Commands, bulks and the audit log over the API, while no host is there.

use crate::site::{HOST, Site, refusal};
use fleetlight_controller::api::access::Access;
use fleetlight_controller::api::routes::routes;
use fleetlight_controller::limits::{
    ACTS_AUDITED, AUDIT_SUBJECT_CHARS, BATCH_SIZE_DEFAULT, REFUSALS_AUDITED, USER_NAME_CHARS,
};
use fleetlight_controller::store::commands::CommandFilter;
use fleetlight_controller::store::users::Role;
use fleetlight_protocol::document::{Body, ContainerDocument, ContainerState, Document};
use fleetlight_protocol::samples::EntityKind;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A site whose host the database knows too, with containers.
async fn site() -> (Site, String) {
    let site = Site::start().await;
    let cookie = site.cookie().await;
    sqlx::query("insert into hosts (name, created_at) values ('alpha', now())").execute(&site.pool).await.unwrap();
    let container = |number: u8, name: &str, state| Document {
        kind: EntityKind::Container,
        key: id(number),
        observed_ms: 1,
        body: Some(Body::Container(Box::new(ContainerDocument {
            id: id(number),
            name: name.into(),
            image: "comfy:1".into(),
            state,
            ..ContainerDocument::default()
        }))),
    };
    let documents = [
        container(1, "comfy-user001", ContainerState::Running),
        container(2, "comfy-user002", ContainerState::Running),
        container(3, "redis", ContainerState::Running),
        container(4, "comfy-old", ContainerState::Exited),
    ];
    site.live.documents(HOST, &documents);
    (site, cookie)
}

fn id(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

async fn get(site: &Site, cookie: &str, path: &str) -> Value {
    let answer = site.call("GET", path).header("Cookie", cookie).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

async fn post(site: &Site, cookie: &str, path: &str, body: Value) -> reqwest::Response {
    site.call("POST", path).header("Cookie", cookie).json(&body).send().await.unwrap()
}

async fn asked(site: &Site, cookie: &str, path: &str, body: Value) -> Value {
    let answer = post(site, cookie, path, body).await;
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(status, 202, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_command_waits_for_its_host_and_can_be_taken_back() {
    let (site, cookie) = site().await;
    let path = format!("hosts/{HOST}/commands");
    let made = asked(&site, &cookie, &path, json!({ "action": "check" })).await;
    let of = format!("commands/{}", made["id"].as_str().unwrap());
    assert_eq!(
        (&made["state"], &made["host"], &made["by"], &made["action"]),
        (&json!("queued"), &json!("alpha"), &json!("admin"), &json!("check"))
    );
    assert_eq!(made["deadline_ms"].as_i64().unwrap() - made["asked_ms"].as_i64().unwrap(), 60_000);
    let waiting = async || get(&site, &cookie, &of).await["waiting_for"].clone();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while waiting().await != "the host is offline" {
        assert!(tokio::time::Instant::now() < deadline, "{}", waiting().await);
    }
    let audit = get(&site, &cookie, "audit?action=check").await;
    assert_eq!((&audit[0]["outcome"], &audit[0]["command_id"]), (&json!("open"), &made["id"]));
    assert_eq!((&audit[0]["user"], &audit[0]["address"]), (&json!("admin"), &json!("127.0.0.1")));

    let cancelled: Value = post(&site, &cookie, &format!("{of}/cancel"), json!({})).await.json().await.unwrap();
    assert_eq!((&cancelled["state"], &cancelled["outcome"]), (&json!("finished"), &json!("cancelled")));
    let audit = get(&site, &cookie, "audit").await;
    let acts: Vec<_> = audit.as_array().unwrap().iter().map(|act| (&act["action"], &act["outcome"])).collect();
    assert_eq!(acts[..2], [(&json!("command.cancel"), &json!("done")), (&json!("check"), &json!("cancelled"))]);
    let open = get(&site, &cookie, "commands?open=true").await;
    assert_eq!(open, json!([]));
    let all = get(&site, &cookie, &format!("commands?host={HOST}&limit=1")).await;
    assert_eq!((&all[0]["id"], &all[0]["output"]), (&made["id"], &Value::Null));
    let earlier = get(&site, &cookie, &format!("commands?before={}", made["id"].as_str().unwrap())).await;
    assert_eq!(earlier, json!([]));
    site.stop().await;
}

#[tokio::test]
async fn a_deadline_closes_what_no_host_has_seen() {
    let (site, cookie) = site().await;
    let order = json!({ "action": "check", "deadline_seconds": 1 });
    let made = asked(&site, &cookie, &format!("hosts/{HOST}/commands"), order).await;
    let of = format!("commands/{}/stream", made["id"].as_str().unwrap());
    let answer = site.call("GET", &of).header("Cookie", &cookie).send().await.unwrap();
    // The stream ends with the command.
    let told = tokio::time::timeout(Duration::from_secs(10), answer.text()).await.expect("ends").unwrap();
    let last = told.split("\n\n").filter(|block| block.contains("event: command")).last().unwrap();
    assert!(last.contains("\"outcome\":\"expired\"") && last.contains("nothing was done"), "{told}");
    let again = site.call("GET", &of).header("Cookie", &cookie).header("Last-Event-ID", "7").send().await.unwrap();
    assert!(again.text().await.unwrap().contains("\"outcome\":\"expired\""));
    site.stop().await;
}

#[tokio::test]
async fn containers_are_looked_up_as_the_asker_sees_them() {
    let (site, cookie) = site().await;
    let made = asked(&site, &cookie, &format!("containers/{}/restart", &id(1)[..12]), json!({})).await;
    assert_eq!((&made["action"], &made["subject"]), (&json!("container.restart"), &json!("comfy-user001")));
    let target = &made["detail"]["container"]["container"];
    assert_eq!(target, &json!({ "id": id(1), "name": "comfy-user001", "image": "comfy:1" }));
    let stop = asked(&site, &cookie, &format!("hosts/{HOST}/emergency-stop"), json!({ "pattern": "comfy" })).await;
    assert_eq!((&stop["action"], &stop["subject"]), (&json!("emergency_stop"), &json!("comfy")));
    let runbook = |name: &str| json!({ "action": { "runbook": { "name": name } } });
    let run = asked(&site, &cookie, &format!("hosts/{HOST}/commands"), runbook("backup")).await;
    assert_eq!(run["detail"], json!({ "runbook": { "name": "backup", "parameters": {} } }), "defaults hold");
    let parameters = |name: &str, value: &str| json!({ "action": { "runbook": { "name": "backup", "parameters": { name: value } } } });
    let unit = |name: &str| json!({ "action": { "unit": { "verb": "stop", "unit": name, "stable_seconds": 0 } } });
    let image = |image: &str| {
        let target = json!({ "id": id(1), "name": "comfy-user001", "image": image });
        json!({ "action": { "container": { "verb": "stop", "container": target, "stable_seconds": 0 } } })
    };
    let (huge, commands) = ("x".repeat(60_000), format!("hosts/{HOST}/commands"));
    let unknown = Uuid::now_v7();
    for (method, path, body, status, word) in [
        ("POST", format!("containers/{}/dance", id(1)), json!({}), 404, "restart"),
        ("POST", format!("containers/{}/restart", "f".repeat(64)), json!({}), 404, "no container"),
        ("POST", "containers/0101/restart".into(), json!({}), 404, "no container"),
        ("POST", "containers/redis/restart".into(), json!({}), 404, "030303030303 on alpha"),
        ("POST", "containers/nobody/restart".into(), json!({}), 404, "docker ps"),
        ("POST", commands.clone(), runbook(&huge), 400, "60000 bytes; at most 255"),
        ("POST", commands.clone(), runbook("../backup"), 400, "the name of the runbook"),
        ("POST", commands.clone(), parameters(&huge, "1"), 400, "the name of a parameter"),
        ("POST", commands.clone(), parameters("size", &"x".repeat(4_097)), 400, "at most 4096"),
        ("POST", commands.clone(), unit(&huge), 400, "the name of the unit"),
        ("POST", commands.clone(), image(&huge), 400, "the name of the container's image"),
        ("POST", format!("hosts/{HOST}/emergency-stop"), json!({ "pattern": huge }), 400, "at most 255"),
        ("GET", "hosts?foo=1".into(), json!({}), 400, "foo is no key of this call; there are: none"),
        ("GET", "commands?hosts=1".into(), json!({}), 400, "host, limit, open"),
        ("PUT", "hosts".into(), json!({}), 405, "GET"),
        ("GET", "logs/redis".into(), json!({}), 400, "logs/stream?container=redis"),
        ("POST", "containers/..%2F..%2Fcontainers%2Fprune/restart".into(), json!({}), 404, "no container"),
        ("POST", format!("containers/{}/restart", id(1)), json!({ "stable_seconds": 301 }), 400, "300"),
        ("POST", "hosts/99/commands".into(), json!({ "action": "check" }), 404, "no host"),
        ("POST", format!("hosts/{HOST}/commands"), json!({ "action": "dance" }), 400, "dance"),
        ("POST", format!("hosts/{HOST}/emergency-stop"), json!({ "pattern": "x".repeat(256) }), 400, "255"),
        (
            "POST",
            format!("hosts/{HOST}/commands"),
            json!({ "action": "check", "deadline_seconds": 0 }),
            400,
            "deadline",
        ),
        ("GET", format!("commands/{unknown}"), json!({}), 404, "no command"),
        ("GET", "commands/1".into(), json!({}), 404, "no command"),
        ("GET", format!("commands/{unknown}/stream"), json!({}), 404, "no command"),
        ("POST", format!("commands/{unknown}/cancel"), json!({}), 404, "no command"),
        ("GET", format!("bulks/{unknown}"), json!({}), 404, "no bulk"),
        ("POST", format!("bulks/{unknown}/cancel"), json!({}), 404, "no bulk"),
        ("GET", "commands?limit=201".into(), json!({}), 400, "200"),
        ("GET", "audit?limit=0".into(), json!({}), 400, "500"),
        ("GET", "audit?who=x".into(), json!({}), 400, "who"),
    ] {
        let call = site.call(method, &path).header("Cookie", &cookie);
        let call = if method == "POST" { call.json(&body) } else { call };
        let (found, detail) = refusal(call.send().await.unwrap()).await;
        assert_eq!((found, detail.contains(word)), (status, true), "{method} {path}: {detail}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_bulk_resolves_its_selection_and_says_what_was_not_begun() {
    let (site, cookie) = site().await;
    let order = json!({ "verb": "restart", "selection": { "pattern": "comfy-*" }, "batch_size": 1 });
    let made = asked(&site, &cookie, "bulks", order).await;
    let of = format!("bulks/{}", made["id"].as_str().unwrap());
    let names: Vec<_> = made["items"].as_array().unwrap().iter().map(|item| item["subject"].clone()).collect();
    assert_eq!(names, ["comfy-user001", "comfy-user002"], "one that does not run is left alone");
    let begun = async || {
        let bulk = get(&site, &cookie, &of).await;
        let states =
            [&bulk["items"][0]["state"], &bulk["items"][1]["state"]].map(|state| state.as_str().unwrap().to_owned());
        (states, bulk["items"][0]["command_id"].clone())
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let command = loop {
        let (states, command) = begun().await;
        if states == ["queued", "waiting"] {
            break command;
        }
        assert!(tokio::time::Instant::now() < deadline, "{states:?}");
    };
    post(&site, &cookie, &format!("commands/{}/cancel", command.as_str().unwrap()), json!({})).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while begun().await.0 != ["finished", "not_begun"] {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", begun().await.0);
    }
    let ended = get(&site, &cookie, "bulks").await[0].clone();
    assert_eq!(
        (&ended["state"], &ended["total"], &ended["ended"], &ended["verified"]),
        (&json!("stopped"), &json!(2), &json!(1), &json!(0))
    );
    let again = post(&site, &cookie, &format!("{of}/cancel"), json!({})).await;
    assert_eq!(refusal(again).await.0, 409);
    for (selection, batch_size, word) in [
        (json!({}), 1, "empty"),
        (json!({ "pattern": "nothing-*" }), 1, "matches 0"),
        (json!({ "pattern": "*" }), 0, "batch_size"),
        (json!({ "pattern": "*a".repeat(200) }), 1, "too long"),
        (json!({ "patern": "*" }), 1, "patern"),
    ] {
        let order = json!({ "verb": "restart", "selection": selection, "batch_size": batch_size });
        let (status, detail) = refusal(post(&site, &cookie, "bulks", order).await).await;
        assert_eq!((status, detail.contains(word)), (400, true), "{detail}");
    }
    let plain = asked(&site, &cookie, "bulks", json!({ "verb": "restart", "selection": { "pattern": "redis" } })).await;
    assert_eq!(plain["batch_size"], BATCH_SIZE_DEFAULT);
    site.stop().await;
}

#[tokio::test]
async fn one_person_and_one_host_have_so_much_room() {
    let (site, cookie) = site().await;
    let path = format!("hosts/{HOST}/commands");
    for _ in 0..64 {
        asked(&site, &cookie, &path, json!({ "action": "check" })).await;
    }
    let full = post(&site, &cookie, &path, json!({ "action": "check" })).await;
    assert!(full.headers().contains_key("retry-after"));
    let (status, detail) = refusal(full).await;
    assert_eq!((status, detail.contains("alpha")), (429, true), "{detail}");
    asked(&site, &cookie, &format!("hosts/{HOST}/emergency-stop"), json!({ "pattern": "all" })).await;
    let too_fast = async || loop {
        let (status, detail) = refusal(post(&site, &cookie, &path, json!({ "action": "check" })).await).await;
        assert_eq!(status, 429);
        if detail.contains("short time") {
            return;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), too_fast()).await.expect("a rate");
    site.stop().await;
}

#[tokio::test]
async fn the_audit_log_as_csv_holds_no_formulas() {
    let (site, cookie) = site().await;
    let many = "insert into audit (at, user_name, role, authenticated, address, request_id, action, subject, detail)
        select now(), '=cmd', 'admin', 'session', '::1', '', 'login', '@x, \"y\"', '{}' from generate_series(1, 1200)";
    sqlx::query(many).execute(&site.pool).await.unwrap();
    let answer = site.call("GET", "audit.csv?action=login&user=%3Dcmd").header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let text = answer.text().await.unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!((lines.len(), lines[0].starts_with("id,at,user,")), (1_201, true));
    assert!(lines[1].contains("\"'=cmd\"") && lines[1].contains("\"'@x, \"\"y\"\"\""), "{}", lines[1]);
    let closed = r#"insert into audit_closings (audit_id, at, outcome, detail)
        select max(id), now(), 'unverified', '{"observed": "exited 1", "name": "bo"}' from audit"#;
    sqlx::query(closed).execute(&site.pool).await.unwrap();
    let said =
        site.call("GET", "audit.csv?limit=1").header("Cookie", &cookie).send().await.unwrap().text().await.unwrap();
    assert!(
        lines[0].contains(",reason,observed,closed_at,") && lines[0].contains(",detail,result,request_id,"),
        "{}",
        lines[0]
    );
    assert!(said.contains(",\"exited 1\",") && said.contains("{\"\"name\"\":\"\"bo\"\""), "{said}");
    let few = site.call("GET", "audit.csv?action=login&limit=700").header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(few.text().await.unwrap().split_terminator("\r\n").count(), 701);
    site.stop().await;
}

/// Calls that change something and write their own rows: commands with what they ask, logins with who could not.
const WRITE_THEMSELVES: &[&str] = &[
    "/setup",
    "/login",
    "/csp-report",
    "/hosts/{id}/commands",
    "/hosts/{id}/emergency-stop",
    "/containers/{id}/{verb}",
    "/commands/{id}/cancel",
    "/bulks",
    "/bulks/{id}/cancel",
];

#[tokio::test]
async fn whatever_changes_something_is_in_the_audit_log() {
    for route in routes().iter().filter(|route| route.method != "GET") {
        let public = matches!(route.access, Access::Public | Access::Report);
        assert!(public || (route.audit.is_some() != route.refusal.is_some()), "{} {}", route.method, route.path);
        assert_ne!(route.audit.is_some(), WRITE_THEMSELVES.contains(&route.path), "{} {}", route.method, route.path);
    }
    let (site, cookie) = site().await;
    let wrong = json!({ "name": "admin", "password": "a wrong password" });
    assert_eq!(site.post("login", wrong).await.status(), 401);
    assert_eq!(post(&site, &cookie, "join-tokens", json!({ "host_name": "beta" })).await.status(), 200);
    assert_eq!(post(&site, &cookie, "join-tokens", json!({})).await.status(), 200);
    let newcomer = json!({ "name": "bo", "role": "support" });
    assert_eq!(post(&site, &cookie, "users", newcomer).await.status(), 200);
    let bo = site.store.user("bo").await.unwrap().unwrap().id;
    let change = site.call("PATCH", &format!("users/{bo}")).json(&json!({ "name": "bob" })).header("Cookie", &cookie);
    assert_eq!(change.send().await.unwrap().status(), 200);
    let wish = json!({ "name": "deploy", "scopes": ["act"] });
    let token: Value = post(&site, &cookie, "tokens", wish).await.json().await.unwrap();
    let revoke = site.call("DELETE", &format!("tokens/{}", token["id"].as_str().unwrap())).header("Cookie", &cookie);
    assert_eq!(revoke.send().await.unwrap().status(), 204);
    assert_eq!(post(&site, &cookie, "users", json!({ "name": "x".repeat(60_000) })).await.status(), 400);
    assert_eq!(post(&site, &cookie, "users", json!({ "name": "x".repeat(66_000) })).await.status(), 413);
    assert_eq!(post(&site, &cookie, &format!("agents/{}/revoke", Uuid::nil()), json!({})).await.status(), 404);
    let support = site.person("sue", Role::Support).await;
    let sues = site.session_of(support).await;
    assert_eq!(post(&site, &sues, "join-tokens", json!({})).await.status(), 403);
    let audit = get(&site, &cookie, "audit").await;
    let acts: Vec<_> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|act| {
            let words = [&act["user"], &act["action"], &act["outcome"], &act["subject"]];
            words.map(|word| word.as_str().unwrap().to_owned()).join(" ")
        })
        .collect();
    let (nobody, long) = (Uuid::nil(), "x".repeat(AUDIT_SUBJECT_CHARS));
    assert_eq!(
        acts,
        [
            // The body of somebody who may not is not waited for.
            "sue join_token.make refused ",
            &format!("admin agent.revoke refused {nobody}"),
            "admin user.add refused ",
            &format!("admin user.add refused {long}"),
            "admin token.revoke done deploy",
            "admin token.make done deploy",
            "admin user.change done bo",
            "admin user.add done bo",
            "admin join_token.make done any host",
            "admin join_token.make done beta",
            "admin login refused admin",
            "admin password.set_by_link done admin",
        ]
    );
    assert_eq!((&audit[9]["result"]["host_name"], &audit[6]["result"]["name"]), (&json!("beta"), &json!("bob")));
    assert_eq!(audit[6]["detail"]["id"], bo.to_string());
    assert_eq!(audit[1]["request_id"].as_str().unwrap().len(), 32);
    site.stop().await;
}

#[tokio::test]
async fn whoever_may_nothing_fills_no_log() {
    let (site, cookie) = site().await;
    let sue = site.person("sue", Role::Support).await;
    let sues = site.session_of(sue).await;
    let path = format!("hosts/{HOST}/commands");
    for _ in 0..REFUSALS_AUDITED + 5 {
        assert_eq!(post(&site, &sues, &path, json!({ "action": "check" })).await.status(), 403);
    }
    let acts = get(&site, &cookie, "audit?user=sue").await;
    let words = [&acts[0]["action"], &acts[0]["host_id"], &acts[0]["outcome"]];
    assert_eq!(words, [&json!("command"), &json!(HOST), &json!("refused")]);
    let mut refused = 0;
    for _ in 0..ACTS_AUDITED + 5 {
        let path = format!("sessions/{}", Uuid::new_v4());
        let answer = site.call("DELETE", &path).header("Cookie", &sues).send().await.unwrap();
        refused += u32::from(answer.status() == 429);
    }
    assert_eq!(refused, 5);
    let written = "select count(*) from audit where user_name = 'sue'";
    let written: i64 = sqlx::query_scalar(written).fetch_one(&site.pool).await.unwrap();
    assert_eq!(written, i64::from(REFUSALS_AUDITED + ACTS_AUDITED));
    // What takes a scope or a password that the caller has not is asked of the body, and written all the same.
    let admin = site.store.user("admin").await.unwrap().unwrap().id;
    let token = site.token_of(admin, Role::Admin, &["act"]).await;
    let path = format!("containers/{}/remove", id(1));
    let remove = site.call("POST", &path).header("Authorization", &token).body("{}").send().await.unwrap();
    assert_eq!(remove.status(), 403);
    let acts = get(&site, &cookie, "audit").await;
    assert_eq!((&acts[0]["action"], &acts[0]["outcome"]), (&json!("container"), &json!("refused")));
    assert_eq!(acts[0]["subject"], json!(format!("remove {}", &id(1)[..USER_NAME_CHARS - 7])));
    site.stop().await;
}

#[tokio::test]
async fn a_commands_stream_ends_with_its_session() {
    let (site, cookie) = site().await;
    let made = asked(&site, &cookie, &format!("hosts/{HOST}/commands"), json!({ "action": "check" })).await;
    let of = format!("commands/{}/stream", made["id"].as_str().unwrap());
    let mut stream = site.call("GET", &of).header("Cookie", &cookie).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    assert_eq!(post(&site, &cookie, "logout", json!({})).await.status(), 204);
    let end = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), end).await.expect("ends");
    site.stop().await;
}

#[tokio::test]
async fn what_destroys_takes_more_than_what_acts() {
    let (site, _) = site().await;
    let admin = site.store.user("admin").await.unwrap().unwrap().id;
    let token = site.token_of(admin, Role::Admin, &["act"]).await;
    let call = async |path: String, body: Value| {
        site.call("POST", &path).header("Authorization", &token).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(call(format!("containers/{}/restart", id(1)), json!({})).await, 202);
    assert_eq!(call(format!("containers/{}/remove", id(1)), json!({})).await, 403);
    let target = json!({ "id": id(1), "name": "comfy-user001", "image": "comfy:1" });
    let remove = json!({ "container": { "verb": "remove", "container": target, "stable_seconds": 0 } });
    assert_eq!(call(format!("hosts/{HOST}/commands"), json!({ "action": remove })).await, 403);
    let stop = json!({ "emergency_stop": { "pattern": "all" } });
    assert_eq!(call(format!("hosts/{HOST}/commands"), json!({ "action": stop })).await, 403);
    let bulk = json!({ "verb": "rebuild", "selection": { "pattern": "*" }, "batch_size": 1 });
    assert_eq!(call("bulks".into(), bulk).await, 403);
    let asked = site.store.commands(CommandFilter::default(), 10).await.unwrap();
    assert_eq!((asked.len(), asked[0].user_name.as_str()), (1, "admin"));
    site.stop().await;
}
