//! The agent's own collectors.

use super::{resolution::*, sample};

sample! {
    /// One collector of the agent.
    CollectorSample is Collector {
        duration_seconds: Seconds, Real, DURATION, "time that the last run took";
        lateness_seconds: Seconds, Real, DURATION, "how late after its tick the last run began";
        missed_ticks: Count, Int8, ONE, "ticks without a result since the agent started";
    }
}
