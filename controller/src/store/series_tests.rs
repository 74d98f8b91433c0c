use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_grid_covers_its_range_in_few_whole_intervals(
        from_ms in 0..2_000_000_000_000_i64, range_ms in 1..10_000_000_000_i64,
        buckets in 1..3_000_usize, interval_ms in prop_oneof![Just(1_000_i64), Just(5_000), 1..60_000_i64],
    ) {
        let grid = Grid::new(from_ms, from_ms + range_ms, buckets, interval_ms);
        prop_assert!(grid.from_ms <= from_ms && grid.from_ms + grid.step_ms > from_ms);
        prop_assert!(grid.to_ms() >= from_ms + range_ms && grid.to_ms() - grid.step_ms < from_ms + range_ms);
        prop_assert!(grid.buckets <= buckets.clamp(2, SERIES_BUCKETS), "{grid:?}");
        prop_assert!(grid.step_ms >= interval_ms && grid.step_ms % interval_ms == 0);
        prop_assert_eq!(grid.from_ms % grid.step_ms, 0, "a grid that does not move");
    }
}

fn query(metrics: &[&str]) -> SeriesQuery {
    SeriesQuery {
        host_id: 1,
        kind: EntityKind::Gpu,
        metrics: metrics.iter().map(|name| (*name).to_owned()).collect(),
        keys: None,
        from_ms: 0,
        to_ms: 1,
        buckets: 10,
    }
}

#[test]
fn only_names_of_the_catalogue_become_sql() {
    assert_eq!(known_metrics(&query(&["power_watts", "power_watts"])).expect("known"), ["power_watts"]);
    let refused = known_metrics(&query(&["power_watts; drop table hosts"])).expect_err("unknown");
    assert!(refused.to_string().contains("catalogue"), "{refused}");
    assert!(known_metrics(&query(&[])).is_err());
    assert!(known_metrics(&SeriesQuery { from_ms: 1, ..query(&["power_watts"]) }).is_err());
    assert!(known_metrics(&SeriesQuery { to_ms: i64::MAX, ..query(&["power_watts"]) }).is_err());
}
