//! `/proc/<pid>/net/dev`: what the interfaces of a network namespace carried. Pure.

/// Bytes since the interfaces came up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub received: u64,
    pub sent: u64,
}

/// Sum over all interfaces but loopback; `None` if there is no other (`--network none`).
#[must_use]
pub fn parse(text: &[u8]) -> Option<Traffic> {
    let mut sum: Option<Traffic> = None;
    for line in text.split(|byte| *byte == b'\n') {
        // A name may itself hold a colon (an alias, `eth0:1`); numbers never do.
        let Some(colon) = line.iter().rposition(|byte| *byte == b':') else { continue };
        let mut fields = line[colon + 1..]
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty())
            .map(super::cgroup::number);
        let (Some(Some(received)), Some(Some(sent))) = (fields.next(), fields.nth(7)) else { continue };
        if line[..colon].trim_ascii() == b"lo" {
            continue;
        }
        let total = sum.get_or_insert_default();
        total.received = total.received.saturating_add(received);
        total.sent = total.sent.saturating_add(sent);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
";

    #[test]
    fn all_but_loopback_count() {
        let text = format!(
            "{HEAD}    lo: 900 9 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n  eth0:     200       2    0    0    0     0          0         0       70       1    0    0    0     0       0          0\n eth1:1 0 0 0 0 0 0 0 5 0 0 0 0 0 0 0\neth2:18446744073709551615 1 0 0 0 0 0 0 3 0 0 0 0 0 0 0\n"
        );
        assert_eq!(parse(text.as_bytes()), Some(Traffic { received: u64::MAX, sent: 78 }));
    }

    #[test]
    fn loopback_alone_is_no_network() {
        assert_eq!(parse(format!("{HEAD}    lo: 900 9 0 0 0 0 0 0 900 9 0 0 0 0 0 0\n").as_bytes()), None);
        assert_eq!(parse(b""), None);
        assert_eq!(parse(HEAD.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let sum = parse(&text);
            prop_assert!(sum.is_none() || text.contains(&b':'));
        }

        #[test]
        fn what_is_printed_is_read(lines in proptest::collection::vec((0..1_u64 << 50, 0..1_u64 << 50), 1..5)) {
            let text: String = lines.iter().enumerate()
                .map(|(index, (rx, tx))| format!("  eth{index}: {rx} 1 2 3 4 5 6 7 {tx} 1 2 3 4 5 6 7\n")).collect();
            let sum = Traffic { received: lines.iter().map(|line| line.0).sum(), sent: lines.iter().map(|line| line.1).sum() };
            prop_assert_eq!(parse(text.as_bytes()), Some(sum));
        }
    }
}
