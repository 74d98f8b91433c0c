//! The tables through which the samples of one kind grow old (migrations/0030), and how each is
//! partitioned.

use super::partitions::HOUR_MS;
use super::tables::HotTable;

pub const MINUTE_MS: i64 = 60_000;
pub const QUARTER_MS: i64 = 15 * MINUTE_MS;
/// What one row of minutes spans: an hour of them is too short for TOAST to compress it well.
pub const HALF_DAY_MS: i64 = 12 * HOUR_MS;

/// A partitioned table of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    Hot,
    Packed,
    Minute,
    Quarter,
}

impl Tier {
    pub const ALL: [Self; 4] = [Self::Hot, Self::Packed, Self::Minute, Self::Quarter];

    fn suffix(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Packed => "packed",
            Self::Minute => "minute",
            Self::Quarter => "quarter",
        }
    }

    /// Hours of one partition: a tier keeps some dozens of them.
    #[must_use]
    pub fn hours(self) -> i64 {
        match self {
            Self::Hot => 1,
            Self::Packed => 24,
            Self::Minute => 7 * 24,
            Self::Quarter => 30 * 24,
        }
    }

    /// First hour of the partition that holds `hour`.
    #[must_use]
    pub fn begin(self, hour: i64) -> i64 {
        hour.div_euclid(self.hours()) * self.hours()
    }

    /// The table of a kind.
    #[must_use]
    pub fn table(self, of: &HotTable) -> String {
        format!("{}_{}", of.kind.name(), self.suffix())
    }
}

/// Quarters of all entities of a kind together. Not partitioned: two years are 70,000 rows.
#[must_use]
pub fn fleet(of: &HotTable) -> String {
    format!("{}_fleet", of.kind.name())
}

/// Where rows wait whose hour was closed before they came.
#[must_use]
pub fn late(of: &HotTable) -> String {
    format!("{}_late", of.kind.name())
}
