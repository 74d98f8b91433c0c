//! How many readers of logs there may be: in all, and of one host, whose other streams must find room beside theirs.

use crate::api::ApiError;
use crate::limits::{LOG_READERS, LOG_READERS_PER_HOST};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Clone, Default)]
pub struct Room(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    readers: usize,
    by_host: HashMap<i32, usize>,
}

/// A reader's place; dropping it gives it up.
#[derive(Debug)]
pub struct Reader {
    room: Room,
    hosts: BTreeSet<i32>,
}

impl Room {
    /// # Errors
    /// 503: there is none.
    pub fn enter(&self, hosts: BTreeSet<i32>) -> Result<Reader, ApiError> {
        let mut taken = self.lock();
        if taken.readers >= LOG_READERS {
            let words =
                format!("{LOG_READERS} readers of logs are open, which is all that there may be: try again later");
            return Err(ApiError::unavailable(words));
        }
        let full =
            hosts.iter().find(|host| taken.by_host.get(host).is_some_and(|count| *count >= LOG_READERS_PER_HOST));
        if let Some(host) = full {
            let words = format!("the logs of host {host} have {LOG_READERS_PER_HOST} readers already: try again later");
            return Err(ApiError::unavailable(words));
        }
        taken.readers += 1;
        hosts.iter().for_each(|host| *taken.by_host.entry(*host).or_default() += 1);
        Ok(Reader { room: self.clone(), hosts })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.readers -= 1;
        for host in &self.hosts {
            if let Some(count) = taken.by_host.get_mut(host) {
                *count -= 1;
                if *count == 0 {
                    taken.by_host.remove(host);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_counted_by_host_and_in_all() {
        let room = Room::default();
        let mut of_one: Vec<_> = (0..LOG_READERS_PER_HOST).map(|_| room.enter([1, 2].into()).unwrap()).collect();
        assert!(room.enter([2, 3].into()).unwrap_err().detail.contains("host 2"));
        of_one.pop();
        let more: Vec<_> = (0..).map_while(|host| room.enter([100 + host].into()).ok()).collect();
        assert_eq!(of_one.len() + more.len(), LOG_READERS);
        drop((of_one, more));
        assert!(room.lock().readers == 0 && room.lock().by_host.is_empty());
    }
}
