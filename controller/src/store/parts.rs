//! Averages in the making: what the rows of [`super::pieces`] add to each bucket of a chart.

use super::arrays::{Elements, elements};
use super::grid::{Grid, Source};
use super::pieces::{BUCKET, CHUNK, COVERED, FIRST, GROUP, LENGTH, PARTS, SKIPPED, STEP};
use super::series::{Line, SeriesError};
use super::{StoreError, doing};
use crate::limits::SERIES_ROWS;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// One metric in one bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    sum: f64,
    weight: f64,
    ends: Option<(f64, f64)>,
}

impl Part {
    fn add(&mut self, avg: f64, weight: f64, min: f64, max: f64) {
        self.sum += avg * weight;
        self.weight += weight;
        self.ends = Some(self.ends.map_or((min, max), |(least, most)| (least.min(min), most.max(max))));
    }

    fn avg(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// One entity, or the fleet: a part for each metric and bucket.
#[derive(Debug)]
struct Group {
    parts: Vec<Part>,
}

/// All that was read so far.
#[derive(Debug)]
pub struct Parts {
    grid: Grid,
    metrics: usize,
    interval_s: Option<f64>,
    groups: HashMap<i32, Group>,
}

impl Parts {
    pub fn new(grid: Grid, metrics: usize, interval_s: Option<f64>) -> Self {
        Self { grid, metrics, interval_s, groups: HashMap::new() }
    }

    /// Takes in a row of [`super::pieces::pieces`].
    ///
    /// # Errors
    /// With its group there are more than [`SERIES_ROWS`] points; or it is none of those rows.
    pub fn add(&mut self, row: &PgRow) -> Result<(), SeriesError> {
        let group: i32 = row.get(GROUP);
        match row.get::<Option<i32>, _>(BUCKET) {
            Some(bucket) => self.add_bucket(group, bucket, &row.get::<Vec<Option<f64>>, _>(PARTS)),
            None => self.add_chunk(group, row),
        }
    }

    /// Sum, weight, least and greatest of each metric.
    fn add_bucket(&mut self, group: i32, bucket: i32, parts: &[Option<f64>]) -> Result<(), SeriesError> {
        let Some(bucket) = usize::try_from(bucket).ok().filter(|bucket| *bucket < self.grid.buckets) else {
            return Ok(());
        };
        let buckets = self.grid.buckets;
        let group = self.group(group)?;
        for (metric, part) in parts.chunks_exact(4).enumerate() {
            if let [Some(sum), Some(weight), Some(min), Some(max)] = part
                && let Some(target) = group.parts.get_mut(metric * buckets + bucket)
                && *weight > 0.0
            {
                target.add(sum / weight, *weight, *min, *max);
            }
        }
        Ok(())
    }

    fn add_chunk(&mut self, group: i32, row: &PgRow) -> Result<(), SeriesError> {
        let times = self.times(row)?;
        let places: Vec<usize> = times.iter().map(|at_ms| self.place(*at_ms)).collect();
        if places.iter().all(|place| *place >= self.grid.buckets) {
            return Ok(());
        }
        let raw = row.try_get_raw(COVERED).map_err(doing("reading a series"))?;
        let (is_raw, minutes) = (sqlx::ValueRef::is_null(&raw), self.grid.source == Source::Minutes);
        let (metrics, buckets, width) = (self.metrics, self.grid.buckets, if minutes { 4 } else { 1 });
        let weights = match self.interval_s {
            _ if !is_raw => Vec::new(),
            Some(interval_s) => vec![if minutes { interval_s } else { 1.0 }; times.len()],
            None => weights(&times, self.grid.longest_ms()),
        };
        let group = self.group(group)?;
        for (metric, parts) in group.parts.chunks_exact_mut(buckets).enumerate().take(metrics) {
            let column = CHUNK + metric * width;
            if is_raw {
                let Some(values) = elements(row, column)? else { continue };
                add_values(parts, &places, values, &weights);
            } else {
                let ends = [elements(row, column + 1)?, elements(row, column + 2)?, elements(row, column + 3)?];
                let (Some(covered), [Some(avg), Some(min), Some(max)]) = (elements(row, COVERED)?, ends) else {
                    continue;
                };
                add_minutes(parts, &places, covered, avg.zip(min.zip(max)));
            }
        }
        Ok(())
    }

    /// When each value of a chunk was taken, since the chart's begin.
    fn times(&self, row: &PgRow) -> Result<Vec<i64>, StoreError> {
        let (first_ms, step_ms, length): (i64, i32, i32) = (row.get(FIRST), row.get(STEP), row.get(LENGTH));
        let mut skipped = elements(row, SKIPPED)?;
        let time = |number: i64| {
            let skipped = skipped.as_mut().and_then(Iterator::next).flatten().unwrap_or(0.0) as i64;
            first_ms + (number + skipped) * i64::from(step_ms) - self.grid.from_ms
        };
        Ok((0..i64::from(length)).map(time).collect())
    }

    /// The bucket of a time; beyond the last for those outside the chart.
    fn place(&self, at_ms: i64) -> usize {
        usize::try_from(at_ms.div_euclid(self.grid.step_ms)).unwrap_or(usize::MAX)
    }

    /// Of a group that has all its points from its first row on: the bound is looked at before there is memory for it.
    fn group(&mut self, group: i32) -> Result<&mut Group, SeriesError> {
        let (points, groups) = (self.metrics * self.grid.buckets, self.groups.len());
        match self.groups.entry(group) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(_) if (groups + 1) * points > SERIES_ROWS => Err(SeriesError::Question(format!(
                "more than {SERIES_ROWS} points: ask for fewer keys, fewer buckets or a shorter time"
            ))),
            Entry::Vacant(new) => Ok(new.insert(Group { parts: vec![Part::default(); points] })),
        }
    }

    /// The lines of a group; none of one without rows.
    pub fn lines(&self, group: i32, key: &str, metrics: &[&'static str]) -> Vec<Line> {
        let Some(group) = self.groups.get(&group) else { return Vec::new() };
        let line = |(metric, parts): (&&'static str, &[Part])| Line {
            key: key.to_owned(),
            metric,
            avg: parts.iter().map(Part::avg).collect(),
            min: parts.iter().map(|part| part.ends.map(|(least, _)| least)).collect(),
            max: parts.iter().map(|part| part.ends.map(|(_, most)| most)).collect(),
        };
        metrics.iter().zip(group.parts.chunks_exact(self.grid.buckets)).map(line).collect()
    }
}

/// Seconds for which each value of a chunk speaks, as in chunks.rs: to its nearer neighbour, at most `longest_ms`.
fn weights(times: &[i64], longest_ms: i64) -> Vec<f64> {
    let gap = |later: usize| Some(times.get(later)? - times.get(later.checked_sub(1)?)?);
    let weight = |place| [gap(place), gap(place + 1)].into_iter().flatten().fold(longest_ms, i64::min).max(1);
    (0..times.len()).map(|place| weight(place) as f64 / 1_000.0).collect()
}

fn add_values(parts: &mut [Part], places: &[usize], values: Elements<'_>, weights: &[f64]) {
    for ((place, weight), value) in places.iter().zip(weights).zip(values) {
        if let (Some(part), Some(value)) = (parts.get_mut(*place), value) {
            part.add(value, *weight, value, value);
        }
    }
}

type Ends = (Option<f64>, (Option<f64>, Option<f64>));

fn add_minutes(parts: &mut [Part], places: &[usize], covered: Elements<'_>, minutes: impl Iterator<Item = Ends>) {
    for ((place, covered), minute) in places.iter().zip(covered).zip(minutes) {
        let (Some(part), Some(covered)) = (parts.get_mut(*place), covered) else { continue };
        if let (Some(avg), (Some(min), Some(max))) = minute {
            part.add(avg, covered, min, max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_count_when_a_group_is_made_however_few_rows_it_has() {
        let grid = Grid::new(0, 6_000_000, 1_200, 5_000, Source::Samples);
        let mut parts = Parts::new(grid, 9, Some(5.0));
        let most = SERIES_ROWS / (9 * grid.buckets);
        let one = [Some(1.0); 36];
        for group in 0..20_000 {
            let added = parts.add_bucket(group, 0, &one);
            assert_eq!(added.is_ok(), group < most as i32, "group {group}");
            if let Err(error) = added {
                assert!(error.to_string().contains("points: ask for fewer keys"), "{error}");
            }
        }
        assert_eq!(parts.groups.len(), most);
        assert!(parts.add_bucket(0, 1_199, &one).is_ok(), "those that are there go on");
    }
}
