//! What an Xid error means and what to do about it, in words.
//!
//! Codes and their meanings: NVIDIA, "GPU deployment and management: Xid errors"
//! (docs.nvidia.com/deploy/xid-errors).

use crate::workers::nvml::messages::XidReading;
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::EntityKind;
use uuid::Uuid;

/// The event of an Xid. `subject` is UUID and name of its GPU; one of an unknown GPU belongs to
/// the driver.
pub fn event(xid: &XidReading, subject: Option<(&str, String)>) -> Event {
    let (severity, meaning) = meaning(xid.code);
    let (kind, key, subject) = match subject {
        Some((uuid, name)) => (EntityKind::Gpu, uuid.to_owned(), name),
        None => (EntityKind::GpuDriver, String::new(), "GPU driver".to_owned()),
    };
    let fact = Fact::Xid { code: xid.code, meaning: meaning.to_owned() };
    Event { id: Uuid::now_v7(), at_ms: xid.at_ms, kind, key, subject, severity, fact }
}

/// How grave, and what it means. Faults of one program are warnings, faults of the card or the
/// driver are critical, and what the card has mended by itself is information.
fn meaning(code: u64) -> (Severity, &'static str) {
    application(code).or_else(|| memory(code)).or_else(|| card(code)).unwrap_or((
        Severity::Warn,
        "no meaning is known here: look the code up in NVIDIA's list of Xid errors, and for it in the kernel log",
    ))
}

/// Most often a program's fault.
fn application(code: u64) -> Option<(Severity, &'static str)> {
    use Severity::{Info, Warn};
    Some(match code {
        13 => (
            Warn,
            "graphics engine exception: a program ran an illegal instruction or read out of bounds; if several programs meet it, test the card",
        ),
        31 => (
            Warn,
            "memory page fault: a program used an address that is not its own; it was ended, debug it with compute-sanitizer",
        ),
        32 => (
            Warn,
            "invalid or corrupted push buffer: a program or the bus damaged its commands; if it returns, check PCIe and the driver",
        ),
        38 => (Warn, "driver firmware error: restart the program; if it returns, update the driver"),
        43 => (Warn, "a program's channel was stopped after its own fault; the card is well, restart the program"),
        45 => (Info, "a program was ended or crashed and its channels were cleaned up; see the Xid before it, if any"),
        68 => (
            Warn,
            "video processor exception: restart the program that encodes or decodes; if it returns, update the driver",
        ),
        69 => (Warn, "graphics engine class error: a program sent wrong commands; update it or the driver"),
        _ => return None,
    })
}

/// Memory, ECC, row remapping.
fn memory(code: u64) -> Option<(Severity, &'static str)> {
    use Severity::{Crit, Info, Warn};
    Some(match code {
        48 => (
            Crit,
            "double bit ECC error: memory was damaged and not mended; end what uses the card, then reset it or reboot",
        ),
        63 => (Info, "a memory row or page was set aside for errors; it takes effect at the next reset of the card"),
        64 => (Crit, "a memory row or page could not be set aside: reset the card, and replace it if this returns"),
        92 => (Warn, "many single bit ECC errors: they were mended; test the card if they go on"),
        94 => (
            Warn,
            "contained memory error: only the program that met it was ended; restart it, and reset the card when it is free",
        ),
        95 => (
            Crit,
            "uncontained memory error: any program on the card may be affected; end them all, then reset the card or reboot",
        ),
        140 => (Crit, "unrecovered ECC error: end what uses the card, then reset it; replace it if this returns"),
        _ => return None,
    })
}

/// The card, its links and its own processors.
fn card(code: u64) -> Option<(Severity, &'static str)> {
    use Severity::{Crit, Warn};
    Some(match code {
        61 | 62 => (
            Crit,
            "the card's internal micro-controller halted: end what uses the card, then reset it or reboot; replace it if this returns",
        ),
        74 => (Crit, "NVLink error: check the bridge, its seat and the other card; reset both or reboot"),
        79 => (Crit, "the GPU has fallen off the bus: check power, heat and its seat; only a reboot brings it back"),
        109 => (
            Warn,
            "context switch time-out: a program was ended since it blocked the card; restart it, reset the card if it returns",
        ),
        110 => (Crit, "security fault: reboot the host; replace the card if this returns"),
        119 | 120 => (
            Crit,
            "the GPU system processor (GSP) does not answer or has failed: reset the card or reboot; update the driver if it returns",
        ),
        121 => (Warn, "corrected error on the link to the CPU (C2C): reset the card when it is free"),
        136 => (Crit, "the link did not train: power-cycle the host; check the seat of the card"),
        137 => (Warn, "NVLink privilege error: a program used a peer's memory wrongly; restart it"),
        143 => (Crit, "the card did not start up: reboot the host; replace the card if this returns"),
        154 => (
            Warn,
            "what the card needs to recover has changed: the kernel log says whether it is a reset, a reboot or nothing",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_codes_have_words_and_say_what_to_do() {
        let (_, unknown) = meaning(u64::MAX);
        for code in [13, 31, 32, 38, 43, 45, 48, 61, 62, 63, 64, 68, 69, 74, 79, 92, 94, 95, 119, 120, 121, 140] {
            assert_ne!(meaning(code).1, unknown, "{code}");
        }
        assert!(unknown.contains("look the code up"));
    }

    #[test]
    fn a_programs_fault_is_no_alarm_and_a_lost_card_is() {
        assert_eq!(meaning(31).0, Severity::Warn);
        assert_eq!(meaning(45).0, Severity::Info);
        assert_eq!(meaning(79).0, Severity::Crit);
    }

    #[test]
    fn an_xid_of_an_unknown_gpu_belongs_to_the_driver() {
        let event = event(&XidReading { at_ms: 7, gpu: None, code: 79 }, None);
        assert_eq!((event.kind, event.at_ms), (EntityKind::GpuDriver, 7));
    }
}
