//! Calls that give one or two numbers, perhaps about a part of the GPU.

use crate::scenario::about;
use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlReturn_t, nvmlUtilization_t};
use std::ffi::{c_uint, c_ulonglong};

/// `symbol(argument, …) -> type, …;`: its numbers are stated under `symbol/argument/…`.
macro_rules! numbers {
    ($($symbol:ident($($argument:ident),*) -> $first:ty $(, $second:ty)?;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(
            device: nvmlDevice_t,
            $($argument: c_uint,)*
            first: *mut $first,
            $(second: *mut $second,)?
        ) -> nvmlReturn_t {
            about(stringify!($symbol), device, |gpu| {
                #[allow(unused_mut)]
                let mut key = stringify!($symbol).to_owned();
                $(key.push_str(&format!("/{}", $argument));)*
                let values = gpu.value(&key)?;
                // SAFETY: the caller gives a place for each number.
                unsafe { *first = values.0 as $first };
                // SAFETY: as above.
                $(unsafe { *second = values.1 as $second };)?
                Ok(())
            })
        }
    )*};
}

numbers! {
    nvmlDeviceGetPersistenceMode() -> c_uint;
    nvmlDeviceGetEccMode() -> c_uint, c_uint;
    nvmlDeviceGetMigMode() -> c_uint, c_uint;
    nvmlDeviceGetMaxPcieLinkGeneration() -> c_uint;
    nvmlDeviceGetMaxPcieLinkWidth() -> c_uint;
    nvmlDeviceGetCurrPcieLinkGeneration() -> c_uint;
    nvmlDeviceGetCurrPcieLinkWidth() -> c_uint;
    nvmlDeviceGetPcieReplayCounter() -> c_uint;
    nvmlDeviceGetClockInfo(kind) -> c_uint;
    nvmlDeviceGetMaxClockInfo(kind) -> c_uint;
    nvmlDeviceGetPowerManagementDefaultLimit() -> c_uint;
    nvmlDeviceGetPowerUsage() -> c_uint;
    nvmlDeviceGetEnforcedPowerLimit() -> c_uint;
    nvmlDeviceGetTotalEnergyConsumption() -> c_ulonglong;
    nvmlDeviceGetTemperature(sensor) -> c_uint;
    nvmlDeviceGetFanSpeed_v2(fan) -> c_uint;
    nvmlDeviceGetEncoderUtilization() -> c_uint, c_uint;
    nvmlDeviceGetDecoderUtilization() -> c_uint, c_uint;
    nvmlDeviceGetCurrentClocksThrottleReasons() -> c_ulonglong;
    nvmlDeviceGetTotalEccErrors(kind, counter) -> c_ulonglong;
    nvmlDeviceGetNvLinkState(link) -> c_uint;
    nvmlDeviceGetNvLinkErrorCounter(link, counter) -> c_ulonglong;
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    out: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    about("nvmlDeviceGetUtilizationRates", device, |gpu| {
        let (gpu, memory) = gpu.value("nvmlDeviceGetUtilizationRates")?;
        // SAFETY: the caller gives a place for it.
        unsafe { *out = nvmlUtilization_t { gpu: gpu as c_uint, memory: memory as c_uint } };
        Ok(())
    })
}

/// Total and used bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: nvmlDevice_t, out: *mut nvmlMemory_v2_t) -> nvmlReturn_t {
    about("nvmlDeviceGetMemoryInfo_v2", device, |gpu| {
        let (total, used) = gpu.value("nvmlDeviceGetMemoryInfo_v2")?;
        // SAFETY: the caller gives a struct whose version it has set.
        unsafe { *out = nvmlMemory_v2_t { total, used, free: total - used, reserved: 0, ..*out } };
        Ok(())
    })
}

/// Total and used bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo(device: nvmlDevice_t, out: *mut nvmlMemory_t) -> nvmlReturn_t {
    about("nvmlDeviceGetMemoryInfo", device, |gpu| {
        let (total, used) = gpu.value("nvmlDeviceGetMemoryInfo")?;
        // SAFETY: the caller gives a place for it.
        unsafe { *out = nvmlMemory_t { total, used, free: total - used } };
        Ok(())
    })
}
