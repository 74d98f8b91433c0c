//! Docker's answers: as bollard decodes them, and what is left of those that it cannot. Whoever
//! runs containers chooses names, labels, times and limits in them.
#![no_main]

use bollard::models::{ContainerInspectResponse, ContainerSummary, EventMessage};
use fleetlight_fuzz::answer::{self, Tail};
use fleetlight_fuzz::{misread, seed};
use fleetlight_protocol::limits::LAST_LINES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seed(SEEDS.map(|text| text.as_bytes().to_vec())), |data: &[u8]| {
    let mut tail = Tail::default();
    tail.push(data);
    assert!(tail.lines().len() <= LAST_LINES);
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A number that no type holds is refused by one only: bollard skips fields that it does not know.
    if let Ok(list) = misread::list(text) {
        assert!(list.containers.len() <= text.len());
        if let Ok(whole) = serde_json::from_str::<Vec<ContainerSummary>>(text) {
            let listed: Vec<_> = whole.into_iter().filter_map(answer::listed).collect();
            assert_eq!((list.containers, list.misread), (listed, None), "both ways read the same");
        }
    }
    if let Ok(found) = misread::inspection(text) {
        if let Ok(whole) = serde_json::from_str::<ContainerInspectResponse>(text) {
            assert_eq!(found, answer::inspection(whole), "both ways read the same");
        }
    }
    if let Ok(message) = serde_json::from_str::<EventMessage>(text) {
        answer::event(message).map(|event| event.at_ms());
    }
});

const SEEDS: [&str; 4] = [
    r#"[{"Id":"a1","Names":["/web"],"State":"running"},{"Id":"b2","Names":["/db"],"State":"hibernating"}]"#,
    r#"{"Id":"b2","Name":"/db","RestartCount":3,"Created":"2026-11-21T10:54:05Z","State":{"Status":"running","Pid":7,"StartedAt":"2026-11-21T10:54:05Z","FinishedAt":"0001-01-01T00:00:00Z","ExitCode":1,"Health":{"Status":"healthy"}},"HostConfig":{"RestartPolicy":{"Name":"always"},"Memory":5,"CpuQuota":5},"Config":{"Image":"db","Labels":{"a":"b"}},"NetworkSettings":{"Ports":{"8188/tcp":[{"HostIp":"::","HostPort":"1"}]}}}"#,
    r#"{"Type":"container","Action":"die","Actor":{"ID":"b2","Attributes":{"name":"db","exitCode":"137"}},"timeNano":1795258420019441227}"#,
    "one line of a log\r\nanother\n",
];
