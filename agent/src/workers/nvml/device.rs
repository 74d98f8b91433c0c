//! One GPU or MIG instance: its numbers at a tick.

use super::calls::{Ailment, Calls, Trouble};
use super::messages::{GpuFacts, GpuReading, Outage, ProcessReading};
use super::nvlink::{self, NvLinks};
use super::pcie::PcieCounters;
use super::processes::Processes;
use super::raw;
use crate::limits::GPU_SLOW_EVERY;
use fleetlight_protocol::samples::{GpuSample, Sample};
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, RetirementCause, TemperatureSensor};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id as id;
use std::path::Path;
use std::time::Instant;

/// Field values that are asked in one call. `POWER_AVERAGE` takes milliseconds, so only
/// `POWER_INSTANT` is among them.
const FIELDS: [u32; 8] = [
    id::NVML_FI_DEV_MEMORY_TEMP,
    id::NVML_FI_DEV_POWER_INSTANT,
    id::NVML_FI_DEV_PCIE_COUNT_RX_BYTES,
    id::NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
    id::NVML_FI_DEV_REMAPPED_COR,
    id::NVML_FI_DEV_REMAPPED_UNC,
    id::NVML_FI_DEV_REMAPPED_PENDING,
    id::NVML_FI_DEV_REMAPPED_FAILURE,
];

/// One GPU, open.
#[derive(Debug)]
pub struct Gpu {
    pub device: Device<'static>,
    pub facts: GpuFacts,
    calls: Calls,
    pcie: PcieCounters,
    processes: Processes,
    slow: Slow,
}

/// What takes many calls and seldom changes; read every [`GPU_SLOW_EVERY`].
#[derive(Debug, Default)]
struct Slow {
    read: Option<Instant>,
    links: NvLinks,
    retired_pages: Option<usize>,
}

fn real(value: Option<u32>) -> Option<f64> {
    value.map(f64::from)
}

/// Milliwatts and millijoules.
fn thousandth(value: Option<u64>) -> Option<f64> {
    value.map(|value| value as f64 / 1_000.0)
}

impl Gpu {
    #[must_use]
    pub fn new(device: Device<'static>, facts: GpuFacts) -> Self {
        let (calls, pcie, processes, slow) = Default::default();
        Self { device, facts, calls, pcie, processes, slow }
    }

    /// Takes over a fresh handle and facts.
    pub fn renew(&mut self, device: Device<'static>, facts: GpuFacts) {
        (self.device, self.facts) = (device, facts);
        self.ask_again();
    }

    /// Asks again what was refused: modes and permissions change.
    pub fn ask_again(&mut self) {
        self.calls.forgive();
    }

    /// Everything that it answers now. What ails this GPU is in the reading.
    ///
    /// # Errors
    /// [`Outage`] of the driver.
    pub fn read(&mut self, now: Instant, proc_root: &Path) -> Result<GpuReading, Outage> {
        let uuid = self.facts.uuid.clone();
        let reading = self.sample(now).and_then(|sample| {
            let processes = self.processes(proc_root)?;
            Ok(GpuReading { uuid: uuid.clone(), values: sample.values(), processes, ..GpuReading::default() })
        });
        match reading {
            Ok(reading) => Ok(reading),
            Err(Trouble::Gpu(Ailment { state, reason })) => {
                // What was read before a loss says nothing about the time after it.
                (self.pcie, self.slow) = Default::default();
                Ok(GpuReading { uuid, state, reason, ..GpuReading::default() })
            }
            Err(Trouble::Driver(outage)) => Err(outage),
        }
    }

    /// Those of a GPU that is shared by MIG are listed under its instances.
    fn processes(&mut self, proc_root: &Path) -> Result<Vec<ProcessReading>, Trouble> {
        if self.facts.mig_enabled == Some(true) {
            return Ok(Vec::new());
        }
        self.processes.read(&self.device, &mut self.calls, self.facts.parent.is_none(), proc_root)
    }

