use super::*;
use proptest::prelude::*;

/// What comes in, and what must not be left of it.
const SECRETS: &[(&str, &str)] = &[
    ("password=hunter2", "hunter2"),
    ("DB_PASSWORD=hunter2 user=bob", "hunter2"),
    ("dbPassword: hunter2", "hunter2"),
    ("password: correct horse battery staple", "staple"),
    ("password = 'two words' next", "two words"),
    ("--password hunter2 --verbose", "hunter2"),
    ("--api-key=abc123 run", "abc123"),
    (r#"{"user":"bob","password":"hun\"ter2","ok":true}"#, "ter2"),
    (r#"{"auths":{"registry.example":{"auth":"dXNlcjpwYXNz"}}}"#, "dXNlcjpwYXNz"),
    (r#"log="{\"token\":\"abc123\",\"n\":1}""#, "abc123"),
    (r#""secret": 12345, "next": 1"#, "12345"),
    (r#"tokens: ["abc","def"]"#, "def"),
    ("{'api_key': 'abc', 'user': 'x'}", "abc"),
    (":secret => \"abc\"", "abc"),
    ("<password>hunter2</password>", "hunter2"),
    ("Authorization: Bearer abc.def-ghi", "abc.def"),
    ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("curl -H \"Authorization: Token abcdef\" https://x", "abcdef"),
    ("auth = Bearer abcdef", "abcdef"),
    ("sent bearer abcdefgh12345", "abcdefgh12345"),
    ("Cookie: a=b; session=xyz; theme=dark", "xyz"),
    ("Set-Cookie: sid=31d4d96e; HttpOnly", "31d4d96e"),
    ("x-api-key: abc123", "abc123"),
    ("Using API key: abc123", "abc123"),
    ("secret key = abc123", "abc123"),
    (r#"{"Access Key": "abc123"}"#, "abc123"),
    ("SENTRY_DSN=https://abc@sentry.example/1", "abc"),
    ("postgres://app:pa/ss@word@db.example:5432/app", "ss@word"),
    ("redis://:hunter2@cache:6379", "hunter2"),
    ("amqp://guest:guest@mq", "guest:guest"),
    ("git clone https://abc123@git.example/x.git", "abc123"),
    ("key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
    ("wJalrXUtnFEMI/K7MDENG/bPxRfiCY9XAMPLEKEY", "K7MDENG"),
    ("--password     hunter2", "hunter2"),
    ("password     =     hunter2", "hunter2"),
    ("using sk-proj-abcdefghijklmnop1234", "abcdefghijklmnop"),
    ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F"),
    ("github_pat_11ABCDEFG0abcdefghijkl_mnop", "11ABCDEFG0"),
    ("login with hf_abcdefghijklmnopqrstuvwxyz", "abcdefghij"),
    ("xoxb-123456789012-abcdefghijkl", "123456789012"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmN", "dozjg"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.", "eyJzdWIi"),
    ("https://hooks.slack.com/services/T000/B000/XXXX1234", "XXXX1234"),
    ("glpat-abcdefghij0123456789", "abcdefghij"),
    ("wandb: 0123456789abcdef0123456789abcdef01234567", "89abcdef01"),
    ("md5ish 9e107d9d372bb6826bd81d3542a419d6", "9e107d9d"),
    ("b64 q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=", "q83vEj"),
    ("url ?access_token=abc&user=1", "abc"),
    ("X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024", "fe5f80f7"),
    ("SECRET_KEY=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024", "fe5f80f7"),
    ("AccountName=x;AccountKey=abc+def==;EndpointSuffix=y", "abc+def"),
    ("-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXk -----END OPENSSH PRIVATE KEY-----", "b3Blbn"),
    ("password=\u{e4}\u{f6}\u{fc}geheim und mehr", "geheim"),
    ("pwd=\"unclosed value to the end", "end"),
];

/// What must come out as it went in.
const HARMLESS: &[&str] = &[
    "",
    "listening on 0.0.0.0:8188",
    "max_tokens=512 tokens_per_second: 35.2",
    "session_timeout=30s",
    "author: someone, authority: none",
    "duplicate primary key: 512, key: name",
    "org.opencontainers.image.authors=Somebody",
    "tokenizer=gpt2 loaded",
    "compass: north; bypass=9",
    "password: ",
    "private: true, auth=off",
    "started container 5001cea49bbd56ef7b70d8d13f825e7e1ad18ad18fd22d89626dbc1e1ea58752",
    "docker-5001cea49bbd56ef7b70d8d13f825e7e1ad18ad18fd22d89626dbc1e1ea58752.scope",
    "image sha256:8b71ed57e74bd8627824a1d5fe4c72121f28d2b996c87c5052ef84dd6b522d95",
    "request 3fa85f64-5717-4562-b3fc-2c963f66afa6 done",
    "comfy-worker-3fa85f64-5717-4562-b3fc-2c963f66afa6-volume-data",
    "/usr/local/lib/python3.11/site-packages/torch/nn/modules/module.py",
    "/workspace/ComfyUI/models/checkpoints/sd_xl_base_1.0_0.9vae.safetensors",
    "CLIPTextEncodeSDXLRefiner loaded StableDiffusionXLImg2ImgPipeline",
    "2026-11-21T10:54:05.214673408Z INFO request took 12ms",
    "https://example.org/a/b?page=2",
    "user@example.org wrote to other@example.org",
    "<b>bold</b> & <script>alert(1)</script>",
    "------------------------------------------------",
    "00000000000000000000000000000000000000000",
    "GPU-8f6a2c11-5ad2-4c5e-9a39-0c6d0f3f5a11 at 61 C",
    "CUDA out of memory. Tried to allocate 2.00 GiB",
];

#[test]
fn secrets_are_masked() {
    for (line, secret) in SECRETS {
        let masked = text(line);
        assert!(!masked.contains(secret), "{line:?} became {masked:?}");
        assert!(masked.contains(MASK), "{line:?} became {masked:?}");
    }
}

#[test]
fn what_stands_beside_a_secret_stays() {
    assert_eq!(text("DB_PASSWORD=hunter2 user=bob"), "DB_PASSWORD=*** user=bob");
    assert_eq!(text(r#"{"user":"bob","token":"abc","ok":true}"#), r#"{"user":"bob","token":"***","ok":true}"#);
    assert_eq!(text("postgres://app:pw@db.example:5432/app"), "postgres://***@db.example:5432/app");
    assert_eq!(text("curl -H 'Authorization: Bearer abcdef' https://x"), "curl -H 'Authorization: ***' https://x");
    assert_eq!(text("<password>hunter2</password>"), "<password>***</password>");
    assert_eq!(text(r#""token":null,"user":"bob""#), r#""token":null,"user":"bob""#);
}

#[test]
fn harmless_text_is_left_alone() {
    for line in HARMLESS {
        assert_eq!(&text(line), line);
    }
}

#[test]
fn masking_twice_changes_nothing() {
    for line in SECRETS.iter().map(|(line, _)| line).chain(HARMLESS) {
        let once = text(line);
        assert_eq!(text(&once), once, "of {line:?}");
    }
}

#[test]
fn labels_are_masked_by_key_and_by_shape() {
    let cases = [
        ("traefik.http.middlewares.a.basicauth.users", "admin:$apr1$x", MASK),
        ("app.api-key", "abc", MASK),
        ("GITHUB_TOKEN", "abc", MASK),
        ("private", "true", "true"),
        ("com.docker.compose.project", "comfyume", "comfyume"),
        ("maintainer", "a <a@example.org>", "a <a@example.org>"),
        ("note", "call with password=abc", "call with password=***"),
        ("max_tokens", "4096", "4096"),
        ("token", "4096", MASK),
    ];
    for (key, value, expected) in cases {
        assert_eq!(label(key, value), expected, "{key}={value}");
    }
}

#[test]
fn private_keys_over_several_lines_are_masked() {
    let log = ["before", "-----BEGIN RSA PRIVATE KEY-----", "c2hvcnQ=", "-----END RSA PRIVATE KEY-----", "after"];
    assert_eq!(lines(log), ["before", MASK, MASK, MASK, "after"]);
    let cut = ["c2hvcnQ=", "bGluZQ==", "-----END PRIVATE KEY-----", "after"];
    assert_eq!(lines(cut), [MASK, MASK, MASK, "after"], "the log began in the midst of a key");
}

#[test]
fn text_of_terminals_becomes_plain() {
    let cases: [(&[u8], &str); 9] = [
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;http://x\x1b\\link", "link"),
        (b"a\tb\r", "a b"),
        (b"\xff\xfeok", "\u{fffd}\u{fffd}ok"),
        ("\u{202e}evil".as_bytes(), "evil"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
        (b"end\x1b", "end"),
        (b"\x1b[38;5;", ""),
    ];
    for (bytes, expected) in cases {
        assert_eq!(plain(bytes), expected, "{bytes:?}");
    }
    let coloured = plain(b"\x1b[32mtoken\x1b[0m=\x1b[36mabc123\x1b[0m");
    assert_eq!(text(&coloured), "token=***", "colours hide no secret");
}

#[test]
fn a_cut_is_marked_and_counts_characters() {
    assert_eq!(cut("äöü".into(), 3), "äöü");
    assert_eq!(cut("äöüß".into(), 3), "äö…");
    assert_eq!(cut(String::new(), 0), "");
}

/// Pieces that meet often in logs, put together at random.
fn logs() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,6}",
        "[A-Za-z0-9+/_-]{28,70}",
        Just("password".to_owned()),
        Just("token=".to_owned()),
        Just("\": \"".to_owned()),
        Just("\\\"".to_owned()),
        Just("https://u:p@".to_owned()),
        Just("Authorization: Bearer ".to_owned()),
        Just("<secret>".to_owned()),
        Just(" --".to_owned()),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_masked_without_panic_and_once_is_enough(line in logs()) {
        let once = text(&line);
        prop_assert_eq!(text(&once), once);
    }

    #[test]
    fn any_bytes_become_plain_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = plain(&bytes);
        prop_assert!(!text.chars().any(char::is_control));
        prop_assert_eq!(plain(text.as_bytes()), text);
    }

    #[test]
    fn a_password_never_survives_its_key(secret in "[A-Za-z0-9!$%+*@#]{6,24}") {
        for line in [format!("password={secret} x"), format!("{{\"apiKey\":\"{secret}\"}}"), format!("db://u:{secret}@h")] {
            prop_assert!(!text(&line).contains(&secret), "{}", line);
        }
    }

    #[test]
    fn random_keys_are_seen(bytes in proptest::collection::vec(any::<u8>(), 20)) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // A run of one digit has no entropy; the generator shrinks to it, issuers do not.
        prop_assume!(bytes.iter().collect::<std::collections::HashSet<_>>().len() > 12);
        prop_assume!(hex.bytes().filter(u8::is_ascii_digit).count() >= 3);
        let line = format!("key {hex} end");
        prop_assert!(!text(&line).contains(&hex));
    }
}

/// What the calling thread has run for; others on the machine are not in it.
fn cpu() -> std::time::Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    std::time::Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// As long as a line can be, of what makes a careless reader look at everything again and again. The executor has one thread.
#[test]
fn no_line_takes_the_square_of_its_length() {
    let runs = format!("key{}{}", "a".repeat(16_000), " ".repeat(16_000));
    let lines = [
        runs,
        format!("key{}", " ".repeat(32_000)),
        "monkey=".repeat(4_600),
        "key:".repeat(8_000),
        "monkeys:[".repeat(3_600),
        "://a:".repeat(6_500),
        "a0B".repeat(10_900),
    ];
    for line in lines {
        let began = cpu();
        let _ = text(&line);
        let took = cpu() - began;
        assert!(took.as_millis() < 400, "{}…: {took:?}", &line[..20]);
    }
}
