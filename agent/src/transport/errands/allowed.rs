//! What this host allows: the executor's answer as it is.

use crate::executor::Client;
use crate::transport::control::write;
use fleetlight_protocol::allowed::AllowedReport;
use quinn::SendStream;

pub(super) async fn answer(mut send: SendStream, executor: &Client) {
    let report = executor.allowed().await.unwrap_or_else(|message| AllowedReport::Unavailable { message });
    if let Err(ended) = write(&mut send, &report).await {
        tracing::debug!(?ended, "the controller does not hear what this host allows");
    }
}
