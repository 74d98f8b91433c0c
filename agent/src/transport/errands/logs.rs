//! Logs: the executor's frames, as they are.

use crate::executor::Client;
use fleetlight_protocol::logs::LogsRequest;
use quinn::{RecvStream, SendStream};

pub(super) async fn answer(_request: LogsRequest, _send: SendStream, _recv: RecvStream, _executor: &Client) {
    tracing::warn!("this agent reads no logs yet");
}
