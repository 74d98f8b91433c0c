//! Logs: the executor's frames as they are; no line is looked at here.

use crate::executor::{Client, Request};
use crate::limits::{LOG_PRIORITY, LOG_READ_BYTES};
use crate::transport::session::Ended;
use fleetlight_protocol::frame;
use fleetlight_protocol::logs::{LogsReport, LogsRequest};
use quinn::{RecvStream, SendStream};
use tokio::io::AsyncReadExt;

/// Until the executor has said all, or the controller has gone. What it does not take is not read from the executor.
pub(super) async fn answer(request: LogsRequest, mut send: SendStream, _recv: RecvStream, executor: &Client) {
    let gone = send.stopped();
    tokio::select! {
        ended = pipe(request, &mut send, executor) => if let Err(ended) = ended {
            tracing::debug!(?ended, "a reader of logs does not hear their end");
        },
        _ = gone => {}
    }
}

async fn pipe(request: LogsRequest, send: &mut SendStream, executor: &Client) -> Result<(), Ended> {
    // What is sampled goes first.
    send.set_priority(LOG_PRIORITY).map_err(Ended::lost)?;
    let sources = request.sources.len();
    let mut frames = match executor.ask(&Request::Logs(Box::new(request))).await {
        Ok(frames) => frames,
        Err(message) => {
            for source in (0_u16..).take(sources) {
                let problem = LogsReport::Problem { source, message: message.clone() };
                send.write_all(&frame::encode(&problem).map_err(Ended::lost)?).await.map_err(Ended::lost)?;
            }
            return Ok(());
        }
    };
    let mut buffer = vec![0; LOG_READ_BYTES];
    loop {
        match frames.read(&mut buffer).await.map_err(Ended::lost)? {
            0 => return Ok(()),
            read => send.write_all(&buffer[..read]).await.map_err(Ended::lost)?,
        }
    }
}
