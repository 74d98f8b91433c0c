//! The child's side: blocking, no runtime, small.

use super::message;
use crate::limits::WORKER_MESSAGE_BYTES;
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;

/// Answers questions from standard input on standard output until the parent closes it.
pub fn serve<Q: DeserializeOwned, A: Serialize>(mut answer: impl FnMut(Q) -> A) -> ExitCode {
    // Should the parent be killed while a thread here is stuck, the kernel ends this process as
    // soon as it can.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    loop {
        match exchange(&mut input, &mut output, &mut answer) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("worker: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
}

fn exchange<Q: DeserializeOwned, A: Serialize>(
    input: &mut impl Read,
    output: &mut impl Write,
    answer: &mut impl FnMut(Q) -> A,
) -> io::Result<()> {
    let mut head = [0; 4];
    input.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head) as usize;
    if length > WORKER_MESSAGE_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("question of {length} bytes")));
    }
    let mut question = vec![0; length];
    input.read_exact(&mut question)?;
    let (number, question) = message::read(&question).map_err(io::Error::other)?;
    let answer = message::write(number, &answer(question)).map_err(io::Error::other)?;
    output.write_all(&(answer.len() as u32).to_be_bytes())?;
    output.write_all(&answer)?;
    output.flush()
}
