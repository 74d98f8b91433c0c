//! NVML, in a process of its own.
//!
//! Initialisation and calls of the driver can hang in the kernel for ever, and a library can crash.
//! So `fleetlight-agent nvml-worker` loads it, and the gpu collector asks this process by
//! [`messages`]. Nothing here knows tokio, Docker or the network; a call may block.
//!
//! Invariants: what a card does not support is absent, never zero; the numbers of one GPU never
//! depend on whether another one answers; a GPU that fails stops its own reading only.

mod calls;
mod device;
mod events;
mod facts;
pub mod messages;
mod nvlink;
mod pcie;
mod processes;
mod raw;
mod session;
mod whole;

use messages::{Answer, Question};
use session::Session;
use std::process::ExitCode;

/// Answers the gpu collector's questions with what `library` says, until standard input closes.
#[must_use]
pub fn serve(library: &str) -> ExitCode {
    let mut session = None;
    super::serve(move |question: Question| answer(library, &mut session, question))
}

fn answer(library: &str, session: &mut Option<Session>, question: Question) -> Answer {
    match question {
        Question::Open { proc_root } => match Session::open(library, proc_root) {
            Ok(opened) => Answer::Opened(session.insert(opened).driver().clone()),
            Err(outage) => Answer::Outage(outage),
        },
        Question::Read => match session.as_mut().map(Session::read) {
            None => Answer::NotOpen,
            Some(Ok(reading)) => Answer::Reading(reading),
            Some(Err(outage)) => Answer::Outage(outage),
        },
    }
}
