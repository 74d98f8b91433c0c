//! A call of NVML that never returns, by the stub library.

use crate::agent::{Fault, an_hour_costs_little, on_one_thread, the_others_keep_time};
use fleetlight_agent::config::AgentConfig;
use fleetlight_tests::sim_agent::Folder;
use fleetlight_tests::system::binary;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// A host with one GPU, and a driver that can be made to hang.
struct Driver {
    folder: Folder,
}

impl Driver {
    fn new() -> Self {
        let agent = binary("fleetlight-agent").expect("the agent is built");
        let profile = agent.parent().expect("it lies in the profile's folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "fleetlight-nvml-stub", "--target-dir"]);
        build.arg(profile.parent().expect("and that in the target folder"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the stub library builds");
        let driver = Self { folder: Folder::new().expect("a folder") };
        // Its scenario lies beside it.
        std::fs::copy(profile.join("libfleetlight_nvml_stub.so"), driver.library()).expect("the library");
        driver.says(&json!({}));
        driver
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libfleetlight_nvml_stub.so")
    }

    /// Changes what the library does, as a whole.
    fn says(&self, faults: &Value) {
        let gpu = json!({
            "texts": {"nvmlDeviceGetUUID": "GPU-11111111-2222-3333-4444-555555555555", "nvmlDeviceGetName": "NVIDIA T4"},
            "values": {"nvmlDeviceGetTemperature/0": 41},
        });
        let scenario = json!({"driver_version": "580.95.05", "faults": faults, "gpus": [gpu]});
        let (fresh, file) = (self.folder.path().join("fresh.json"), self.folder.path().join("scenario.json"));
        std::fs::write(&fresh, scenario.to_string()).expect("written");
        std::fs::rename(fresh, file).expect("renamed");
    }

    fn config(&self) -> AgentConfig {
        AgentConfig { nvml_library: self.library().display().to_string(), ..AgentConfig::default() }
    }

    fn hang(&self) -> Fault<'_> {
        let begin = || self.says(&json!({"nvmlDeviceGetTemperature": "hang"}));
        Fault { collector: "gpu", stuck: "gpu".into(), begin: Box::new(begin) }
    }
}

#[test]
fn a_hung_nvml_call_delays_no_other_collector() {
    let driver = Driver::new();
    on_one_thread(the_others_keep_time(driver.config(), driver.hang()));
}

#[test]
fn an_hour_of_hung_nvml_calls_costs_little() {
    let driver = Driver::new();
    on_one_thread(an_hour_costs_little(driver.config(), driver.hang()));
}
