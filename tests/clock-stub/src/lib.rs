//! The wall clock of a process that preloads this: the real one, and as many milliseconds more as the file
//! that `FLEETLIGHT_CLOCK` names says (eight bytes, little-endian), read at each call. Other clocks are the
//! real ones: a step of the wall clock moves no timer.
//!
//! For tests only: it trusts its caller as the C library does.

// Standing in for a C function, and writing through its caller's pointer, has no safe form.
#![allow(unsafe_code)]

use rustix::time::{ClockId, Timespec, clock_gettime as real};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

const CLOCKS: [ClockId; 7] = [
    ClockId::Realtime,
    ClockId::Monotonic,
    ClockId::ProcessCPUTime,
    ClockId::ThreadCPUTime,
    ClockId::MonotonicRaw,
    ClockId::RealtimeCoarse,
    ClockId::MonotonicCoarse,
];

/// As `clock_gettime(2)`.
///
/// # Safety
/// `time` is where a `timespec` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: i32, time: *mut Timespec) -> i32 {
    let Some(id) = CLOCKS.into_iter().chain([ClockId::Boottime]).find(|id| *id as i32 == clock) else { return -1 };
    let mut now = real(id);
    if matches!(id, ClockId::Realtime | ClockId::RealtimeCoarse) {
        let ms = offset_ms();
        now.tv_sec += ms.div_euclid(1_000);
        now.tv_nsec += ms.rem_euclid(1_000) * 1_000_000;
        now.tv_sec += now.tv_nsec / 1_000_000_000;
        now.tv_nsec %= 1_000_000_000;
    }
    // SAFETY: the caller's promise.
    unsafe { time.write(now) };
    0
}

fn offset_ms() -> i64 {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let mut bytes = [0; 8];
    let file = FILE.get_or_init(|| File::open(std::env::var_os("FLEETLIGHT_CLOCK")?).ok());
    let read = file.as_ref().and_then(|file| file.read_exact_at(&mut bytes, 0).ok());
    read.map_or(0, |()| i64::from_le_bytes(bytes))
}
