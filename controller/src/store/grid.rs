//! The buckets of a question: on a grid that does not move with it, so that a chart that slides on
//! keeps its buckets.

use super::tiers::{MINUTE_MS, QUARTER_MS};
use crate::limits::SERIES_BUCKETS;
use schemars::JsonSchema;
use serde::Serialize;

/// Which rollup is as good as the samples themselves for buckets of a width. What is not rolled up yet comes from
/// samples all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    #[serde(rename = "raw")]
    Samples,
    Minutes,
    Quarters,
}

impl Source {
    fn unit_ms(self) -> i64 {
        match self {
            Self::Samples => 1,
            Self::Minutes => MINUTE_MS,
            Self::Quarters => QUARTER_MS,
        }
    }
}

/// Whole multiples of the sampling interval, of a minute, or of 15: the coarsest that buckets of
/// this width consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub from_ms: i64,
    pub step_ms: i64,
    pub buckets: usize,
    pub source: Source,
}

impl Grid {
    /// `finest` is what still exists at `from_ms`.
    pub fn new(from_ms: i64, to_ms: i64, buckets: usize, interval_ms: i64, finest: Source) -> Self {
        // A range that lies across the grid's lines needs one bucket more than its length does.
        let whole = (buckets.clamp(2, SERIES_BUCKETS) - 1) as i64;
        let interval_ms = interval_ms.max(1);
        let intervals = (to_ms - from_ms + interval_ms - 1) / interval_ms;
        let least_ms = (interval_ms * ((intervals + whole - 1) / whole).max(1)).max(finest.unit_ms());
        let source = [Source::Quarters, Source::Minutes, Source::Samples]
            .into_iter()
            .find(|source| least_ms >= source.unit_ms())
            .unwrap_or(Source::Samples);
        let unit_ms = source.unit_ms();
        let step_ms = (least_ms + unit_ms - 1) / unit_ms * unit_ms;
        let (from_ms, buckets) = span(from_ms, to_ms, step_ms);
        Self { from_ms, step_ms, buckets: buckets as usize, source }
    }

    pub fn to_ms(self) -> i64 {
        self.from_ms + self.step_ms * self.buckets as i64
    }

    /// The most that one sample stands for where hosts differ: as in rollups, and never longer than a bucket.
    pub fn longest_ms(self) -> i64 {
        self.step_ms.min(MINUTE_MS)
    }

    pub fn times(self) -> Vec<i64> {
        (0..self.buckets as i64).map(|bucket| self.from_ms + bucket * self.step_ms).collect()
    }
}

/// First grid point and number of buckets that cover a range.
fn span(from_ms: i64, to_ms: i64, step_ms: i64) -> (i64, i64) {
    let first = from_ms.div_euclid(step_ms);
    (first * step_ms, (to_ms - 1).div_euclid(step_ms) - first + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_grid_covers_its_range_in_few_whole_intervals(
            from_ms in 0..2_000_000_000_000_i64, range_ms in 1..10_000_000_000_i64,
            buckets in 1..3_000_usize, interval_ms in prop_oneof![Just(1_000_i64), Just(5_000), 1..60_000_i64],
            finest in prop_oneof![Just(Source::Samples), Just(Source::Minutes), Just(Source::Quarters)],
        ) {
            let grid = Grid::new(from_ms, from_ms + range_ms, buckets, interval_ms, finest);
            prop_assert!(grid.from_ms <= from_ms && grid.from_ms + grid.step_ms > from_ms);
            prop_assert!(grid.to_ms() >= from_ms + range_ms && grid.to_ms() - grid.step_ms < from_ms + range_ms);
            prop_assert!(grid.buckets <= buckets.clamp(2, SERIES_BUCKETS), "{grid:?}");
            prop_assert_eq!(grid.from_ms % grid.step_ms, 0, "a grid that does not move");
            prop_assert!(grid.source >= finest);
            prop_assert!(grid.step_ms >= interval_ms);
            prop_assert_eq!(grid.step_ms % grid.source.unit_ms(), 0, "rollups fall into one bucket each");
            if grid.source == Source::Samples {
                prop_assert_eq!(grid.step_ms % interval_ms, 0);
            }
        }
    }

    #[test]
    fn the_coarsest_sufficient_source_answers() {
        let hours = |hours: i64| Grid::new(0, hours * 3_600_000, 1_200, 5_000, Source::Samples);
        assert_eq!((hours(1).step_ms, hours(1).source), (5_000, Source::Samples));
        assert_eq!((hours(24).step_ms, hours(24).source), (120_000, Source::Minutes));
        assert_eq!((hours(24 * 30).step_ms, hours(24 * 30).source), (2_700_000, Source::Quarters));
        let old = Grid::new(0, 3_600_000, 1_200, 5_000, Source::Minutes);
        assert_eq!((old.step_ms, old.source), (60_000, Source::Minutes));
    }
}
