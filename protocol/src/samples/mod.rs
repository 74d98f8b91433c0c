//! The metric catalogue: one noun a file, one line a metric.
//!
//! Each file states a struct of optional numbers; `None` is "the source does not say", never zero.
//! The macro [`sample`] derives from the same lines the struct, its [`Metric`] table and the way
//! into a [`Row`].

mod agent;
mod container;
mod gpu;
mod host;
mod mount;

pub use agent::CollectorSample;
pub use container::ContainerSample;
pub use gpu::{GpuProcessSample, GpuSample};
pub use host::{CoreSample, DiskSample, HostSample, InterfaceSample, SensorSample};
pub use mount::{MountSample, MountState};

use crate::metric::Metric;
use serde::{Deserialize, Serialize};

/// What a row, a document or an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EntityKind {
    /// The host itself; its key is empty.
    Host = 0,
    /// A logical CPU, keyed `cpu0`.
    Core = 1,
    /// A network interface, keyed by name.
    Interface = 2,
    /// A block device, keyed by name.
    Disk = 3,
    /// A temperature sensor, keyed `chip/label`.
    Sensor = 4,
    /// A mount, keyed by mount point.
    Mount = 5,
    /// A GPU or MIG instance, keyed by NVML UUID.
    Gpu = 6,
    /// A process on a GPU, keyed `<gpu uuid>/<pid>`.
    GpuProcess = 7,
    /// A container, keyed by its full id.
    Container = 8,
    /// One of the agent's collectors, keyed by name.
    Collector = 9,
    /// The GPU driver as a whole; its key is empty. It has a document and no metrics.
    GpuDriver = 10,
}

impl EntityKind {
    pub const ALL: [Self; 11] = [
        Self::Host,
        Self::Core,
        Self::Interface,
        Self::Disk,
        Self::Sensor,
        Self::Mount,
        Self::Gpu,
        Self::GpuProcess,
        Self::Container,
        Self::Collector,
        Self::GpuDriver,
    ];

    /// The kind of a wire byte.
    #[must_use]
    pub fn from_wire(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Name in API, tables and pages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Core => "core",
            Self::Interface => "interface",
            Self::Disk => "disk",
            Self::Sensor => "sensor",
            Self::Mount => "mount",
            Self::Gpu => "gpu",
            Self::GpuProcess => "gpu_process",
            Self::Container => "container",
            Self::Collector => "collector",
            Self::GpuDriver => "gpu_driver",
        }
    }

    /// The kind of a name, the inverse of [`EntityKind::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its metrics, in wire and column order. New ones go at the end.
    #[must_use]
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Host => HostSample::METRICS,
            Self::Core => CoreSample::METRICS,
            Self::Interface => InterfaceSample::METRICS,
            Self::Disk => DiskSample::METRICS,
            Self::Sensor => SensorSample::METRICS,
            Self::Mount => MountSample::METRICS,
            Self::Gpu => GpuSample::METRICS,
            Self::GpuProcess => GpuProcessSample::METRICS,
            Self::Container => ContainerSample::METRICS,
            Self::Collector => CollectorSample::METRICS,
            Self::GpuDriver => &[],
        }
    }
}

/// The numbers of one entity at one tick; `values` follow [`EntityKind::metrics`].
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub kind: EntityKind,
    pub key: String,
    pub values: Vec<Option<f64>>,
}

/// A struct of optional numbers that belongs to the catalogue.
pub trait Sample {
    const KIND: EntityKind;
    const METRICS: &'static [Metric];

    /// The numbers in catalogue order.
    fn values(&self) -> Vec<Option<f64>>;

    /// The row of the entity `key`.
    fn row(&self, key: impl Into<String>) -> Row
    where
        Self: Sized,
    {
        Row { kind: Self::KIND, key: key.into(), values: self.values() }
    }
}

/// States one kind of sample: `name: unit, column, resolution, "help" [, prometheus name];`.
macro_rules! sample {
    (
        $(#[$doc:meta])* $struct:ident is $kind:ident {
            $($name:ident: $unit:ident, $column:ident, $resolution:expr, $help:literal $(, $prometheus:literal)?;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub struct $struct {
            $(#[doc = $help] pub $name: Option<f64>,)*
        }

        impl $crate::samples::Sample for $struct {
            const KIND: $crate::samples::EntityKind = $crate::samples::EntityKind::$kind;
            const METRICS: &'static [$crate::metric::Metric] = &[
                $($crate::metric::Metric {
                    name: stringify!($name),
                    unit: $crate::metric::Unit::$unit,
                    column: $crate::metric::Column::$column,
                    resolution: $resolution,
                    help: $help,
                    prometheus: $crate::samples::first(&[$($prometheus)?]),
                },)*
            ];

            fn values(&self) -> Vec<Option<f64>> {
                vec![$(self.$name,)*]
            }
        }
    };
}
pub(crate) use sample;

const fn first(names: &[&'static str]) -> Option<&'static str> {
    if names.is_empty() { None } else { Some(names[0]) }
}

/// Resolutions that recur.
mod resolution {
    use crate::metric::Resolution;

    /// Counts, states and exact bytes.
    pub const ONE: Resolution = Resolution::Step(1.0);
    pub const TENTH: Resolution = Resolution::Step(0.1);
    pub const MEBIBYTE: Resolution = Resolution::Step(1_048_576.0);
    /// Rates of bytes or operations: three digits.
    pub const RATE: Resolution = Resolution::Digits { digits: 3, unit: 1.0 };
    /// Rates that are often below one.
    pub const SMALL_RATE: Resolution = Resolution::Digits { digits: 3, unit: 0.01 };
    /// CPU shares: 0.01 % below 10 %, 0.1 % below 100 %.
    pub const SHARE: Resolution = Resolution::Digits { digits: 3, unit: 0.01 };
    /// Memory of a host or container: four digits, never finer than a page.
    pub const MEMORY: Resolution = Resolution::Digits { digits: 4, unit: 4096.0 };
    /// Durations: microseconds, three digits.
    pub const DURATION: Resolution = Resolution::Digits { digits: 3, unit: 1e-6 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_kinds_are_stable() {
        for (index, kind) in EntityKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "wire numbers never move");
            assert_eq!(EntityKind::from_name(kind.name()), Some(kind));
            let names: HashSet<_> = kind.metrics().iter().map(|metric| metric.name).collect();
            assert_eq!(names.len(), kind.metrics().len(), "{}", kind.name());
        }
    }
}
