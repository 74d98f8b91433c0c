//! The scenario: its format, its place, and how a call is answered by it.

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST as LOST,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_enum_NVML_ERROR_UNKNOWN as UNKNOWN,
    nvmlReturn_enum_NVML_SUCCESS as SUCCESS, nvmlReturn_t,
};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

/// What the library pretends.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    pub driver_version: Option<String>,
    pub nvml_version: Option<String>,
    /// 13000 is 13.0.
    pub cuda_version: Option<i32>,
    /// Calls by symbol that fail whatever they are asked.
    pub faults: HashMap<String, Fault>,
    pub gpus: Vec<Gpu>,
    /// Those that are added after initialisation are sent, once each.
    pub xids: Vec<Xid>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Never returns.
    Hang,
    /// The process dies of SIGSEGV.
    Crash,
    /// A code of `nvmlReturn_t`.
    Error(u32),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gpu {
    /// Not in the driver's list.
    pub vanished: bool,
    /// Every call about it fails with this code: 15 is lost, 16 reset required.
    pub error: Option<u32>,
    /// Strings by symbol.
    pub texts: HashMap<String, String>,
    /// Numbers by symbol, or by `symbol/argument` where it has one; two for calls that give two.
    pub values: HashMap<String, Value>,
    /// Field values by id.
    pub fields: HashMap<u32, Field>,
    pub processes: Vec<Process>,
    /// Its MIG instances.
    pub instances: Vec<Gpu>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Value {
    One(u64),
    Two(u64, u64),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    U32(u32),
    U64(u64),
    Error(u32),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub pid: u32,
    pub bytes: u64,
    #[serde(default)]
    pub graphics: bool,
    /// SM share at `time_us`, if it ran a kernel.
    pub sm: Option<u32>,
    #[serde(default)]
    pub time_us: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xid {
    pub gpu: usize,
    pub code: u64,
}

type Read = Option<(SystemTime, u64, Arc<Scenario>)>;
static CURRENT: Mutex<Read> = Mutex::new(None);

/// The scenario as the file states it now. A file that cannot be read leaves the last one.
pub fn current() -> Arc<Scenario> {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let path = path();
    let Ok(state) = std::fs::metadata(path) else {
        return current.as_ref().map(|(_, _, scenario)| Arc::clone(scenario)).unwrap_or_default();
    };
    let (changed, length) = (state.modified().unwrap_or(SystemTime::UNIX_EPOCH), state.len());
    if let Some((at, size, scenario)) = &*current
        && (*at, *size) == (changed, length)
    {
        return Arc::clone(scenario);
    }
    let text = std::fs::read(path).unwrap_or_default();
    match serde_json::from_slice(&text) {
        Ok(scenario) => {
            let scenario = Arc::new(scenario);
            *current = Some((changed, length, Arc::clone(&scenario)));
            scenario
        }
        Err(error) => {
            eprintln!("nvml-stub: {}: {error}", path.display());
            current.as_ref().map(|(_, _, scenario)| Arc::clone(scenario)).unwrap_or_default()
        }
    }
}

fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("FLEETLIGHT_NVML_SCENARIO") {
            return path.into();
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mut files = maps.lines().filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
        let own = |path: &&Path| path.file_name().is_some_and(|file| file == "libfleetlight_nvml_stub.so");
        files.find(own).unwrap_or(Path::new("")).with_file_name("scenario.json")
    })
}

/// What `symbol` does before it does anything else.
pub fn fault(scenario: &Scenario, symbol: &str) -> Result<(), nvmlReturn_t> {
    match scenario.faults.get(symbol) {
        None => Ok(()),
        Some(Fault::Error(code)) => Err(*code),
        Some(Fault::Hang) => loop {
            std::thread::park();
        },
        Some(Fault::Crash) => {
            // SAFETY: none; the wrong address is the purpose.
            unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(0) };
            Err(UNKNOWN)
        }
    }
}

/// Runs `body`, whose error is the code that the caller gets.
pub fn call(symbol: &str, body: impl FnOnce(&Scenario) -> Result<(), nvmlReturn_t>) -> nvmlReturn_t {
    let scenario = current();
    match fault(&scenario, symbol).and_then(|()| body(&scenario)) {
        Ok(()) => SUCCESS,
        Err(code) => code,
    }
}

/// As [`call`], about one GPU or MIG instance.
pub fn about(symbol: &str, device: nvmlDevice_t, body: impl FnOnce(&Gpu) -> Result<(), nvmlReturn_t>) -> nvmlReturn_t {
    call(symbol, |scenario| {
        let (index, instance) = parts(device);
        let gpu = scenario.gpus.get(index).filter(|gpu| !gpu.vanished).ok_or(LOST)?;
        gpu.error.map_or(Ok(()), Err)?;
        body(match instance {
            None => gpu,
            Some(instance) => gpu.instances.get(instance).ok_or(LOST)?,
        })
    })
}

impl Gpu {
    /// The numbers stated for `symbol`, or for `symbol/argument`.
    pub fn value(&self, key: &str) -> Result<(u64, u64), nvmlReturn_t> {
        match self.values.get(key) {
            None => Err(NOT_SUPPORTED),
            Some(Value::One(value)) => Ok((*value, 0)),
            Some(Value::Two(first, second)) => Ok((*first, *second)),
        }
    }
}

/// The handle of the `index`th GPU of the file, or of an instance of it.
pub fn handle(index: usize, instance: Option<usize>) -> nvmlDevice_t {
    std::ptr::without_provenance_mut((index + 1) << 8 | instance.map_or(0, |instance| instance + 1))
}

/// The inverse of [`handle`].
pub fn parts(device: nvmlDevice_t) -> (usize, Option<usize>) {
    let number = device.addr();
    ((number >> 8).wrapping_sub(1), (number & 0xff).checked_sub(1))
}
