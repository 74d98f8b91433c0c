//! Back-off after failed logins, in memory (docs/decisions/login-back-off.md).
//!
//! One address that guesses at one account must wait longer and longer, up to a minute. A device in which the account
//! is known has a count of its own, so that guesses from behind the same address do not hold it up. An account at
//! which many addresses guess is answered more slowly, by two seconds at most, and never refused: guessing cannot lock
//! its owner out. An attempt counts when it begins, so that many at once gain nothing.

use crate::limits::{
    LOGIN_ACCOUNT_FREE, LOGIN_DELAY_MAX, LOGIN_DELAY_STEP, LOGIN_FORGET_AFTER, LOGIN_FREE, LOGIN_KEYS, LOGIN_WAIT_MAX,
};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<Key, Failures>>);

/// Where a login comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Address(IpAddr),
    /// A device or a session that proved before whose it is.
    Known([u8; 32]),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, IpAddr),
    Known([u8; 32]),
    Account(String),
}

impl Key {
    fn of(name: &str, way: Way) -> Self {
        match way {
            Way::Address(address) => Self::Pair(name.to_owned(), network(address)),
            Way::Known(hash) => Self::Known(hash),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Whether an attempt may be judged now.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// After this delay.
    Judge(Duration),
    /// Not before this time has passed.
    Wait(Duration),
}

impl Throttle {
    /// An attempt at `name` begins; it counts as failed until [`Throttle::succeeded`].
    pub fn begin(&self, name: &str, way: Way, now: Instant) -> Verdict {
        let mut failures = self.lock();
        let own = Key::of(name, way);
        if let Some(known) = failures.get(&own).filter(|known| known.is_fresh(now)) {
            let doublings = known.count.saturating_sub(LOGIN_FREE);
            let wait = Duration::from_secs(1 << doublings.min(16)).min(LOGIN_WAIT_MAX);
            let left = (known.last + wait).saturating_duration_since(now);
            if known.count >= LOGIN_FREE && !left.is_zero() {
                return Verdict::Wait(left);
            }
        }
        count(&mut failures, own, now);
        if let Way::Known(_) = way {
            return Verdict::Judge(Duration::ZERO);
        }
        let account = count(&mut failures, Key::Account(name.to_owned()), now);
        let delay = LOGIN_DELAY_STEP * account.saturating_sub(LOGIN_ACCOUNT_FREE);
        Verdict::Judge(delay.min(LOGIN_DELAY_MAX))
    }

    /// The attempt was right: neither it nor those before it from there count any more.
    pub fn succeeded(&self, name: &str, way: Way) {
        let mut failures = self.lock();
        let own = failures.remove(&Key::of(name, way)).map_or(0, |own| own.count);
        if let Way::Known(_) = way {
            return;
        }
        if let Some(account) = failures.get_mut(&Key::Account(name.to_owned())) {
            account.count = account.count.saturating_sub(own);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < LOGIN_FORGET_AFTER
    }
}

fn count(failures: &mut HashMap<Key, Failures>, key: Key, now: Instant) -> u32 {
    if failures.len() >= LOGIN_KEYS && !failures.contains_key(&key) {
        make_room(failures, now);
    }
    let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
    if !entry.is_fresh(now) {
        entry.count = 0;
    }
    entry.count = entry.count.saturating_add(1);
    entry.last = now;
    entry.count
}

/// Forgets what is old; if that is not enough, the tenth that has failed least, the oldest of it first.
fn make_room(failures: &mut HashMap<Key, Failures>, now: Instant) {
    failures.retain(|_, failures| failures.is_fresh(now));
    if failures.len() >= LOGIN_KEYS {
        let mut guilt: Vec<_> = failures.values().map(|failures| (failures.count, failures.last)).collect();
        let (_, limit, _) = guilt.select_nth_unstable(LOGIN_KEYS / 10);
        let limit = *limit;
        failures.retain(|_, failures| (failures.count, failures.last) > limit);
    }
}

/// A household has a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_DELAY: Verdict = Verdict::Judge(Duration::ZERO);

    fn address(last: u8) -> Way {
        Way::Address(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test]
    async fn one_address_waits_longer_and_longer_up_to_a_minute() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        for _ in 0..LOGIN_FREE {
            assert_eq!(throttle.begin("admin", address(1), now), NO_DELAY);
        }
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = Duration::from_secs(expected);
            assert_eq!(throttle.begin("admin", address(1), now), Verdict::Wait(wait));
            now += wait;
            assert!(matches!(throttle.begin("admin", address(1), now), Verdict::Judge(_)));
        }
        assert!(matches!(throttle.begin("admin", address(1), now), Verdict::Wait(_)));
        assert!(matches!(throttle.begin("admin", address(2), now), Verdict::Judge(_)), "others are not locked out");
        assert_eq!(throttle.begin("admin", address(1), now + LOGIN_FORGET_AFTER), NO_DELAY);
    }

    #[tokio::test]
    async fn success_clears_the_address() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..LOGIN_FREE {
            throttle.begin("admin", address(1), now);
        }
        throttle.succeeded("admin", address(1));
        assert_eq!(throttle.begin("admin", address(1), now), NO_DELAY);
    }

    #[tokio::test]
    async fn an_account_under_attack_is_slow_and_never_closed() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for guess in 0..1_000_u32 {
            let [_, _, high, low] = guess.to_be_bytes();
            throttle.begin("admin", Way::Address(IpAddr::from([10, 0, high, low])), now);
        }
        assert_eq!(throttle.begin("admin", address(1), now), Verdict::Judge(LOGIN_DELAY_MAX));
        assert_eq!(throttle.begin("other", address(1), now), NO_DELAY);
    }

    #[tokio::test]
    async fn guesses_from_behind_ones_own_address_do_not_hold_a_known_device_up() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..1_000 {
            throttle.begin("admin", address(1), now);
        }
        assert!(matches!(throttle.begin("admin", address(1), now), Verdict::Wait(_)));
        let known = Way::Known([1; 32]);
        for _ in 0..LOGIN_FREE {
            assert_eq!(throttle.begin("admin", known, now), NO_DELAY);
        }
        assert!(matches!(throttle.begin("admin", known, now), Verdict::Wait(_)), "and gets no more guesses itself");
        throttle.succeeded("admin", known);
        assert_eq!(throttle.begin("admin", known, now), NO_DELAY);
        assert!(matches!(throttle.begin("admin", address(1), now), Verdict::Wait(_)), "the others wait on");
        for other in 0..20 {
            assert_eq!(throttle.begin(&format!("film-maker {other}"), address(1), now), NO_DELAY);
        }
    }

    #[tokio::test]
    async fn a_network_of_ipv6_is_one_address() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for host in 0..u128::from(LOGIN_FREE) {
            throttle.begin("admin", Way::Address(Ipv6Addr::from(0x2001_0db8 << 96 | host).into()), now);
        }
        let next = Way::Address(Ipv6Addr::from(0x2001_0db8 << 96 | 0xffff).into());
        assert!(matches!(throttle.begin("admin", next, now), Verdict::Wait(_)));
    }

    #[tokio::test]
    async fn memory_is_bounded_and_the_persistent_are_remembered() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..LOGIN_FREE {
            throttle.begin("admin", address(1), now);
        }
        for name in 0..LOGIN_KEYS {
            throttle.begin(&format!("name{name}"), address(2), now + Duration::from_millis(1));
        }
        assert!(throttle.lock().len() <= LOGIN_KEYS);
        assert!(matches!(throttle.begin("admin", address(1), now), Verdict::Wait(_)));
    }
}
