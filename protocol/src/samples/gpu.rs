//! GPUs through NVML, and the processes on them.

use super::{resolution::*, sample};

sample! {
    /// One GPU or MIG instance. What the card does not support is absent.
    GpuSample is Gpu {
        utilization_percent: Percent, Real, ONE, "time in which a kernel ran; nvmlDeviceGetUtilizationRates", "DCGM_FI_DEV_GPU_UTIL";
        memory_utilization_percent: Percent, Real, ONE, "time in which memory was read or written; nvmlDeviceGetUtilizationRates", "DCGM_FI_DEV_MEM_COPY_UTIL";
        memory_total_bytes: Bytes, Int8, MEBIBYTE, "frame buffer; nvmlDeviceGetMemoryInfo_v2";
        memory_used_bytes: Bytes, Int8, MEBIBYTE, "frame buffer in use, without what the driver reserves; nvmlDeviceGetMemoryInfo_v2";
        temperature_celsius: Celsius, Real, ONE, "core; nvmlDeviceGetTemperature", "DCGM_FI_DEV_GPU_TEMP";
        memory_temperature_celsius: Celsius, Real, ONE, "memory; NVML field 82", "DCGM_FI_DEV_MEMORY_TEMP";
        power_watts: Watts, Real, TENTH, "draw; nvmlDeviceGetPowerUsage", "DCGM_FI_DEV_POWER_USAGE";
        power_limit_watts: Watts, Real, TENTH, "enforced limit; nvmlDeviceGetEnforcedPowerLimit";
        energy_joules: Joules, Int8, ONE, "energy since the driver was loaded; nvmlDeviceGetTotalEnergyConsumption";
        graphics_clock_megahertz: Megahertz, Real, ONE, "nvmlDeviceGetClockInfo", "DCGM_FI_DEV_SM_CLOCK";
        memory_clock_megahertz: Megahertz, Real, ONE, "nvmlDeviceGetClockInfo", "DCGM_FI_DEV_MEM_CLOCK";
        video_clock_megahertz: Megahertz, Real, ONE, "nvmlDeviceGetClockInfo";
        throttle_reasons: Bits, Int8, ONE, "bits of nvmlDeviceGetCurrentClocksThrottleReasons";
        fan_percent: Percent, Real, ONE, "intended speed of the first fan; nvmlDeviceGetFanSpeed_v2";
        pcie_receive_bytes_per_second: BytesPerSecond, Real, RATE, "NVML field 198, byte counter";
        pcie_transmit_bytes_per_second: BytesPerSecond, Real, RATE, "NVML field 197, byte counter";
        pcie_replays: Count, Int8, ONE, "replay counter; nvmlDeviceGetPcieReplayCounter", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER";
        pcie_link_generation: Count, Int2, ONE, "current generation; nvmlDeviceGetCurrPcieLinkGeneration";
        pcie_link_width: Count, Int2, ONE, "current lanes; nvmlDeviceGetCurrPcieLinkWidth";
        nvlink_links_active: Count, Int2, ONE, "links that are up; nvmlDeviceGetNvLinkState";
        nvlink_errors: Count, Int8, ONE, "replay, recovery and CRC errors of all links; nvmlDeviceGetNvLinkErrorCounter";
        encoder_percent: Percent, Real, ONE, "nvmlDeviceGetEncoderUtilization", "DCGM_FI_DEV_ENC_UTIL";
        decoder_percent: Percent, Real, ONE, "nvmlDeviceGetDecoderUtilization", "DCGM_FI_DEV_DEC_UTIL";
        ecc_corrected: Count, Int8, ONE, "corrected ECC errors since the driver was loaded; nvmlDeviceGetTotalEccErrors";
        ecc_uncorrected: Count, Int8, ONE, "uncorrected ECC errors since the driver was loaded; nvmlDeviceGetTotalEccErrors";
        retired_pages: Count, Int8, ONE, "pages retired for ECC errors; nvmlDeviceGetRetiredPages";
        remapped_rows_corrected: Count, Int8, ONE, "NVML field 142", "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS";
        remapped_rows_uncorrected: Count, Int8, ONE, "NVML field 143", "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS";
        remap_pending: State, Int2, ONE, "0 no, 1 a reset will remap rows; NVML field 144";
        remap_failed: State, Int2, ONE, "0 no, 1 a row could not be remapped; NVML field 145", "DCGM_FI_DEV_ROW_REMAP_FAILURE";
    }
}

sample! {
    /// One process on one GPU.
    GpuProcessSample is GpuProcess {
        memory_used_bytes: Bytes, Int8, MEBIBYTE, "frame buffer in use; nvmlDeviceGetComputeRunningProcesses";
        utilization_percent: Percent, Real, ONE, "SM share since the previous tick; nvmlDeviceGetProcessUtilization";
    }
}
