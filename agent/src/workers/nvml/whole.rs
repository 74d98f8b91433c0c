//! A whole GPU with its MIG instances.

use super::calls::{Ailment, Calls, Trouble, need};
use super::device::Gpu;
use super::messages::{GpuFacts, Outage};
use super::{facts, nvlink};
use crate::limits::MIG_INSTANCES;
use nvml_wrapper::Device;

/// One entry of the driver's list.
#[derive(Debug)]
pub struct Whole {
    pub gpu: Gpu,
    instances: Vec<Gpu>,
}

impl Whole {
    /// Takes the `index`th GPU, with what is remembered of it in `before`.
    ///
    /// # Errors
    /// [`Trouble`]: it does not even say who it is.
    pub fn open(device: Device<'static>, index: u32, before: &mut Vec<Self>) -> Result<Self, Trouble> {
        need("nvmlDeviceGetUUID", device.uuid())?;
        let links = nvlink::read(&device, &mut Calls::default())?.links;
        let described = facts::gpu(&device, index, links)?;
        let known = before.iter().position(|whole| whole.uuid() == described.uuid);
        let mut whole = match known.map(|at| before.swap_remove(at)) {
            Some(mut whole) => {
                whole.gpu.renew(device, described);
                whole
            }
            None => Self { gpu: Gpu::new(device, described), instances: Vec::new() },
        };
        whole.find_instances()?;
        Ok(whole)
    }

    /// Reads its facts and instances again. Those of an ailing GPU stay as they were: its next
    /// reading says what ails it.
    ///
    /// # Errors
    /// [`Outage`] of the driver.
    pub fn refresh(&mut self) -> Result<(), Outage> {
        let GpuFacts { index, nvlink_links, .. } = self.gpu.facts;
        let fresh = facts::gpu(&self.gpu.device, index, nvlink_links).and_then(|described| {
            self.gpu.facts = described;
            self.gpu.ask_again();
            self.find_instances()
        });
        match fresh {
            Ok(()) | Err(Trouble::Gpu(Ailment { .. })) => Ok(()),
            Err(Trouble::Driver(outage)) => Err(outage),
        }
    }

    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.gpu.facts.uuid
    }

    /// Itself, then its instances.
    pub fn parts(&mut self) -> impl Iterator<Item = &mut Gpu> {
        std::iter::once(&mut self.gpu).chain(&mut self.instances)
    }

    fn find_instances(&mut self) -> Result<(), Trouble> {
        let mut before = std::mem::take(&mut self.instances);
        if self.gpu.facts.mig_enabled != Some(true) {
            return Ok(());
        }
        let parent = &self.gpu.device;
        let mut calls = Calls::default();
        let slots = calls.ask("nvmlDeviceGetMaxMigDeviceCount", 0, || parent.mig_device_count())?.unwrap_or_default();
        for index in 0..slots.min(MIG_INSTANCES) {
            // A slot without an instance is not found.
            let slot = calls.ask("nvmlDeviceGetMigDeviceHandleByIndex", index, || parent.mig_device_by_index(index))?;
            let Some(device) = slot else { continue };
            let described = facts::instance(&device, index, &self.gpu.facts.uuid)?;
            if described.uuid.is_empty() {
                continue;
            }
            match before.iter().position(|gpu| gpu.facts.uuid == described.uuid).map(|at| before.swap_remove(at)) {
                Some(mut known) => {
                    known.renew(device, described);
                    self.instances.push(known);
                }
                None => self.instances.push(Gpu::new(device, described)),
            }
        }
        Ok(())
    }
}
