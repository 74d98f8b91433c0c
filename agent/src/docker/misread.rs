//! Answers with words that bollard does not know, read as far as they can be. Pure.
//!
//! bollard's enumerations are closed: a new word in one container would hide the whole list. Here
//! each container is read by itself, and an unknown word is an unknown state.

use super::answer::{self, Listed};
use super::{ContainerId, Inspection};
use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, HealthConfig,
    HealthStatusEnum, HealthcheckResult, RestartPolicyNameEnum,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Error, Value};

/// Containers of a list, and what is wrong with the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    pub containers: Vec<Listed>,
    /// How many were not understood, and why the first was not.
    pub misread: Option<String>,
}

/// What an inspection is made of, by place: words that only other fields use need not be known.
const PARTS: [(&str, &[&str]); 6] = [
    ("", &["Id", "Name", "Created", "Image", "RestartCount", "State", "HostConfig", "Config", "NetworkSettings"]),
    ("/State", &["Status", "Pid", "StartedAt", "FinishedAt", "ExitCode", "OOMKilled", "Health"]),
    ("/State/Health", &["Status", "Log"]),
    ("/HostConfig", &["NetworkMode", "RestartPolicy", "Memory", "NanoCpus", "CpuPeriod", "CpuQuota"]),
    ("/Config", &["Image", "Labels", "StopTimeout", "Healthcheck"]),
    ("/NetworkSettings", &["Ports"]),
];

/// The text of a list's answer, container by container.
pub fn list(text: &str) -> Result<List, Error> {
    let items: Vec<Value> = serde_json::from_str(text)?;
    let (mut containers, mut misread, mut first) = (Vec::new(), 0, None);
    for item in &items {
        match ContainerSummary::deserialize(item) {
            Ok(summary) => containers.extend(answer::listed(summary)),
            Err(error) => {
                containers.extend(named(item));
                misread += 1;
                first.get_or_insert(error);
            }
        }
    }
    let misread = first.map(|error| format!("{misread} of {} containers ({error})", items.len()));
    Ok(List { containers, misread })
}

/// Its id, its name, and its state if that is known.
fn named(item: &Value) -> Option<Listed> {
    let id = item.get("Id")?.as_str()?;
    let names = item.get("Names").and_then(|names| Vec::<String>::deserialize(names).ok());
    let state = item.get("State").filter(|word| is_known::<ContainerSummaryStateEnum>(word));
    let state = state.and_then(|word| ContainerSummaryStateEnum::deserialize(word).ok());
    answer::listed(ContainerSummary {
        id: ContainerId::parse(id).map(|id| id.to_string()),
        names,
        state: Some(state.unwrap_or(ContainerSummaryStateEnum::EMPTY)),
        ..ContainerSummary::default()
    })
}

/// The text of an inspection's answer: only what we use, and of that no word that is not known.
pub fn inspection(text: &str) -> Result<Option<Inspection>, Error> {
    let mut found: Value = serde_json::from_str(text)?;
    for (place, keys) in PARTS {
        if let Some(part) = found.pointer_mut(place).and_then(Value::as_object_mut) {
            part.retain(|key, _| keys.contains(&key.as_str()));
        }
    }
    forget_unknown::<ContainerStateStatusEnum>(&mut found, "/State", "Status");
    forget_unknown::<HealthStatusEnum>(&mut found, "/State/Health", "Status");
    forget_unknown::<RestartPolicyNameEnum>(&mut found, "/HostConfig/RestartPolicy", "Name");
    forget_unknown::<Vec<HealthcheckResult>>(&mut found, "/State/Health", "Log");
    forget_unknown::<HealthConfig>(&mut found, "/Config", "Healthcheck");
    forget_unknown::<i64>(&mut found, "/Config", "StopTimeout");
    Ok(answer::inspection(ContainerInspectResponse::deserialize(found)?))
}

fn forget_unknown<Word: DeserializeOwned>(found: &mut Value, place: &str, key: &str) {
    let Some(place) = found.pointer_mut(place).and_then(Value::as_object_mut) else { return };
    if place.get(key).is_some_and(|word| !is_known::<Word>(word)) {
        place.remove(key);
    }
}

fn is_known<Word: DeserializeOwned>(word: &Value) -> bool {
    Word::deserialize(word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetlight_protocol::document::ContainerState;

    #[test]
    fn one_unknown_word_hides_neither_the_container_nor_the_others() {
        let text = r#"[
            {"Id": "a1", "Names": ["/web"], "State": "running"},
            {"Id": "b2", "Names": ["/other/alias", "/db"], "State": "hibernating"},
            {"Id": "c3", "Names": ["/odd"], "State": "exited", "Created": "yesterday"},
            {"Id": "../x", "State": 7}, 5, null
        ]"#;
        let List { containers, misread } = list(text).expect("is a list");
        let found: Vec<_> = containers.iter().map(|it| (it.id.as_str(), it.name.as_str(), it.state)).collect();
        let expected = [
            ("a1", "web", ContainerState::Running),
            ("b2", "db", ContainerState::Unknown),
            ("c3", "odd", ContainerState::Exited),
        ];
        assert_eq!(found, expected);
        let misread = misread.expect("is told");
        assert!(misread.starts_with("5 of 6 containers") && misread.contains("hibernating"), "{misread}");
        assert!(list("{").is_err() && list("{}").is_err());
    }

    #[test]
    fn an_inspection_with_unknown_words_says_the_rest() {
        let text = r#"{"Id": "b2", "Name": "/db", "RestartCount": 3, "Platform": 5,
            "State": {"Status": "hibernating", "Pid": 7, "Health": {"Status": "hopeful", "Log": 5}},
            "HostConfig": {"RestartPolicy": {"Name": "sometimes"}, "Memory": 5, "CgroupnsMode": "shared"},
            "Config": {"Image": "db:1", "Labels": {"a": "b"}, "Env": ["PASSWORD=hunter2"],
                "StopTimeout": "long", "Healthcheck": 7}}"#;
        let found = inspection(text).expect("reads").expect("is one");
        assert_eq!((found.state, found.pid, found.health.clone()), (ContainerState::Unknown, Some(7), None));
        assert_eq!((found.name.as_str(), found.restarts, found.memory_limit_bytes), ("db", 3, Some(5)));
        assert_eq!(found.labels["a"], "b");
        assert_eq!((found.probe, found.health_verdict, found.stop_seconds), (None, None, None));
        assert!(inspection("[]").is_err() && inspection("{}").expect("reads").is_none());
    }
}
