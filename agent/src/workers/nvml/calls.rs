//! How answers and refusals of NVML calls are taken.

use super::messages::Outage;
use fleetlight_protocol::document::{GpuDriverState, GpuState};
use nvml_wrapper::error::NvmlError;
use std::collections::HashSet;

/// An error that says more than "this one number is not to be had".
#[derive(Debug)]
pub enum Trouble {
    /// With this GPU.
    Gpu(Ailment),
    /// With the driver as a whole.
    Driver(Outage),
}

/// What is wrong with a GPU, and what to do.
#[derive(Debug)]
pub struct Ailment {
    pub state: GpuState,
    pub reason: String,
}

/// What to do about a failure that says no more than that.
const LOOK: &str = "run nvidia-smi and look at the kernel log";

/// What an error means.
enum Meaning {
    /// This card, library or account will not answer it, now or later.
    Refused,
    /// This time there was no answer.
    Failed,
    Trouble(Trouble),
}

fn meaning(error: &NvmlError) -> Meaning {
    use NvmlError as E;
    let gpu =
        |state, advice: &str| Meaning::Trouble(Trouble::Gpu(Ailment { state, reason: format!("{error}: {advice}") }));
    match error {
        E::GpuLost => gpu(GpuState::Lost, "look for Xid 79 in the kernel log, then reboot the host or reseat the card"),
        E::ResetRequired => {
            gpu(GpuState::ResetRequired, "stop what uses it, then run nvidia-smi --gpu-reset or reboot the host")
        }
        E::Uninitialized | E::DriverNotLoaded | E::LibRmVersionMismatch => {
            Meaning::Trouble(Trouble::Driver(outage(error)))
        }
        E::NoData
        | E::NotFound
        | E::Timeout
        | E::InUse
        | E::IrqIssue
        | E::InsufficientSize(_)
        | E::InsufficientMemory
        | E::Unknown => Meaning::Failed,
        _ => Meaning::Refused,
    }
}

/// The driver's state that an error of initialisation stands for.
pub fn outage(error: &NvmlError) -> Outage {
    use NvmlError as E;
    let (state, advice) = match error {
        E::LibloadingError(_) => return library(error),
        E::DriverNotLoaded => {
            (GpuDriverState::DriverNotLoaded, "run nvidia-smi; load it by modprobe nvidia or reinstall the driver")
        }
        E::LibRmVersionMismatch => (
            GpuDriverState::VersionMismatch,
            "the driver was upgraded while an older kernel module runs: reboot the host",
        ),
        E::NoPermission => {
            (GpuDriverState::Error, "give the agent's account access to /dev/nvidiactl and /dev/nvidia*")
        }
        E::OperatingSystem => {
            (GpuDriverState::Error, "the agent's cgroup may not use /dev/nvidia*: see DeviceAllow in its unit")
        }
        _ => (GpuDriverState::Error, LOOK),
    };
    Outage { state, reason: format!("NVML: {error}: {advice}") }
}

/// The library is absent, or there and of no use.
fn library(error: &NvmlError) -> Outage {
    let text = match error {
        NvmlError::LibloadingError(error) => error.to_string(),
        other => other.to_string(),
    };
    if text.contains("No such file") {
        return Outage {
            state: GpuDriverState::LibraryMissing,
            reason: format!("no NVIDIA driver on this host ({text}); install one, or set nvml_library to where it is"),
        };
    }
    Outage {
        state: GpuDriverState::Error,
        reason: format!("the NVML library cannot be loaded: {text}; reinstall the driver"),
    }
}

/// An answer without which there is nothing to go on.
///
/// # Errors
/// [`Trouble`], whatever the refusal.
pub fn need<T>(call: &str, answer: Result<T, NvmlError>) -> Result<T, Trouble> {
    answer.map_err(|error| match meaning(&error) {
        Meaning::Trouble(trouble) => trouble,
        _ => Trouble::Gpu(Ailment { state: GpuState::Error, reason: format!("{call}: {error}: {LOOK}") }),
    })
}

