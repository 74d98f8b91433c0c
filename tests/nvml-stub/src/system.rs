//! Initialisation, versions, the list of GPUs, and texts.

use crate::events;
use crate::scenario::{Scenario, about, call, handle, parts};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlPciInfo_t, nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as INSUFFICIENT_SIZE,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT, nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_t,
};
use std::ffi::{c_char, c_int, c_uint};

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    call("nvmlInit_v2", |scenario| {
        events::begin(scenario);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> nvmlReturn_t {
    nvmlInit_v2()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    call("nvmlShutdown", |_| Ok(()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, length: c_uint) -> nvmlReturn_t {
    call("nvmlSystemGetDriverVersion", |scenario| put(scenario.driver_version.as_deref(), out, length))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(out: *mut c_char, length: c_uint) -> nvmlReturn_t {
    call("nvmlSystemGetNVMLVersion", |scenario| put(scenario.nvml_version.as_deref(), out, length))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(out: *mut c_int) -> nvmlReturn_t {
    call("nvmlSystemGetCudaDriverVersion_v2", |scenario| {
        let version = scenario.cuda_version.ok_or(NOT_SUPPORTED)?;
        // SAFETY: the caller gives a place for it.
        unsafe { *out = version };
        Ok(())
    })
}

/// Indices in the file of the GPUs that the driver lists.
fn listed(scenario: &Scenario) -> Vec<usize> {
    scenario.gpus.iter().enumerate().filter(|(_, gpu)| !gpu.vanished).map(|(index, _)| index).collect()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> nvmlReturn_t {
    call("nvmlDeviceGetCount_v2", |scenario| {
        // SAFETY: the caller gives a place for it.
        unsafe { *out = listed(scenario).len() as c_uint };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut nvmlDevice_t) -> nvmlReturn_t {
    call("nvmlDeviceGetHandleByIndex_v2", |scenario| {
        let index = *listed(scenario).get(index as usize).ok_or(INVALID_ARGUMENT)?;
        scenario.gpus[index].error.map_or(Ok(()), Err)?;
        // SAFETY: the caller gives a place for it.
        unsafe { *out = handle(index, None) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: nvmlDevice_t, out: *mut c_uint) -> nvmlReturn_t {
    about("nvmlDeviceGetMaxMigDeviceCount", device, |_| {
        // SAFETY: the caller gives a place for it.
        unsafe { *out = 7 };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvmlDevice_t,
    index: c_uint,
    out: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    about("nvmlDeviceGetMigDeviceHandleByIndex", device, |gpu| {
        gpu.instances.get(index as usize).ok_or(NOT_FOUND)?;
        // SAFETY: the caller gives a place for it.
        unsafe { *out = handle(parts(device).0, Some(index as usize)) };
        Ok(())
    })
}

/// Texts of a GPU, each by its symbol.
macro_rules! texts {
    ($($symbol:ident)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(device: nvmlDevice_t, out: *mut c_char, length: c_uint) -> nvmlReturn_t {
            let symbol = stringify!($symbol);
            about(symbol, device, |gpu| put(gpu.texts.get(symbol).map(String::as_str), out, length))
        }
    )*};
}

texts! { nvmlDeviceGetUUID nvmlDeviceGetName nvmlDeviceGetSerial nvmlDeviceGetVbiosVersion }

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: nvmlDevice_t, out: *mut nvmlPciInfo_t) -> nvmlReturn_t {
    about("nvmlDeviceGetPciInfo_v3", device, |gpu| {
        // SAFETY: the struct is plain integers and characters; the caller gives a place for it.
        let mut info: nvmlPciInfo_t = unsafe { std::mem::zeroed() };
        let bus_id = gpu.texts.get("nvmlDeviceGetPciInfo_v3").map(String::as_str);
        put(bus_id, info.busId.as_mut_ptr(), info.busId.len() as c_uint)?;
        // SAFETY: as above.
        unsafe { *out = info };
        Ok(())
    })
}

/// Writes a text with its end mark.
fn put(text: Option<&str>, out: *mut c_char, length: c_uint) -> Result<(), nvmlReturn_t> {
    let text = text.ok_or(NOT_SUPPORTED)?;
    if text.len() >= length as usize {
        return Err(INSUFFICIENT_SIZE);
    }
    for (at, byte) in text.bytes().chain([0]).enumerate() {
        // SAFETY: the caller's buffer has `length` characters, and that is enough.
        unsafe { *out.add(at) = byte as c_char };
    }
    Ok(())
}
