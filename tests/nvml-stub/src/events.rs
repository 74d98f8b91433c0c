//! Xid errors.

use crate::scenario::{Scenario, call, current, handle};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlReturn_enum_NVML_ERROR_TIMEOUT as TIMEOUT, nvmlReturn_t,
};
use std::ffi::{c_uint, c_ulonglong};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const XID: c_ulonglong = 8;

/// How many of the scenario's Xids were sent, or were there before initialisation.
static SENT: AtomicUsize = AtomicUsize::new(0);

/// The library is initialised: what the scenario states now is the past.
pub fn begin(scenario: &Scenario) {
    SENT.store(scenario.xids.len(), Ordering::Relaxed);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(out: *mut nvmlEventSet_t) -> nvmlReturn_t {
    call("nvmlEventSetCreate", |_| {
        // SAFETY: the caller gives a place for it; there is one set, and nobody follows the pointer.
        unsafe { *out = std::ptr::without_provenance_mut(1) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlEventSetFree(_set: nvmlEventSet_t) -> nvmlReturn_t {
    call("nvmlEventSetFree", |_| Ok(()))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceRegisterEvents(
    device: nvmlDevice_t,
    _types: c_ulonglong,
    _set: nvmlEventSet_t,
) -> nvmlReturn_t {
    crate::scenario::about("nvmlDeviceRegisterEvents", device, |_| Ok(()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(
    _set: nvmlEventSet_t,
    out: *mut nvmlEventData_t,
    milliseconds: c_uint,
) -> nvmlReturn_t {
    let end = Instant::now() + Duration::from_millis(milliseconds.into());
    while Instant::now() < end {
        let scenario = current();
        let sent = SENT.load(Ordering::Relaxed);
        if let Some(xid) = scenario.xids.get(sent) {
            SENT.store(sent + 1, Ordering::Relaxed);
            let event = nvmlEventData_t {
                device: handle(xid.gpu, None),
                eventType: XID,
                eventData: xid.code,
                gpuInstanceId: u32::MAX,
                computeInstanceId: u32::MAX,
            };
            // SAFETY: the caller gives a place for it.
            unsafe { *out = event };
            return call("nvmlEventSetWait_v2", |_| Ok(()));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    TIMEOUT
}
