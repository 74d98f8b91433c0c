//! What seldom changes of a GPU: read when it is opened and once a minute after that.

use super::calls::{Calls, Trouble};
use super::messages::GpuFacts;
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::Clock;

/// The facts of a whole GPU.
pub fn gpu(device: &Device<'_>, index: u32, nvlink_links: Option<u32>) -> Result<GpuFacts, Trouble> {
    let mut calls = Calls::default();
    let mut facts = named(device, index, &mut calls)?;
    let calls = &mut calls;
    facts.pci_bus_id = calls.ask("nvmlDeviceGetPciInfo", 0, || device.pci_info())?.map(|info| info.bus_id);
    facts.vbios_version = calls.ask("nvmlDeviceGetVbiosVersion", 0, || device.vbios_version())?;
    facts.serial = calls.ask("nvmlDeviceGetSerial", 0, || device.serial())?;
    facts.persistence_mode = calls.ask("nvmlDeviceGetPersistenceMode", 0, || device.is_in_persistent_mode())?;
    facts.ecc_enabled =
        calls.ask("nvmlDeviceGetEccMode", 0, || device.is_ecc_enabled())?.map(|mode| mode.currently_enabled);
    facts.mig_enabled = calls.ask("nvmlDeviceGetMigMode", 0, || device.mig_mode())?.map(|mode| mode.current == 1);
    facts.pcie_max_generation = calls.ask("nvmlDeviceGetMaxPcieLinkGeneration", 0, || device.max_pcie_link_gen())?;
    facts.pcie_max_width = calls.ask("nvmlDeviceGetMaxPcieLinkWidth", 0, || device.max_pcie_link_width())?;
    facts.max_graphics_clock_megahertz =
        calls.ask("nvmlDeviceGetMaxClockInfo", 0, || device.max_clock_info(Clock::Graphics))?;
    facts.max_memory_clock_megahertz =
        calls.ask("nvmlDeviceGetMaxClockInfo", 2, || device.max_clock_info(Clock::Memory))?;
    facts.power_limit_default_watts = calls
        .ask("nvmlDeviceGetPowerManagementDefaultLimit", 0, || device.power_management_limit_default())?
        .map(|milliwatts| f64::from(milliwatts) / 1_000.0);
    facts.nvlink_links = nvlink_links;
    Ok(facts)
}

/// The facts of a MIG instance; the rest is its parent's.
pub fn instance(device: &Device<'_>, index: u32, parent: &str) -> Result<GpuFacts, Trouble> {
    let facts = named(device, index, &mut Calls::default())?;
    Ok(GpuFacts { parent: Some(parent.to_owned()), ..facts })
}

fn named(device: &Device<'_>, index: u32, calls: &mut Calls) -> Result<GpuFacts, Trouble> {
    let uuid = calls.ask("nvmlDeviceGetUUID", 0, || device.uuid())?.unwrap_or_default();
    let name = calls.ask("nvmlDeviceGetName", 0, || device.name())?;
    Ok(GpuFacts { uuid, index, name, ..GpuFacts::default() })
}
