//! Secrets known by their own shape, whatever stands beside them.

use super::MASK;
use regex_lite::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Prefixes that issuers gave to their secrets so that scanners find them.
const ISSUED: &str = concat!(
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b",        // AWS access key ids
    r"|\bsk-[A-Za-z0-9_-]{16,}",                       // OpenAI, Anthropic
    r"|\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}", // Stripe
    r"|\bgh[pousr]_[A-Za-z0-9]{16,}",                  // GitHub
    r"|\bgithub_pat_[A-Za-z0-9_]{16,}",
    r"|\bgl(?:pat|dt|rt|ptt|oas|cbt)-[A-Za-z0-9_-]{16,}", // GitLab
    r"|\bhf_[A-Za-z0-9]{16,}",                            // Hugging Face
    r"|\bapi_org_[A-Za-z0-9]{16,}",
    r"|\bnvapi-[A-Za-z0-9_-]{16,}",                            // NVIDIA
    r"|\br8_[A-Za-z0-9]{16,}",                                 // Replicate
    r"|\bxox[a-z]-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}", // Slack
    r"|\bAIza[0-9A-Za-z_-]{30,}|\bya29\.[0-9A-Za-z_.-]{16,}",  // Google
    r"|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{30,}|\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
    r"|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", // SendGrid
    r"|\bhv[sbr]\.[A-Za-z0-9_-]{16,}",                // Vault
    r"|\btskey-[A-Za-z0-9-]{10,}",                    // Tailscale
    r"|\bAGE-SECRET-KEY-1[0-9A-Z]+",
    r"|\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b",                              // Telegram
    r"|\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?", // JWT
);

struct Shapes {
    issued: Regex,
    /// `scheme://user:password@`; the password may hold anything but space and quotes.
    userinfo: Regex,
    /// URLs that are themselves the permission to post.
    hooks: Regex,
    bearer: Regex,
    pem: Regex,
    uuid: Regex,
}

static SHAPES: LazyLock<Option<Shapes>> = LazyLock::new(|| {
    Some(Shapes {
        issued: Regex::new(ISSUED).ok()?,
        userinfo: Regex::new(r#"://(?:[^\s:/@"'<>]*:[^\s"'<>]*|[^\s/?#"'<>]*)@"#).ok()?,
        hooks: Regex::new(
            r"(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/)[\w/-]+",
        )
        .ok()?,
        bearer: Regex::new(r"(?i)\b(bearer|basic)[ ]+[A-Za-z0-9._~+/=-]{8,}").ok()?,
        pem: Regex::new(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z0-9 ]*PRIVATE KEY-----)?").ok()?,
        uuid: Regex::new(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").ok()?,
    })
});

/// Masks everything that looks like a secret. Should a pattern not compile, which a test excludes,
/// nothing may pass.
pub fn mask_shapes(text: &str) -> Cow<'_, str> {
    mask_with(text, &May::hold(text))
}

fn mask_with<'a>(text: &'a str, may: &May) -> Cow<'a, str> {
    let Some(shapes) = &*SHAPES else {
        return Cow::Borrowed(MASK);
    };
    let mut text = Cow::Borrowed(text);
    for (may, regex, with) in [
        (may.pem, &shapes.pem, MASK),
        (may.userinfo, &shapes.userinfo, "://***@"),
        (may.hooks, &shapes.hooks, "${1}***"),
        (may.issued, &shapes.issued, MASK),
        (may.bearer, &shapes.bearer, "${1} ***"),
    ] {
        if may && let Cow::Owned(masked) = regex.replace_all(&text, with) {
            text = Cow::Owned(masked);
        }
    }
    if !may.run {
        return text;
    }
    match mask_runs(&text, &shapes.uuid) {
        Some(masked) => Cow::Owned(masked),
        None => text,
    }
}

/// Characters of a run that may be a key.
const RUN: usize = 32;

fn is_run_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-')
}

