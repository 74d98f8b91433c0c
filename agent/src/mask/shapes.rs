//! Secrets known by their own shape, whatever stands beside them.

use super::MASK;
use regex_lite::{Captures, Regex};
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
    run: Regex,
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
        run: Regex::new(r"[A-Za-z0-9+/_-]{32,}={0,2}").ok()?,
        uuid: Regex::new(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").ok()?,
    })
});

/// Masks everything that looks like a secret. Should a pattern not compile, which a test excludes,
/// nothing may pass.
pub fn mask_shapes(text: &str) -> Cow<'_, str> {
    let Some(shapes) = &*SHAPES else {
        return Cow::Borrowed(MASK);
    };
    let mut text = Cow::Borrowed(text);
    for (regex, with) in [
        (&shapes.pem, MASK),
        (&shapes.userinfo, "://***@"),
        (&shapes.hooks, "${1}***"),
        (&shapes.issued, MASK),
        (&shapes.bearer, "${1} ***"),
    ] {
        if let Cow::Owned(masked) = regex.replace_all(&text, with) {
            text = Cow::Owned(masked);
        }
    }
    let judge = |found: &Captures<'_>| {
        let run = &found[0];
        if is_random(run, &shapes.uuid) { MASK.to_owned() } else { run.to_owned() }
    };
    if let Cow::Owned(masked) = shapes.run.replace_all(&text, judge) {
        text = Cow::Owned(masked);
    }
    text
}

/// Whether a run of 32 characters or more is random enough for a key: hex, base64, base62. Not so
/// 64 digits of hex (container ids, digests), UUIDs, paths and names of many words.
fn is_random(run: &str, uuid: &Regex) -> bool {
    let run = uuid.replace_all(run, "-");
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

    #[test]
    fn every_pattern_compiles() {
        assert!(SHAPES.is_some());
    }
}
