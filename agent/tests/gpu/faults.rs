//! Drivers that hang, libraries that crash or are not there, GPUs that fall off the bus.

use crate::cards::{self, H200, SECOND, bare, full};
use crate::host::{Host, numbers};
use fleetlight_agent::collectors::{Collector, Reading, Unavailable, run};
use fleetlight_agent::tick::Tick;
use fleetlight_protocol::document::{Body, CollectorState, GpuDriverState, GpuState};
use fleetlight_protocol::event::{Fact, Severity};
use fleetlight_protocol::samples::{EntityKind, Row};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A host on which `symbol` has a fault.
fn faulty(symbol: &str, fault: &Value) -> Value {
    let mut scenario = cards::host(&[full()]);
    scenario["faults"] = json!({symbol: fault});
    scenario
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_hung_call_is_reported_within_its_deadline_and_its_process_is_ended() {
    let mut host = Host::new(&cards::host(&[full()]));
    host.tick().await.expect("a reading");
    let pid = host.collector().worker_pid().expect("it runs");
    host.set(&faulty("nvmlDeviceGetPowerUsage", &json!("hang")));
    let began = Instant::now();
    let why = host.tick().await.expect_err("the call hangs");
    let took = began.elapsed();
    assert_eq!(why.state, CollectorState::Stuck);
    assert!(why.reason.contains("2000 ms") && why.reason.contains("reboot"), "{}", why.reason);
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(!exists(pid), "the process that hung is gone");
    assert_eq!(host.driver().state, GpuDriverState::Unresponsive);
    assert_eq!(host.driver().driver_version.as_deref(), Some("580.95.05"), "what was known stays");

    let again = Instant::now();
    assert_eq!(host.tick().await.expect_err("it waits before it tries again"), why);
    assert!(again.elapsed() < Duration::from_millis(100), "and does not ask meanwhile");

    host.set(&cards::host(&[full()]));
    host.until(Duration::from_secs(15), |_, rows| rows.is_ok()).await;
    assert_eq!((host.driver().state, host.driver().reason.as_str()), (GpuDriverState::Ok, ""));
}

#[tokio::test]
async fn a_hung_initialisation_is_reported() {
    let mut host = Host::new(&faulty("nvmlInit_v2", &json!("hang")));
    let began = Instant::now();
    let why = host.tick().await.expect_err("it hangs");
    assert_eq!(why.state, CollectorState::Stuck);
    assert!(began.elapsed() < Duration::from_secs(12));
    assert_eq!(host.driver().state, GpuDriverState::Unresponsive);
    assert_eq!(host.collector().worker_pid(), None);
}

/// A collector that does nothing: what delays it, delays every other one.
struct Pulse;

impl Collector for Pulse {
    const NAME: &'static str = "pulse";

    async fn collect(&mut self, _tick: Tick) -> Result<Vec<Row>, Unavailable> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_hung_driver_delays_no_other_collector() {
    let mut host = Host::new(&faulty("nvmlDeviceGetTemperature", &json!("hang")));
    let (collector, mut said, outbox) = host.take();
    let stop = CancellationToken::new();
    let (second, fast) = (Duration::from_secs(1), Duration::from_millis(100));
    let gpu = tokio::spawn(run(collector, second, Duration::ZERO, outbox.clone(), stop.clone()));
    let pulse = tokio::spawn(run(Pulse, fast, Duration::ZERO, outbox, stop.clone()));
    let (mut late, mut missed, mut stuck) = (Vec::new(), 0.0, false);
    let end = Instant::now() + Duration::from_secs(5);
    while let Ok(Some(reading)) = tokio::time::timeout_at(end, said.recv()).await {
        match reading {
            Reading::Rows { collector: "pulse", rows, .. } => {
                let row = numbers(&rows, EntityKind::Collector, "pulse");
                late.push(row["lateness_seconds"]);
                missed = row["missed_ticks"];
            }
            Reading::Documents(documents) => {
                stuck |= documents
                    .iter()
                    .any(|it| matches!(&it.body, Some(Body::Collector(state)) if state.state == CollectorState::Stuck));
            }
            _ => {}
        }
    }
    stop.cancel();
    gpu.await.expect("it ends");
    pulse.await.expect("it ends");
    assert!(stuck, "the hang was reported");
    let on_time = late.iter().filter(|seconds| **seconds <= 0.05).count();
    assert!(late.len() >= 40 && missed == 0.0, "{} ticks, {missed} missed", late.len());
    assert!(on_time * 10 >= late.len() * 9, "{on_time} of {} ticks within 50 ms: {late:?}", late.len());
}

#[tokio::test]
async fn a_crash_of_the_library_is_survived() {
    let mut host = Host::new(&cards::host(&[full()]));
    host.tick().await.expect("a reading");
    host.set(&faulty("nvmlDeviceGetUtilizationRates", &json!("crash")));
    let why = host.tick().await.expect_err("it crashes");
    assert_eq!(why.state, CollectorState::Failing);
    assert!(why.reason.contains("SIGSEGV"), "{}", why.reason);
    assert_eq!(host.driver().state, GpuDriverState::Error);
    host.set(&cards::host(&[full()]));
    host.until(Duration::from_secs(20), |_, rows| rows.is_ok()).await;
    assert!(host.facts(H200).is_empty(), "no GPU was lost by it");
}

#[tokio::test]
async fn a_missing_library_is_no_fault_and_leaves_no_process() {
    let mut host = Host::new(&cards::host(&[]));
    std::fs::remove_file(&host.library).expect("removed");
    let why = host.tick().await.expect_err("there is none");
    assert_eq!(why.state, CollectorState::Absent);
    assert!(why.reason.contains("no NVIDIA driver") && why.reason.contains("nvml_library"), "{}", why.reason);
    assert_eq!(host.driver().state, GpuDriverState::LibraryMissing);
    assert_eq!(host.collector().worker_pid(), None);
    assert_eq!(host.tick().await.expect_err("still"), why);
    assert_eq!(host.collector().worker_pid(), None, "it is not tried at every tick");
}

#[tokio::test]
async fn states_of_the_driver_say_what_to_do() {
    let cases = [
        (9, GpuDriverState::DriverNotLoaded, "modprobe"),
        (18, GpuDriverState::VersionMismatch, "reboot"),
        (4, GpuDriverState::Error, "/dev/nvidia"),
        (999, GpuDriverState::Error, "nvidia-smi"),
    ];
    for (code, state, advice) in cases {
        let mut host = Host::new(&faulty("nvmlInit_v2", &json!({"error": code})));
        let why = host.tick().await.expect_err("it does not initialise");
        assert_eq!((why.state, host.driver().state), (CollectorState::Failing, state), "{code}");
        assert!(why.reason.contains(advice), "{code}: {}", why.reason);
    }
}

#[tokio::test]
async fn a_driver_that_is_upgraded_under_way_is_reported() {
    let mut host = Host::new(&cards::host(&[full()]));
    host.tick().await.expect("a reading");
    host.set(&faulty("nvmlDeviceGetTemperature", &json!({"error": 18})));
    host.tick().await.expect_err("library and module differ now");
    assert_eq!(host.driver().state, GpuDriverState::VersionMismatch);
}

#[tokio::test]
async fn a_lost_gpu_and_its_return_are_events_and_the_other_one_goes_on() {
    let mut host = Host::new(&cards::host(&[full(), bare(SECOND)]));
    host.tick().await.expect("a reading");
    let mut broken = full();
    broken["error"] = json!(15);
    host.set(&cards::host(&[broken, bare(SECOND)]));
    let rows = host.tick().await.expect("the other one answers");
    assert_eq!(numbers(&rows, EntityKind::Gpu, SECOND)["temperature_celsius"], 41.0);
    assert!(rows.iter().all(|row| row.key != H200), "a lost GPU has no numbers");
    let event = host.events.last().expect("an event");
    assert_eq!((event.key.as_str(), event.subject.as_str()), (H200, "GPU 0 NVIDIA H200"));
    assert_eq!(event.severity, Severity::Crit);
    assert!(matches!(&event.fact, Fact::GpuLost { reason } if reason.contains("reboot")), "{event:?}");
    assert_eq!(host.gpu(H200).map(|gpu| gpu.state), Some(GpuState::Lost));
    assert_eq!(host.driver().state, GpuDriverState::Ok);

    host.set(&cards::host(&[full(), bare(SECOND)]));
    host.tick().await.expect("a reading");
    assert_eq!(host.facts(H200), ["gpu_lost", "gpu_back"]);
    assert_eq!(host.gpu(H200).map(|gpu| (gpu.state, gpu.reason.as_str())), Some((GpuState::Ok, "")));
    assert!(host.facts(SECOND).is_empty());
}

#[tokio::test]
async fn a_gpu_that_vanishes_from_the_list_is_lost() {
    let mut host = Host::new(&cards::host(&[full(), bare(SECOND)]));
    host.tick().await.expect("a reading");
    let mut gone = full();
    gone["vanished"] = json!(true);
    host.set(&cards::host(&[gone, bare(SECOND)]));
    let rows = host.tick().await.expect("a reading");
    assert_eq!(numbers(&rows, EntityKind::Gpu, SECOND)["temperature_celsius"], 41.0, "though its index has moved");
    assert_eq!(host.facts(H200), ["gpu_lost"]);
    host.set(&cards::host(&[full(), bare(SECOND)]));
    host.tick().await.expect("a reading");
    assert_eq!(host.facts(H200), ["gpu_lost", "gpu_back"]);
    assert!(host.facts(SECOND).is_empty(), "it was there all the time");
}

#[tokio::test]
async fn a_gpu_that_needs_a_reset_says_so() {
    let mut host = Host::new(&cards::host(&[bare("GPU-a")]));
    host.tick().await.expect("a reading");
    let mut broken = bare("GPU-a");
    broken["error"] = json!(16);
    host.set(&cards::host(&[broken]));
    host.tick().await.expect("a reading without it");
    let gpu = host.gpu("GPU-a").expect("said");
    assert_eq!(gpu.state, GpuState::ResetRequired);
    assert!(gpu.reason.contains("--gpu-reset"), "{}", gpu.reason);
}

#[tokio::test]
async fn a_gpu_that_is_lost_before_the_agent_begins_is_the_drivers_trouble() {
    let mut broken = bare("GPU-a");
    broken["error"] = json!(15);
    let mut host = Host::new(&cards::host(&[bare(SECOND), broken]));
    host.tick().await.expect("the other one answers");
    assert_eq!(host.driver().state, GpuDriverState::Error);
    assert!(host.driver().reason.contains("GPU 1"), "{}", host.driver().reason);
}

#[tokio::test]
async fn xids_are_events_with_their_meaning() {
    let mut scenario = cards::host(&[full(), bare(SECOND)]);
    scenario["xids"] = json!([{"gpu": 0, "code": 13}]);
    let mut host = Host::new(&scenario);
    host.tick().await.expect("a reading");
    assert!(host.events.is_empty(), "what was before is past");
    scenario["xids"] = json!([{"gpu": 0, "code": 13}, {"gpu": 1, "code": 79}, {"gpu": 0, "code": 31}]);
    host.set(&scenario);
    host.until(Duration::from_secs(5), |host, _| host.events.len() == 2).await;
    let first = &host.events[0];
    assert_eq!((first.kind, first.key.as_str(), first.severity), (EntityKind::Gpu, SECOND, Severity::Crit));
    assert!(matches!(&first.fact, Fact::Xid { code: 79, meaning } if meaning.contains("fallen off the bus")));
    assert!(matches!(&host.events[1].fact, Fact::Xid { code: 31, .. }));
    assert_eq!(host.events[1].key, H200);
}

#[tokio::test]
async fn an_xid_of_a_lost_gpu_still_names_it() {
    let mut host = Host::new(&cards::host(&[bare("GPU-a")]));
    host.tick().await.expect("a reading");
    let mut broken = bare("GPU-a");
    broken["error"] = json!(15);
    let mut scenario = cards::host(&[broken]);
    scenario["xids"] = json!([{"gpu": 0, "code": 79}]);
    host.set(&scenario);
    host.until(Duration::from_secs(5), |host, _| host.facts("GPU-a").contains(&"xid")).await;
}
