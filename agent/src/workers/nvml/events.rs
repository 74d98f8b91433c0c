//! Xid errors, as they come.
//!
//! One thread waits for them and never ends before its process does; it owns the event set, and
//! what it has seen waits in a bounded queue for the next reading.

use super::messages::XidReading;
use super::raw;
use crate::limits::{XID_WAIT, XIDS_KEPT};
use crate::tick::wall_ms;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The code that NVML gives when it knows none.
const UNKNOWN_XID: u64 = 999;

/// What came since the last reading; when full, the oldest go.
#[derive(Debug, Clone, Default)]
pub struct Xids(Arc<Mutex<VecDeque<XidReading>>>);

impl Xids {
    fn push(&self, xid: XidReading) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() == XIDS_KEPT {
            queue.pop_front();
        }
        queue.push_back(xid);
    }

    /// Takes all, oldest first.
    pub fn take(&self) -> Vec<XidReading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

/// Begins to listen for Xids of `devices` (with their UUIDs). Cards that have no events, and a
/// library that knows none, are left out: then there is nothing to listen for, which is no error.
pub fn watch(nvml: &'static Nvml, devices: &[(&Device<'static>, &str)]) -> Xids {
    let xids = Xids::default();
    let names: Vec<_> = devices.iter().map(|(device, uuid)| (raw::identity(device), (*uuid).to_owned())).collect();
    let Some(set) = register(nvml, devices) else { return xids };
    let queue = xids.clone();
    let listening = std::thread::Builder::new().name("xids".into()).spawn(move || listen(&set, &names, &queue));
    if let Err(error) = listening {
        eprintln!("nvml-worker: no Xid errors will be seen: no thread: {error}");
    }
    xids
}

/// A set with every device that can be registered. A refusal takes the whole set with it, so the
/// device is left out and the set is made anew.
fn register(nvml: &'static Nvml, devices: &[(&Device<'static>, &str)]) -> Option<EventSet<'static>> {
    let mut willing: Vec<_> = devices.iter().map(|(device, _)| *device).collect();
    while !willing.is_empty() {
        let mut set = nvml.create_event_set().ok();
        let refused = willing.iter().position(|device| {
            set = set.take().and_then(|set| device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok());
            set.is_none()
        });
        match refused {
            None => return set,
            Some(index) => drop(willing.remove(index)),
        }
    }
    None
}

fn listen(set: &EventSet<'static>, names: &[(usize, String)], xids: &Xids) {
    loop {
        match set.wait(XID_WAIT.as_millis() as u32) {
            Ok(event) => {
                let Some(code) = event.event_data else { continue };
                let handle = raw::identity(&event.device);
                let gpu = names.iter().find(|(known, _)| *known == handle).map(|(_, uuid)| uuid.clone());
                let code = match code {
                    XidError::Value(code) => code,
                    XidError::Unknown => UNKNOWN_XID,
                };
                xids.push(XidReading { at_ms: wall_ms(), gpu, code });
            }
            Err(NvmlError::Timeout) => {}
            Err(_) => pause(),
        }
    }
}

/// A lost GPU makes each wait fail at once.
#[allow(clippy::disallowed_methods)] // This is a worker process with a thread for this.
fn pause() {
    std::thread::sleep(XID_WAIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_bounded_and_keeps_the_newest() {
        let xids = Xids::default();
        for code in 0..XIDS_KEPT as u64 + 3 {
            xids.push(XidReading { at_ms: 0, gpu: None, code });
        }
        let taken = xids.take();
        assert_eq!((taken.len(), taken.first().map(|xid| xid.code)), (XIDS_KEPT, Some(3)));
        assert!(xids.take().is_empty());
    }
}
