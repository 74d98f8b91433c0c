//! The GPUs of this host: which there are, how they are, what has changed.
//!
//! A GPU that the driver does not list any more is lost, not gone; a MIG instance that is not
//! listed was removed by somebody, and is gone.

use crate::limits::GPU_ENTITIES;
use crate::workers::nvml::messages::{GpuFacts, GpuReading, Unopened};
use fleetlight_protocol::document::{Body, Document, GpuDocument, GpuState};
use fleetlight_protocol::event::{Event, Fact, Severity};
use fleetlight_protocol::samples::{EntityKind, GpuSample, Row, Sample};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Every GPU and MIG instance seen since the agent began, by UUID.
#[derive(Debug, Default)]
pub struct Fleet {
    known: BTreeMap<String, Known>,
    /// The driver counts GPUs that it does not open.
    unopened: bool,
}

#[derive(Debug)]
struct Known {
    facts: GpuFacts,
    state: GpuState,
    reason: String,
    /// A bit for each metric of the catalogue that was answered at least once.
    answered: u64,
    said: Option<GpuDocument>,
}

/// What is to be said after a reading.
#[derive(Debug, Default)]
pub struct Change {
    pub documents: Vec<Document>,
    pub events: Vec<Event>,
}

impl Fleet {
    /// Takes over a reading.
    pub fn absorb(
        &mut self,
        gpus: &[GpuReading],
        facts: Option<Vec<GpuFacts>>,
        unopened: &[Unopened],
        at_ms: i64,
    ) -> Change {
        let mut change = Change::default();
        self.unopened = !unopened.is_empty();
        if let Some(facts) = facts {
            self.list(facts, unopened, at_ms, &mut change);
        }
        for gpu in gpus {
            let Some(known) = self.known.get_mut(&gpu.uuid) else { continue };
            known.turn(gpu.state, &gpu.reason, at_ms, &mut change);
            for (bit, value) in gpu.values.iter().enumerate().take(u64::BITS as usize) {
                known.answered |= u64::from(value.is_some()) << bit;
            }
        }
        for (uuid, known) in &mut self.known {
            let document = known.document();
            if known.said.as_ref() != Some(&document) {
                known.said = Some(document.clone());
                change.documents.push(self::document(uuid, at_ms, Some(Body::Gpu(Box::new(document)))));
            }
        }
        change
    }

    /// Takes over the driver's list.
    fn list(&mut self, facts: Vec<GpuFacts>, unopened: &[Unopened], at_ms: i64, change: &mut Change) {
        let listed: Vec<String> = facts.iter().map(|facts| facts.uuid.clone()).collect();
        self.known.retain(|uuid, known| {
            let stays = listed.contains(uuid) || known.facts.parent.is_none();
            if !stays {
                change.documents.push(document(uuid, at_ms, None));
            }
            stays
        });
        for (_, known) in self.known.iter_mut().filter(|(uuid, _)| !listed.contains(uuid)) {
            let reason = unopened.iter().find(|gpu| gpu.index == known.facts.index).map_or_else(
                || {
                    "the driver does not list it any more: look for Xid 79 in the kernel log, then reboot the host"
                        .into()
                },
                |gpu| gpu.reason.clone(),
            );
            known.turn(GpuState::Lost, &reason, at_ms, change);
        }
        for facts in facts.into_iter().take(GPU_ENTITIES) {
            match self.known.get_mut(&facts.uuid) {
                Some(known) => known.facts = facts,
                None => {
                    self.known.insert(facts.uuid.clone(), Known::new(facts));
                }
            }
        }
    }

    /// GPUs, without MIG instances, lost ones included.
    pub fn count(&self) -> u32 {
        self.known.values().filter(|known| known.facts.parent.is_none()).count() as u32
    }

    /// Some GPU cannot be used now.
    pub fn ails(&self) -> bool {
        self.unopened || self.known.values().any(|known| known.state != GpuState::Ok)
    }

