//! A command as `docs/api.md` states it: what is stored, and over it what its host has said since.

use super::progress::{Step, Told};
use crate::store::commands::{CommandRecord, State};
use fleetlight_protocol::command::Output;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CommandView {
    pub id: Uuid,
    pub host_id: i32,
    pub host: String,
    /// `container.restart`
    pub action: String,
    pub subject: String,
    /// The action as it was asked.
    pub detail: Value,
    pub by: String,
    pub asked_ms: i64,
    pub deadline_ms: i64,
    pub state: Stage,
    pub outcome: Option<String>,
    pub asked: Option<String>,
    pub observed: Option<String>,
    pub reason: Option<String>,
    /// By the host's clock, as `ended_ms`.
    pub began_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    pub exit_code: Option<i64>,
    /// None where it is left out: in lists, and between the first and the last word of a stream.
    #[schemars(with = "Option<OutputShape>")]
    pub output: Option<Output>,
    pub late: bool,
    /// While it runs, and shortly after.
    pub steps: Vec<Step>,
    pub cancel_requested: bool,
    pub bulk_id: Option<Uuid>,
    /// What keeps it from going on, in words.
    pub waiting_for: Option<String>,
}

/// [`Output`], for the API's description.
#[derive(JsonSchema)]
#[schemars(rename = "Output")]
#[allow(dead_code, reason = "only its shape is asked for")]
struct OutputShape {
    head: String,
    tail: String,
    /// Of those between them.
    dropped_bytes: u64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Queued,
    Sent,
    Running,
    Finished,
}

impl CommandView {
    /// Of what the database knows alone.
    #[must_use]
    pub fn stored(record: CommandRecord) -> Self {
        Self::of(record, &Told::default())
    }

    /// The database's word on how it ended stands; until then the host's.
    #[must_use]
    pub fn of(record: CommandRecord, told: &Told) -> Self {
        let mut view = Self {
            id: record.id,
            host_id: record.host_id,
            host: record.host_name,
            action: record.name,
            subject: record.subject,
            detail: record.action,
            by: record.user_name,
            asked_ms: record.asked_ms,
            deadline_ms: record.deadline_ms,
            state: match record.state {
                State::Queued => Stage::Queued,
                State::Sent if told.began_ms.is_some() => Stage::Running,
                State::Sent => Stage::Sent,
                State::Finished => Stage::Finished,
            },
            outcome: None,
            asked: None,
            observed: None,
            reason: None,
            began_ms: told.began_ms,
            ended_ms: None,
            exit_code: None,
            output: Some(told.output.clone()),
            late: false,
            steps: told.steps.iter().cloned().collect(),
            cancel_requested: record.cancel_requested,
            bulk_id: record.bulk_id,
            waiting_for: told.waiting_for.clone(),
        };
        if let Some(end) = record.end {
            view.outcome = Some(end.outcome);
            (view.asked, view.observed, view.reason) = (end.asked, end.observed, end.reason);
            (view.began_ms, view.ended_ms, view.exit_code) = (end.began_ms, end.ended_ms, end.exit_code);
            let dropped_bytes = u64::try_from(end.dropped_bytes).unwrap_or(0);
            view.output = Some(Output { head: end.head, tail: end.tail, dropped_bytes });
            (view.late, view.waiting_for) = (end.late, None);
        } else if let Some(result) = &told.result {
            view.state = Stage::Finished;
            view.outcome = Some(result.outcome.name().to_owned());
            (view.asked, view.observed) = (Some(result.asked.clone()), Some(result.observed.clone()));
            (view.began_ms, view.ended_ms) = (result.began_ms, Some(result.ended_ms));
            (view.reason, view.exit_code) = (result.reason.clone(), result.exit_code);
            (view.output, view.waiting_for) = (Some(result.output.clone()), None);
        }
        view
    }

    /// As in a list.
    #[must_use]
    pub fn without_output(self) -> Self {
        Self { output: None, ..self }
    }
}
