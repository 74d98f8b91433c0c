//! The files worker: the only process that walks trees, which may take minutes and, on a network mount, for ever.
//!
//! It sees what the executor sees. Links are never followed below the path that was asked for.

mod messages;
mod walk;

pub use messages::{Answer, Compared, Counted, Found, Question};

use crate::limits::FILES_LOOKED_AT;
use std::process::ExitCode;

/// Answers on standard output what is asked on standard input, until that is closed.
#[must_use]
pub fn serve() -> ExitCode {
    super::serve(|question: Question| answer(&question, FILES_LOOKED_AT))
}

/// May never return. Beyond `most` entries it gives up.
pub fn answer(question: &Question, most: u64) -> Answer {
    match question {
        Question::Count { path, since_ms } => walk::count(path, *since_ms, most).map(Found::Counted),
        Question::Compare { source, destination, until_ms } => {
            walk::compare(source, destination, *until_ms, most).map(Found::Compared)
        }
    }
}
