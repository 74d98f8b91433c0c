//! NVML from initialisation on: the library, its versions, the list of GPUs.

use super::calls::{Ailment, Trouble, need, outage};
use super::events::{self, Xids};
use super::messages::{Driver, GpuFacts, Outage, Reading, Unopened};
use super::whole::Whole;
use crate::limits::{GPU_ENTITIES, GPU_FACTS_EVERY};
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::InitFlags;
use nvml_wrapper::error::NvmlError;
use std::path::PathBuf;
use std::time::Instant;

/// An initialised library with its GPUs open.
#[derive(Debug)]
pub struct Session {
    nvml: &'static Nvml,
    driver: Driver,
    proc_root: PathBuf,
    /// As the driver counts them, the lost among them.
    counted: Option<u32>,
    gpus: Vec<Whole>,
    unopened: Vec<Unopened>,
    facts_read: Instant,
    facts_said: Option<Vec<GpuFacts>>,
    xids: Xids,
}

impl Session {
    /// Loads `library` and opens every GPU. One for each process: it is never unloaded.
    ///
    /// # Errors
    /// [`Outage`] says why there is no NVML here.
    pub fn open(library: &str, proc_root: PathBuf) -> Result<Self, Outage> {
        let nvml = initialise(library).map_err(|error| outage(&error))?;
        // Devices and the Xid thread borrow it until the process ends.
        let nvml: &'static Nvml = Box::leak(Box::new(nvml));
        let mut session = Self {
            nvml,
            driver: versions(nvml),
            proc_root,
            counted: None,
            gpus: Vec::new(),
            unopened: Vec::new(),
            facts_read: Instant::now(),
            facts_said: None,
            xids: Xids::default(),
        };
        session.count()?;
        let devices: Vec<_> = session.gpus.iter().map(|whole| (&whole.gpu.device, whole.uuid())).collect();
        session.xids = events::watch(nvml, &devices);
        Ok(session)
    }

    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// All numbers of now, and what has changed since the last reading.
    ///
    /// # Errors
    /// [`Outage`] when NVML as a whole is of no use any more.
    pub fn read(&mut self) -> Result<Reading, Outage> {
        let now = Instant::now();
        if !self.count()? && now.duration_since(self.facts_read) >= GPU_FACTS_EVERY {
            for whole in &mut self.gpus {
                whole.refresh()?;
            }
            self.facts_read = now;
        }
        let mut gpus = Vec::with_capacity(self.gpus.len());
        for gpu in self.gpus.iter_mut().flat_map(Whole::parts).take(GPU_ENTITIES) {
            gpus.push(gpu.read(now, &self.proc_root)?);
        }
        let facts: Vec<_> = self.gpus.iter_mut().flat_map(Whole::parts).map(|gpu| gpu.facts.clone()).collect();
        let facts = (self.facts_said.as_ref() != Some(&facts)).then_some(facts);
        if facts.is_some() {
            self.facts_said.clone_from(&facts);
        }
        Ok(Reading { gpus, facts, unopened: self.unopened.clone(), xids: self.xids.take() })
    }

    /// Opens all GPUs anew if the driver's count of them has changed, and says whether it has.
    /// Otherwise the handles are kept: opening one takes milliseconds.
    fn count(&mut self) -> Result<bool, Outage> {
        let count = self.nvml.device_count().map_err(|error| outage(&error))?;
        if self.counted == Some(count) {
            return Ok(false);
        }
        let mut before = std::mem::take(&mut self.gpus);
        self.unopened.clear();
        for index in 0..count.min(GPU_ENTITIES as u32) {
            let opened = need("nvmlDeviceGetHandleByIndex_v2", self.nvml.device_by_index(index));
            match opened.and_then(|device| Whole::open(device, index, &mut before)) {
                Ok(whole) => self.gpus.push(whole),
                Err(Trouble::Driver(outage)) => return Err(outage),
                Err(Trouble::Gpu(Ailment { reason, .. })) => self.unopened.push(Unopened { index, reason }),
            }
        }
        self.counted = Some(count);
        self.facts_read = Instant::now();
        Ok(true)
    }
}

fn initialise(library: &str) -> Result<Nvml, NvmlError> {
    let library = std::ffi::OsStr::new(library);
    // A host whose only GPU has fallen off the bus still says so.
    match Nvml::builder().lib_path(library).flags(InitFlags::NO_GPUS).init() {
        Err(NvmlError::FailedToLoadSymbol(_)) => Nvml::builder().lib_path(library).init(),
        other => other,
    }
}

fn versions(nvml: &Nvml) -> Driver {
    let cuda = nvml.sys_cuda_driver_version().ok();
    Driver {
        driver_version: nvml.sys_driver_version().ok(),
        cuda_version: cuda.map(|version| format!("{}.{}", version / 1_000, version % 1_000 / 10)),
        nvml_version: nvml.sys_nvml_version().ok(),
    }
}