    fn sample(&mut self, now: Instant) -> Result<GpuSample, Trouble> {
        let mut sample = GpuSample::default();
        self.memory(&mut sample)?;
        // A MIG instance has memory of its own; what else its handle may answer is its parent's.
        if self.facts.parent.is_none() {
            self.load(&mut sample)?;
            self.power_and_heat(&mut sample)?;
            self.clocks(&mut sample)?;
            self.fields(now, &mut sample)?;
            self.link(&mut sample)?;
            self.health(now, &mut sample)?;
        }
        self.calls.judge()?;
        Ok(sample)
    }

    fn memory(&mut self, sample: &mut GpuSample) -> Result<(), Trouble> {
        let device = &self.device;
        let memory = self.calls.ask("nvmlDeviceGetMemoryInfo", 0, || match device.memory_info() {
            Ok(info) => Ok((info.total, info.used)),
            // No such symbol, or the driver does not know the struct's version (25).
            Err(NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound | NvmlError::UnexpectedVariant(25)) => {
                raw::memory_info_v1(device)
            }
            Err(error) => Err(error),
        })?;
        sample.memory_total_bytes = memory.map(|(total, _)| total as f64);
        sample.memory_used_bytes = memory.map(|(_, used)| used as f64);
        Ok(())
    }

    fn load(&mut self, sample: &mut GpuSample) -> Result<(), Trouble> {
        let Self { calls, device, .. } = self;
        let rates = calls.ask("nvmlDeviceGetUtilizationRates", 0, || device.utilization_rates())?;
        sample.utilization_percent = rates.as_ref().map(|rates| f64::from(rates.gpu));
        sample.memory_utilization_percent = rates.map(|rates| f64::from(rates.memory));
        let encoder = calls.ask("nvmlDeviceGetEncoderUtilization", 0, || device.encoder_utilization())?;
        sample.encoder_percent = encoder.map(|info| f64::from(info.utilization));
        let decoder = calls.ask("nvmlDeviceGetDecoderUtilization", 0, || device.decoder_utilization())?;
        sample.decoder_percent = decoder.map(|info| f64::from(info.utilization));
        Ok(())
    }

    fn power_and_heat(&mut self, sample: &mut GpuSample) -> Result<(), Trouble> {
        let Self { calls, device, .. } = self;
        let heat = || device.temperature(TemperatureSensor::Gpu);
        sample.temperature_celsius = real(calls.ask("nvmlDeviceGetTemperature", 0, heat)?);
        let power = calls.ask("nvmlDeviceGetPowerUsage", 0, || device.power_usage())?;
        sample.power_watts = thousandth(power.map(u64::from));
        let limit = calls.ask("nvmlDeviceGetEnforcedPowerLimit", 0, || device.enforced_power_limit())?;
        sample.power_limit_watts = thousandth(limit.map(u64::from));
        let energy = || device.total_energy_consumption();
        sample.energy_joules = thousandth(calls.ask("nvmlDeviceGetTotalEnergyConsumption", 0, energy)?);
        sample.fan_percent = real(calls.ask("nvmlDeviceGetFanSpeed_v2", 0, || device.fan_speed(0))?);
        Ok(())
    }

    fn clocks(&mut self, sample: &mut GpuSample) -> Result<(), Trouble> {
        let Self { calls, device, .. } = self;
        let mut clock = |part, kind| {
            let megahertz = calls.ask("nvmlDeviceGetClockInfo", part, || device.clock_info(kind));
            megahertz.map(real)
        };
        sample.graphics_clock_megahertz = clock(0, Clock::Graphics)?;
        sample.memory_clock_megahertz = clock(2, Clock::Memory)?;
        sample.video_clock_megahertz = clock(3, Clock::Video)?;
        let reasons = || device.current_throttle_reasons();
        let reasons = calls.ask("nvmlDeviceGetCurrentClocksThrottleReasons", 0, reasons)?;
        sample.throttle_reasons = reasons.map(|reasons| reasons.bits() as f64);
        Ok(())
    }

