//! The two places where nvml-wrapper has no safe way.

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};

/// Total and used bytes by `nvmlDeviceGetMemoryInfo`, for drivers before the `_v2` symbol, which
/// is all that the wrapper calls. Used includes what the driver reserves.
pub fn memory_info_v1(device: &Device<'_>) -> Result<(u64, u64), NvmlError> {
    let symbol = nvml_sym(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    // SAFETY: the struct is plain integers, for which zero is a value; the symbol has the type that
    // nvml.h states, the handle comes from the same, still initialised library, and the pointer
    // lives through the call.
    #[allow(unsafe_code)]
    let info = unsafe {
        let mut info = std::mem::zeroed();
        nvml_try(symbol(device.handle(), &raw mut info))?;
        info
    };
    Ok((info.total, info.used))
}

/// Tells devices apart without asking the driver, which a lost one would not answer.
pub fn identity(device: &Device<'_>) -> usize {
    // SAFETY: the pointer is only compared, never followed.
    #[allow(unsafe_code)]
    let handle = unsafe { device.handle() };
    handle.addr()
}
