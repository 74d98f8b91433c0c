//! Says the spool's trouble as the collectors say theirs, so that it is on the host's problems.

use crate::collectors::{Outbox, health::Health};
use crate::spool::Spool;
use fleetlight_protocol::document::CollectorState;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Its name among the collectors.
const NAME: &str = "spool";

/// Reports each change until `stop`.
pub async fn report(spool: Spool, interval: Duration, outbox: Outbox, stop: CancellationToken) {
    let mut trouble = spool.trouble();
    let mut health = Health::new(NAME, interval);
    loop {
        let said = trouble.borrow_and_update().clone();
        let (state, reason) = match said {
            None => (CollectorState::Ok, String::new()),
            Some(why) => {
                let reason = format!(
                    "{why}; unsent batches are held in memory only, about an hour of them: free or mend the disk, it is used again by itself"
                );
                (CollectorState::Failing, reason)
            }
        };
        for reading in health.change(state, reason) {
            if outbox.send(reading).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = trouble.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}
