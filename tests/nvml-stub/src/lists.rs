//! Calls that give lists: field values, processes, pages.

use crate::scenario::{Field, Gpu, Process, about};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlProcessInfo_t, nvmlProcessUtilizationSample_t,
    nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as INSUFFICIENT_SIZE,
    nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND, nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED,
    nvmlReturn_enum_NVML_SUCCESS as SUCCESS, nvmlReturn_t, nvmlValue_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG,
};
use std::ffi::{c_int, c_uint, c_ulonglong};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> nvmlReturn_t {
    about("nvmlDeviceGetFieldValues", device, |gpu| {
        for at in 0..count as usize {
            // SAFETY: the caller gives `count` structs whose ids it has set.
            let value = unsafe { &mut *values.add(at) };
            (value.nvmlReturn, value.valueType, value.value) = match gpu.fields.get(&value.fieldId) {
                None => (NOT_SUPPORTED, 0, nvmlValue_t { ullVal: 0 }),
                // As the real library: a number stands there although the status says that it is none.
                Some(Field::Error(code)) => (*code, UNSIGNED_INT, nvmlValue_t { ullVal: 7 }),
                Some(Field::U32(number)) => (SUCCESS, UNSIGNED_INT, nvmlValue_t { uiVal: *number }),
                Some(Field::U64(number)) => (SUCCESS, UNSIGNED_LONG_LONG, nvmlValue_t { ullVal: *number }),
            };
        }
        Ok(())
    })
}

/// Gives `items` by the usual rule: a buffer that is too small gets the number that is needed.
///
/// # Safety
/// `count` says how many `out` has room for.
unsafe fn give<T>(items: &[T], count: *mut c_uint, out: *mut T) -> Result<(), nvmlReturn_t>
where
    T: Copy,
{
    // SAFETY: the caller's own.
    let room = unsafe { std::mem::replace(&mut *count, items.len() as c_uint) };
    if (room as usize) < items.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    for (at, item) in items.iter().enumerate() {
        // SAFETY: there is room for as many.
        unsafe { *out.add(at) = *item };
    }
    Ok(())
}

fn processes(gpu: &Gpu, graphics: bool) -> Vec<nvmlProcessInfo_t> {
    let of_kind = gpu.processes.iter().filter(|process| process.graphics == graphics);
    let info = |process: &Process| nvmlProcessInfo_t {
        pid: process.pid,
        usedGpuMemory: process.bytes,
        gpuInstanceId: u32::MAX,
        computeInstanceId: u32::MAX,
    };
    of_kind.map(info).collect()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    out: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps the rule of `give`.
    about("nvmlDeviceGetComputeRunningProcesses_v3", device, |gpu| unsafe { give(&processes(gpu, false), count, out) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    out: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps the rule of `give`.
    about("nvmlDeviceGetGraphicsRunningProcesses_v3", device, |gpu| unsafe { give(&processes(gpu, true), count, out) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    device: nvmlDevice_t,
    out: *mut nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    since: c_ulonglong,
) -> nvmlReturn_t {
    about("nvmlDeviceGetProcessUtilization", device, |gpu| {
        let newer = gpu.processes.iter().filter(|process| process.time_us > since);
        let samples: Vec<_> = newer
            .filter_map(|process| {
                Some(nvmlProcessUtilizationSample_t {
                    pid: process.pid,
                    timeStamp: process.time_us,
                    smUtil: process.sm?,
                    memUtil: 0,
                    encUtil: 0,
                    decUtil: 0,
                })
            })
            .collect();
        if samples.is_empty() {
            return Err(NOT_FOUND);
        }
        // SAFETY: the caller keeps the rule of `give`.
        unsafe { give(&samples, count, out) }
    })
}

/// Retired pages of a cause: as many as the scenario's number says, with their numbers as addresses.
fn pages(gpu: &Gpu, cause: c_uint) -> Result<Vec<c_ulonglong>, nvmlReturn_t> {
    Ok((0..gpu.value(&format!("nvmlDeviceGetRetiredPages/{cause}"))?.0).collect())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRetiredPages(
    device: nvmlDevice_t,
    cause: c_uint,
    count: *mut c_uint,
    addresses: *mut c_ulonglong,
) -> nvmlReturn_t {
    // SAFETY: the caller keeps the rule of `give`.
    about("nvmlDeviceGetRetiredPages", device, |gpu| unsafe { give(&pages(gpu, cause)?, count, addresses) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRetiredPages_v2(
    device: nvmlDevice_t,
    cause: c_uint,
    count: *mut c_uint,
    addresses: *mut c_ulonglong,
    times: *mut c_ulonglong,
) -> nvmlReturn_t {
    about("nvmlDeviceGetRetiredPages_v2", device, |gpu| {
        let pages = pages(gpu, cause)?;
        // SAFETY: the caller keeps the rule of `give`, for both lists.
        unsafe {
            give(&pages, count, addresses)?;
            give(&pages, count, times)
        }
    })
}
