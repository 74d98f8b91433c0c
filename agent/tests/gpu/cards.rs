//! Scenarios of the stub library.

use serde_json::{Value, json};

pub const H200: &str = "GPU-11111111-2222-3333-4444-555555555555";
pub const SECOND: &str = "GPU-66666666-7777-8888-9999-000000000000";

/// A host with these GPUs.
pub fn host(gpus: &[Value]) -> Value {
    json!({"driver_version": "580.95.05", "nvml_version": "13.580.95.05", "cuda_version": 13000, "gpus": gpus})
}

/// A card that says no more than who it is and how warm.
pub fn bare(uuid: &str) -> Value {
    json!({
        "texts": {"nvmlDeviceGetUUID": uuid, "nvmlDeviceGetName": "NVIDIA T4"},
        "values": {"nvmlDeviceGetTemperature/0": 41},
    })
}

/// A card that answers everything.
pub fn full() -> Value {
    json!({
        "texts": {
            "nvmlDeviceGetUUID": H200,
            "nvmlDeviceGetName": "NVIDIA H200",
            "nvmlDeviceGetSerial": "1650323000001",
            "nvmlDeviceGetVbiosVersion": "96.00.BC.00.01",
            "nvmlDeviceGetPciInfo_v3": "00000000:18:00.0",
        },
        "values": {
            "nvmlDeviceGetUtilizationRates": [83, 41],
            "nvmlDeviceGetMemoryInfo_v2": [150_754_820_096_u64, 75_377_410_048_u64],
            "nvmlDeviceGetTemperature/0": 61,
            "nvmlDeviceGetPowerUsage": 512_300,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
            "nvmlDeviceGetTotalEnergyConsumption": 9_876_543_000_u64,
            "nvmlDeviceGetClockInfo/0": 1_980,
            "nvmlDeviceGetClockInfo/2": 3_201,
            "nvmlDeviceGetClockInfo/3": 1_545,
            "nvmlDeviceGetMaxClockInfo/0": 1_980,
            "nvmlDeviceGetMaxClockInfo/2": 3_201,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 4,
            "nvmlDeviceGetFanSpeed_v2/0": 30,
            "nvmlDeviceGetPcieReplayCounter": 2,
            "nvmlDeviceGetCurrPcieLinkGeneration": 5,
            "nvmlDeviceGetCurrPcieLinkWidth": 16,
            "nvmlDeviceGetMaxPcieLinkGeneration": 5,
            "nvmlDeviceGetMaxPcieLinkWidth": 16,
            "nvmlDeviceGetNvLinkState/0": 1,
            "nvmlDeviceGetNvLinkState/1": 0,
            "nvmlDeviceGetNvLinkErrorCounter/0/0": 1,
            "nvmlDeviceGetNvLinkErrorCounter/0/1": 2,
            "nvmlDeviceGetNvLinkErrorCounter/1/3": 4,
            "nvmlDeviceGetEncoderUtilization": [12, 167_000],
            "nvmlDeviceGetDecoderUtilization": [34, 167_000],
            "nvmlDeviceGetTotalEccErrors/0/0": 3,
            "nvmlDeviceGetTotalEccErrors/1/0": 1,
            "nvmlDeviceGetRetiredPages/0": 2,
            "nvmlDeviceGetRetiredPages/1": 1,
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetEccMode": [1, 1],
            "nvmlDeviceGetMigMode": [0, 0],
        },
        "fields": {
            "82": {"u32": 72},
            "186": {"u32": 500_000},
            "197": {"u64": 1_000_000},
            "198": {"u64": 2_000_000},
            "142": {"u32": 5},
            "143": {"u32": 1},
            "144": {"u32": 0},
            "145": {"u32": 0},
        },
    })
}
