//! The places at which a process kills itself: their names as the code states them.

use crate::random::Random;

pub const AGENT: &[&str] =
    &["spool.write", "spool.written", "spool.sync", "spool.synced", "segment.roll", "segment.unlink"];
pub const CONTROLLER: &[&str] = &["flush.copy", "flush.commit", "flush.ack", "pack.insert", "pack.drop"];

/// Of commands: the network-facing process, the executor, and the controller.
pub const RESULTS: &[&str] = &["spool.sync", "spool.synced", "result.spool", "result.settle"];
pub const EXECUTOR: &[&str] = &["command.run", "command.finish", "command.finished", "command.settle"];
pub const DISPATCH: &[&str] =
    &["command.ask", "command.send", "command.handed", "command.close", "bulk.step", "flush.commit", "flush.ack"];

/// What arms one of them.
pub const ARMED: &str = "FLEETLIGHT_KILL_POINT";

/// Has a process die when it comes to `point`, at one of the first `passages` times.
pub fn arm(point: &str, passages: u64, random: &mut Random) -> (String, String) {
    (ARMED.into(), format!("{point}:{}", random.within(1, passages)))
}