/// Asks a card, and remembers what it refuses, so that a tick does not ask in vain.
#[derive(Debug, Default)]
pub struct Calls {
    refused: HashSet<(&'static str, u32)>,
    answered: u32,
    failed: Option<String>,
}

impl Calls {
    /// The answer to `call` (about the `part`th link, cause … of it), or none.
    ///
    /// # Errors
    /// [`Trouble`] that makes further calls pointless.
    pub fn ask<T>(
        &mut self,
        call: &'static str,
        part: u32,
        answer: impl FnOnce() -> Result<T, NvmlError>,
    ) -> Result<Option<T>, Trouble> {
        if self.refused.contains(&(call, part)) {
            return Ok(None);
        }
        match answer() {
            Ok(value) => {
                self.answered += 1;
                Ok(Some(value))
            }
            Err(error) => match meaning(&error) {
                Meaning::Trouble(trouble) => Err(trouble),
                Meaning::Failed => {
                    self.failed = Some(format!("{call}: {error}"));
                    Ok(None)
                }
                Meaning::Refused => {
                    self.refused.insert((call, part));
                    Ok(None)
                }
            },
        }
    }

    /// Judges the calls since the last judgement: a card that answered none and failed some is of
    /// no use.
    ///
    /// # Errors
    /// [`Trouble::Gpu`] with the last failure.
    pub fn judge(&mut self) -> Result<(), Trouble> {
        let (answered, failed) = (std::mem::take(&mut self.answered), self.failed.take());
        match failed {
            Some(failure) if answered == 0 => {
                let reason = format!("it answers nothing ({failure}): {LOOK}");
                Err(Trouble::Gpu(Ailment { state: GpuState::Error, reason }))
            }
            _ => Ok(()),
        }
    }

    /// Asks again what was refused: modes and permissions change.
    pub fn forgive(&mut self) {
        self.refused.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_not_asked_again_until_forgiven() {
        let mut calls = Calls::default();
        let none = calls.ask::<u32>("power", 0, || Err(NvmlError::NotSupported));
        assert!(matches!(none, Ok(None)));
        let skipped = calls.ask("power", 0, || Ok(1));
        assert!(matches!(skipped, Ok(None)), "it was not asked");
        assert!(matches!(calls.ask("power", 1, || Ok(1)), Ok(Some(1))), "another part of it was");
        calls.forgive();
        assert!(matches!(calls.ask("power", 0, || Ok(1)), Ok(Some(1))));
    }

    #[test]
    fn a_lost_gpu_ends_its_reading_and_says_what_to_do() {
        let error = Calls::default().ask::<u32>("power", 0, || Err(NvmlError::GpuLost));
        let Err(Trouble::Gpu(Ailment { state: GpuState::Lost, reason })) = error else { panic!("{error:?}") };
        assert!(reason.contains("reboot"), "{reason}");
    }

    #[test]
    fn a_card_that_only_fails_is_in_error_and_one_that_refuses_is_not() {
        let mut calls = Calls::default();
        assert!(calls.ask::<u32>("a", 0, || Err(NvmlError::NotSupported)).is_ok());
        assert!(calls.judge().is_ok());
        assert!(calls.ask::<u32>("b", 0, || Err(NvmlError::Unknown)).is_ok());
        assert!(matches!(calls.judge(), Err(Trouble::Gpu(Ailment { state: GpuState::Error, .. }))));
        assert!(calls.judge().is_ok(), "a judgement covers its own calls only");
    }

    #[test]
    fn a_missing_library_is_told_from_a_broken_one() {
        let missing = nvml_wrapper::Nvml::builder().lib_path("/nowhere/libnvidia-ml.so.1".as_ref()).init();
        let said = outage(&missing.expect_err("there is none"));
        assert_eq!(said.state, GpuDriverState::LibraryMissing);
        let broken = nvml_wrapper::Nvml::builder().lib_path("/etc/passwd".as_ref()).init();
        let said = outage(&broken.expect_err("that is no library"));
        assert_eq!(said.state, GpuDriverState::Error);
    }
}