    fn fields(&mut self, now: Instant, sample: &mut GpuSample) -> Result<(), Trouble> {
        let device = &self.device;
        let fields = || device.field_values_for(&FIELDS.map(FieldId));
        let values = self.calls.ask("nvmlDeviceGetFieldValues", 0, fields)?.unwrap_or_default();
        // Each field has a status of its own; a failed one is no number.
        let mut values = values.into_iter().map(|field| field.ok().and_then(|field| field.value.ok()));
        let mut next = || values.next().flatten();
        sample.memory_temperature_celsius = next().map(|value| number(&value));
        let power = next().map(|value| number(&value) / 1_000.0);
        sample.power_watts = sample.power_watts.or(power);
        let (receive, transmit) = (next().and_then(|value| wide(&value)), next().and_then(|value| wide(&value)));
        let (receive, transmit) = self.pcie.rates(now, receive, transmit);
        sample.pcie_receive_bytes_per_second = receive;
        sample.pcie_transmit_bytes_per_second = transmit;
        sample.remapped_rows_corrected = next().map(|value| number(&value));
        sample.remapped_rows_uncorrected = next().map(|value| number(&value));
        sample.remap_pending = next().map(|value| number(&value));
        sample.remap_failed = next().map(|value| number(&value));
        Ok(())
    }

    fn link(&mut self, sample: &mut GpuSample) -> Result<(), Trouble> {
        let Self { calls, device, .. } = self;
        sample.pcie_replays = real(calls.ask("nvmlDeviceGetPcieReplayCounter", 0, || device.pcie_replay_counter())?);
        let generation = || device.current_pcie_link_gen();
        sample.pcie_link_generation = real(calls.ask("nvmlDeviceGetCurrPcieLinkGeneration", 0, generation)?);
        let width = || device.current_pcie_link_width();
        sample.pcie_link_width = real(calls.ask("nvmlDeviceGetCurrPcieLinkWidth", 0, width)?);
        Ok(())
    }

    fn health(&mut self, now: Instant, sample: &mut GpuSample) -> Result<(), Trouble> {
        let Self { calls, device, slow, .. } = self;
        let mut errors = |part, kind: MemoryError| {
            let count = || device.total_ecc_errors(kind, EccCounter::Volatile);
            calls.ask("nvmlDeviceGetTotalEccErrors", part, count)
        };
        sample.ecc_corrected = errors(0, MemoryError::Corrected)?.map(|count| count as f64);
        sample.ecc_uncorrected = errors(1, MemoryError::Uncorrected)?.map(|count| count as f64);
        if slow.read.is_none_or(|read| now.duration_since(read) >= GPU_SLOW_EVERY) {
            slow.links = nvlink::read(device, calls)?;
            slow.retired_pages = retired_pages(device, calls)?;
            slow.read = Some(now);
        }
        sample.nvlink_links_active = real(slow.links.active);
        sample.nvlink_errors = slow.links.errors.map(|count| count as f64);
        sample.retired_pages = slow.retired_pages.map(|count| count as f64);
        Ok(())
    }
}

fn retired_pages(device: &Device<'_>, calls: &mut Calls) -> Result<Option<usize>, Trouble> {
    let mut pages = None;
    let causes = [RetirementCause::MultipleSingleBitEccErrors, RetirementCause::DoubleBitEccError];
    for (part, cause) in (0..).zip(causes) {
        if let Some(some) = calls.ask("nvmlDeviceGetRetiredPages", part, || device.retired_pages(cause))? {
            *pages.get_or_insert(0) += some.len();
        }
    }
    Ok(pages)
}

fn number(value: &SampleValue) -> f64 {
    match *value {
        SampleValue::F64(value) => value,
        SampleValue::U32(value) => f64::from(value),
        SampleValue::U64(value) => value as f64,
        SampleValue::I64(value) => value as f64,
    }
}

/// A byte counter. One of 32 bits wraps within a quarter of a second on a busy bus, so that no rate
/// can be had of it.
fn wide(value: &SampleValue) -> Option<u64> {
    match *value {
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => u64::try_from(value).ok(),
        SampleValue::U32(_) | SampleValue::F64(_) => None,
    }
}
