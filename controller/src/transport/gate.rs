//! Who may try at once: attempts are counted per address and in all, and failures are logged once
//! per address and minute.

use crate::limits::{FAILURE_LOG_ADDRESSES, FAILURE_LOG_PAUSE};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Counts attempts that are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    addresses: HashMap<IpAddr, usize>,
    logged: HashMap<IpAddr, Instant>,
}

/// One attempt; dropping it ends it.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    address: IpAddr,
}

impl Gate {
    /// Attempts under way: in all, and from this address.
    pub fn load(&self, address: IpAddr) -> (usize, usize) {
        let counts = self.lock();
        (counts.total, counts.addresses.get(&group(address)).copied().unwrap_or(0))
    }

    /// Lets an attempt in unless there are too many.
    pub fn enter(&self, address: IpAddr, per_address: usize, total: usize) -> Option<Pass> {
        let address = group(address);
        let mut counts = self.lock();
        if counts.total >= total || counts.addresses.get(&address).is_some_and(|count| *count >= per_address) {
            return None;
        }
        counts.total += 1;
        *counts.addresses.entry(address).or_default() += 1;
        Some(Pass { gate: self.clone(), address })
    }

    /// Whether a failure from this address should be logged now.
    pub fn may_log(&self, address: IpAddr) -> bool {
        let address = group(address);
        let now = Instant::now();
        let mut counts = self.lock();
        if counts.logged.len() >= FAILURE_LOG_ADDRESSES {
            counts.logged.retain(|_, at| now - *at < FAILURE_LOG_PAUSE);
        }
        let recent = counts.logged.get(&address).is_some_and(|at| now - *at < FAILURE_LOG_PAUSE);
        if recent || counts.logged.len() >= FAILURE_LOG_ADDRESSES {
            return false;
        }
        counts.logged.insert(address, now);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.lock();
        counts.total -= 1;
        if let Some(count) = counts.addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.addresses.remove(&self.address);
            }
        }
    }
}

/// One host owns a whole IPv6 /64, so that is what counts as an address.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_rise_and_fall_per_address_and_in_all() {
        let gate = Gate::default();
        let (one, two): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = gate.enter(one, 1, 2).expect("free");
        assert!(gate.enter(one, 1, 2).is_none(), "the address is full");
        let _second = gate.enter(two, 1, 2).expect("free");
        assert!(gate.enter([10, 0, 0, 3].into(), 1, 2).is_none(), "all is full");
        drop(first);
        assert_eq!(gate.load(one), (1, 0));
        assert!(gate.enter(one, 1, 2).is_some());
    }

    #[test]
    fn a_64_is_one_address_and_mapped_v4_is_v4() {
        let parse = |text: &str| text.parse::<IpAddr>().expect("address");
        assert_eq!(group(parse("2001:db8::1")), group(parse("2001:db8::ffff:2")));
        assert_ne!(group(parse("2001:db8::1")), group(parse("2001:db8:0:1::1")));
        assert_eq!(group(parse("::ffff:10.0.0.1")), parse("10.0.0.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_logged_once_a_minute() {
        let gate = Gate::default();
        let address = [10, 0, 0, 1].into();
        assert!(gate.may_log(address));
        assert!(!gate.may_log(address));
        tokio::time::advance(FAILURE_LOG_PAUSE).await;
        assert!(gate.may_log(address));
    }
}