    /// What to say of GPUs that cannot be opened and that no known lost one explains.
    pub fn unknown(&self, unopened: &[Unopened]) -> Option<String> {
        let unknown: Vec<_> = unopened
            .iter()
            .filter(|gpu| {
                !self.known.values().any(|known| known.facts.index == gpu.index && known.state != GpuState::Ok)
            })
            .map(|gpu| format!("GPU {} cannot be opened: {}", gpu.index, gpu.reason))
            .collect();
        (!unknown.is_empty()).then(|| unknown.join("; "))
    }

    /// UUID and name for people of a GPU.
    pub fn subject<'a>(&self, uuid: Option<&'a str>) -> Option<(&'a str, String)> {
        let uuid = uuid?;
        Some((uuid, self.known.get(uuid).map_or_else(|| uuid.to_owned(), Known::subject)))
    }

    /// Forgets what was said.
    pub fn say_again(&mut self) {
        for known in self.known.values_mut() {
            known.said = None;
        }
    }
}

impl Known {
    fn new(facts: GpuFacts) -> Self {
        Self { facts, state: GpuState::Ok, reason: String::new(), answered: 0, said: None }
    }

    /// `GPU 3 NVIDIA H200`
    fn subject(&self) -> String {
        let kind = if self.facts.parent.is_some() { "MIG instance" } else { "GPU" };
        format!("{kind} {} {}", self.facts.index, self.facts.name.as_deref().unwrap_or_default()).trim_end().to_owned()
    }

    /// Takes over a state. A GPU that cannot be used any more, and one that can again, are events.
    fn turn(&mut self, state: GpuState, reason: &str, at_ms: i64, change: &mut Change) {
        let unusable = |state| matches!(state, GpuState::Lost | GpuState::ResetRequired);
        let (was, is) = (unusable(self.state), unusable(state));
        self.state = state;
        reason.clone_into(&mut self.reason);
        if was == is || self.facts.parent.is_some() {
            return;
        }
        let (severity, fact) = if is {
            (Severity::Crit, Fact::GpuLost { reason: reason.to_owned() })
        } else {
            (Severity::Info, Fact::GpuBack)
        };
        let (key, subject) = (self.facts.uuid.clone(), self.subject());
        change.events.push(Event { id: Uuid::now_v7(), at_ms, kind: EntityKind::Gpu, key, subject, severity, fact });
    }

    fn document(&self) -> GpuDocument {
        let facts = self.facts.clone();
        let names = GpuSample::METRICS.iter().enumerate();
        let supported =
            names.filter(|(bit, _)| self.answered >> bit & 1 == 1).map(|(_, metric)| metric.name.to_owned());
        GpuDocument {
            uuid: facts.uuid,
            index: facts.index,
            name: facts.name,
            pci_bus_id: facts.pci_bus_id,
            vbios_version: facts.vbios_version,
            serial: facts.serial,
            state: self.state,
            reason: self.reason.clone(),
            persistence_mode: facts.persistence_mode,
            ecc_enabled: facts.ecc_enabled,
            mig_enabled: facts.mig_enabled,
            parent: facts.parent,
            pcie_max_generation: facts.pcie_max_generation,
            pcie_max_width: facts.pcie_max_width,
            max_graphics_clock_megahertz: facts.max_graphics_clock_megahertz,
            max_memory_clock_megahertz: facts.max_memory_clock_megahertz,
            power_limit_default_watts: facts.power_limit_default_watts,
            nvlink_links: facts.nvlink_links,
            supported: supported.collect(),
        }
    }
}

fn document(uuid: &str, observed_ms: i64, body: Option<Body>) -> Document {
    Document { kind: EntityKind::Gpu, key: uuid.to_owned(), observed_ms, body }
}

/// The rows of a reading: those of GPUs that answered, and of the processes on them.
pub fn rows(gpus: Vec<GpuReading>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(gpus.len());
    for gpu in gpus.into_iter().filter(|gpu| gpu.values.len() == GpuSample::METRICS.len()) {
        rows.extend(gpu.processes.iter().map(|process| super::process::row(&gpu.uuid, process)));
        rows.push(Row { kind: EntityKind::Gpu, key: gpu.uuid, values: gpu.values });
    }
    rows
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