/// Masks long random runs, with the `=` or `==` behind them; none if there are none. By hand: a pattern takes ten times as long.
fn mask_runs(text: &str, uuid: &Regex) -> Option<String> {
    let bytes = text.as_bytes();
    let mut masked = String::new();
    let (mut copied, mut start) = (0, 0);
    while start < bytes.len() {
        let length = bytes[start..].iter().position(|byte| !is_run_byte(*byte)).unwrap_or(bytes.len() - start);
        let end = start + length;
        if length >= RUN {
            let padding = bytes[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
            if is_random(&text[start..end + padding], uuid) {
                masked.push_str(&text[copied..start]);
                masked.push_str(MASK);
                copied = end + padding;
            }
        }
        start = end + 1;
    }
    (copied > 0).then(|| masked + &text[copied..])
}

/// Beginnings of what [`ISSUED`] finds, each at the beginning of a word; Telegram's has eight digits or more and a colon.
const ISSUED_BEGINS: [&[u8]; 41] = [
    b"AKIA",
    b"ASIA",
    b"ABIA",
    b"ACCA",
    b"AIza",
    b"AGE-SECRET-KEY-1",
    b"SG.",
    b"api_org_",
    b"dckr_",
    b"eyJ",
    b"ghp_",
    b"gho_",
    b"ghu_",
    b"ghs_",
    b"ghr_",
    b"github_pat_",
    b"glpat-",
    b"gldt-",
    b"glrt-",
    b"glptt-",
    b"gloas-",
    b"glcbt-",
    b"hf_",
    b"hvs.",
    b"hvb.",
    b"hvr.",
    b"npm_",
    b"nvapi-",
    b"pk_live_",
    b"pk_test_",
    b"pypi-",
    b"r8_",
    b"rk_live_",
    b"rk_test_",
    b"sk-",
    b"sk_live_",
    b"sk_test_",
    b"tskey-",
    b"xapp-",
    b"xox",
    b"ya29.",
];

/// Hosts of what [`Shapes::hooks`] finds.
const HOOKS: [&[u8]; 3] = [b"hooks.slack.com", b"discord.com", b"discordapp.com"];

/// Which patterns may find something: one pass over the bytes, where each pattern costs microseconds.
#[derive(Debug, Default)]
struct May {
    pem: bool,
    userinfo: bool,
    hooks: bool,
    issued: bool,
    bearer: bool,
    run: bool,
}

impl May {
    fn hold(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut may = Self::default();
        let (mut run, mut digits, mut in_word) = (0, 0, false);
        for (at, byte) in bytes.iter().enumerate() {
            let is_word = byte.is_ascii_alphanumeric() || *byte == b'_';
            if is_word && !in_word {
                let rest = &bytes[at..];
                may.issued |= ISSUED_BEGINS.iter().any(|begin| begin[0] == *byte && rest.starts_with(begin));
                may.bearer |= begins(rest, b"bearer ") || begins(rest, b"basic ");
                digits = 0;
            }
            match byte {
                b'0'..=b'9' => digits += 1,
                b':' => {
                    may.issued |= in_word && digits >= 8;
                    may.userinfo |= bytes[at..].starts_with(b"://");
                }
                b'-' => may.pem |= bytes[at..].starts_with(b"-----BEGIN "),
                b'/' => may.hooks |= HOOKS.iter().any(|host| bytes[..at].ends_with(host)),
                _ => {}
            }
            in_word = is_word;
            run = if is_run_byte(*byte) { run + 1 } else { 0 };
            may.run |= run >= RUN;
        }
        may
    }
}

fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with))
}

/// Whether a run of 32 characters or more is random enough for a key: hex, base64, base62. Not so
/// 64 digits of hex (container ids, digests), UUIDs, paths and names of many words.
fn is_random(run: &str, uuid: &Regex) -> bool {
    // Most runs have no room for one, and are told so at once.
    let run = if run.contains('-') { uuid.replace_all(run, "-") } else { Cow::Borrowed(run) };
    let mut rest = String::new();
    for piece in run.split(|char: char| !char.is_ascii_alphanumeric()) {
        let is_digest = piece.len() == 64 && piece.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_digest {
            continue;
        }
        let digits = piece.bytes().filter(u8::is_ascii_digit).count();
        if piece.len() >= 32 && digits >= 3 && piece.len() - digits >= 3 && entropy(piece) >= 3.0 {
            return true;
        }
        rest.push_str(piece);
    }
    // Base64 with its `+`, `/`, `-` or `_`: all three classes, changing often. Words seldom change.
    let has = |class: fn(&u8) -> bool| rest.bytes().any(|byte| class(&byte));
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    rest.len() >= 30 && mixed && changes(&rest) >= 0.36 && entropy(&rest) >= 3.8
}

/// Share of neighbours that are of different classes; 0.62 in random base62.
fn changes(text: &str) -> f64 {
    let class = |byte: u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    };
    let changed = text.as_bytes().windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    changed as f64 / text.len().max(2) as f64
}

/// Shannon's, in bits a character: random hex of 32 has about 3.6, base64 4.5.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let total = text.len().max(1) as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pattern_compiles() {
        assert!(SHAPES.is_some());
    }

    const ALL: May = May { pem: true, userinfo: true, hooks: true, issued: true, bearer: true, run: true };

    /// Pieces that secrets are made of, whole and broken.
    const PIECES: &[&str] = &[
        "AKIA",
        "IOSFODNN7EXAMPLE",
        "sk-",
        "sk_live_",
        "ghp_",
        "github_pat_",
        "glpat-",
        "hf_",
        "xoxb-",
        "eyJ",
        "SG.",
        "hvs.",
        "tskey-",
        "12345678:",
        "1234567890",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END",
        "://",
        "user:pw@",
        "hooks.slack.com/services/",
        "discord.com/api/webhooks/",
        "Bearer ",
        "basic  ",
        "abcdefgh12345678",
        "0123456789abcdef",
        "\u{e4}",
        " ",
        ".",
        "-",
        "_",
        "x",
        "/",
        "+",
        "=",
        "\n",
        "ya29.",
        "r8_",
        "AGE-SECRET-KEY-1",
    ];

    proptest! {
        #[test]
        fn runs_are_those_of_their_pattern(pieces in proptest::collection::vec("[a-zA-Z0-9+/_=-]{0,40}|[0-9a-f]{60,68}|[ ä.]", 0..8)) {
            let (text, uuid) = (pieces.concat(), &SHAPES.as_ref().unwrap().uuid);
            let pattern = Regex::new(r"[A-Za-z0-9+/_-]{32,}={0,2}").unwrap();
            let judge = |found: &regex_lite::Captures<'_>| {
                if is_random(&found[0], uuid) { MASK.to_owned() } else { found[0].to_owned() }
            };
            let expected = pattern.replace_all(&text, judge);
            prop_assert_eq!(mask_runs(&text, uuid).map_or(Cow::Borrowed(&*text), Cow::Owned), expected);
        }

        #[test]
        fn what_is_not_looked_for_is_not_there(
            pieces in proptest::collection::vec((0..PIECES.len(), "[a-zA-Z0-9]{0,20}"), 0..12),
        ) {
            let text: String = pieces.iter().flat_map(|(at, more)| [PIECES[*at], more]).collect();
            prop_assert_eq!(mask_shapes(&text), mask_with(&text, &ALL));
        }
    }
}
