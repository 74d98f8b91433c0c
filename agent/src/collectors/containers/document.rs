//! What Docker says of a container as the document that leaves the host. Pure.
//!
//! Labels are masked; a label's key is kept, for it says what is hidden. All text is plain and
//! bounded.

use crate::docker::Inspection;
use crate::limits::{LABEL_KEY_CHARS, LABEL_VALUE_CHARS, LABELS_BYTES};
use crate::mask;
use fleetlight_protocol::document::{Body, ContainerDocument, CrashLoop, Document};
use fleetlight_protocol::limits::{LABELS, TEXT_CHARS};
use fleetlight_protocol::samples::EntityKind;
use std::collections::{BTreeMap, HashMap};

/// What is known besides Docker's own words.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    pub image_bytes: Option<u64>,
    pub user: Option<String>,
    pub crash_loop: Option<CrashLoop>,
}

/// The document of a container.
#[must_use]
pub fn of(found: &Inspection, beside: Beside, observed_ms: i64) -> Document {
    let label = |key: &str| found.labels.get(key).map(|value| text(&mask::label(key, &mask::plain(value.as_bytes()))));
    let body = ContainerDocument {
        id: found.id.to_string(),
        name: text(&found.name),
        image: text(&found.image),
        image_id: found.image_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        image_bytes: beside.image_bytes,
        state: found.state,
        health: found.health.as_deref().map(text),
        exit_code: found.exit_code,
        oom_killed: found.oom_killed,
        created_ms: found.created_ms,
        started_ms: found.started_ms,
        finished_ms: found.finished_ms,
        restarts: found.restarts,
        restart_policy: Some(found.restart_policy.name().to_owned()),
        ports: found.ports.iter().map(|port| text(port)).collect(),
        compose_project: label("com.docker.compose.project"),
        compose_service: label("com.docker.compose.service"),
        labels: labels(&found.labels),
        user: beside.user,
        memory_limit_bytes: found.memory_limit_bytes,
        cpu_limit: found.cpu_limit,
        crash_loop: beside.crash_loop,
    };
    let body = Some(Body::Container(Box::new(body)));
    Document { kind: EntityKind::Container, key: found.id.to_string(), observed_ms, body }
}

/// The document that says that a container is gone.
#[must_use]
pub fn gone(id: &str, observed_ms: i64) -> Document {
    Document { kind: EntityKind::Container, key: id.to_owned(), observed_ms, body: None }
}

/// Key of the entry that says how many labels were left out: no label sorts behind it.
const LEFT_OUT: &str = "\u{10ffff}…";

/// The first labels by name, masked and cut, as far as they have room.
fn labels(found: &HashMap<String, String>) -> BTreeMap<String, String> {
    let mut keys: Vec<&String> = found.keys().collect();
    keys.sort_unstable();
    let (mut labels, mut room) = (BTreeMap::new(), LABELS_BYTES);
    for key in keys.iter().take(LABELS) {
        let value = mask::label(key, &mask::plain(found[*key].as_bytes()));
        let shown = mask::cut(mask::plain(mask::text(key).as_bytes()), LABEL_KEY_CHARS);
        let value = mask::cut(mask::plain(value.as_bytes()), LABEL_VALUE_CHARS);
        let Some(left) = room.checked_sub(shown.len() + value.len()) else { break };
        room = left;
        labels.insert(shown, value);
    }
    let left_out = keys.len() - labels.len();
    if left_out > 0 {
        labels.insert(LEFT_OUT.to_owned(), format!("{left_out} more labels"));
    }
    labels
}

/// Plain and bounded.
#[must_use]
pub fn text(text: &str) -> String {
    mask::cut(mask::plain(text.as_bytes()), TEXT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{ContainerId, Network, RestartPolicy};
    use fleetlight_protocol::document::ContainerState;

    fn found(labels: &[(&str, &str)]) -> Inspection {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Inspection {
            id: ContainerId::parse("5001cea49bbd").expect("is an id"),
            name: "comfy-user001".to_owned(),
            image: "comfy:latest".to_owned(),
            image_id: None,
            state: ContainerState::Running,
            pid: Some(7),
            health: None,
            probe: None,
            health_verdict: None,
            stop_seconds: None,
            exit_code: None,
            oom_killed: false,
            created_ms: Some(1),
            started_ms: Some(2),
            finished_ms: None,
            restarts: 0,
            restart_policy: RestartPolicy::UnlessStopped,
            ports: vec!["0.0.0.0:8188->8188/tcp".to_owned()],
            labels,
            memory_limit_bytes: None,
            cpu_limit: None,
            network: Network::Own,
        }
    }

    fn body(found: &Inspection) -> ContainerDocument {
        match of(found, Beside::default(), 9).body {
            Some(Body::Container(body)) => *body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_are_masked_plain_and_bounded() {
        let long = "x ".repeat(2_000);
        let found = found(&[
            ("com.docker.compose.project", "comfyume"),
            ("com.docker.compose.service", "a to\u{202e}ken=abc123"),
            ("app.password", "hunter2"),
            ("note", "\u{1b}[31m<b>red</b> token=abc123\u{202e}"),
            ("long", &long),
        ]);
        let body = body(&found);
        assert_eq!(body.compose_project.as_deref(), Some("comfyume"));
        assert_eq!(body.compose_service.as_deref(), Some("a token=***"));
        assert_eq!(body.labels["app.password"], "***");
        assert_eq!(body.labels["note"], "<b>red</b> token=***");
        assert_eq!(body.labels["long"].chars().count(), LABEL_VALUE_CHARS);
        assert!(body.labels["long"].ends_with('…'), "a cut is seen");
        assert_eq!(body.restart_policy.as_deref(), Some("unless-stopped"));
    }

    #[test]
    fn no_more_labels_than_allowed_and_always_the_same() {
        let many: Vec<(String, String)> = (0..500).map(|n| (format!("l{n:03}"), n.to_string())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let body = body(&found(&many));
        assert_eq!(body.labels.len(), LABELS + 1);
        assert_eq!(body.labels.keys().nth(LABELS - 1).map(String::as_str), Some("l063"));
        assert_eq!(body.labels[LEFT_OUT], "436 more labels");
    }

    #[test]
    fn labels_have_a_bound_in_sum() {
        let (key, value) = ("k".repeat(1_000), "ü ".repeat(1_000));
        let many: Vec<(String, String)> = (0..50).map(|n| (format!("{n:02}{key}"), value.clone())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let labels = body(&found(&many)).labels;
        let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(bytes <= LABELS_BYTES + 64, "{bytes}");
        let kept = labels.len() - 1;
        assert!(kept > 10, "{kept}");
        assert_eq!(labels[LEFT_OUT], format!("{} more labels", 50 - kept));
        let first = labels.keys().next().expect("there is one");
        assert!(first.chars().count() == LABEL_KEY_CHARS && first.ends_with('…'), "{first}");
    }
}
