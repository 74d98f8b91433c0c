//! The views, and each query of the example dashboard, over what is hot, late and packed.

use crate::packing::HOUR_MS;
use crate::{Agent, Fixture, NOW_MS, gpu_row, host_row};
use fleetlight_controller::store::flush::Data;
use fleetlight_protocol::samples::{ContainerSample, MountSample, Sample};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::BTreeSet;

const DASHBOARD: &str = include_str!("../../../examples/grafana/fleetlight.json");

/// Three hours of one host up to [`NOW_MS`], the first two packed.
async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    let agent = Agent::new(fixture.host("alpha").await);
    let mut batches = Vec::new();
    for tick in 0..360_u64 {
        let mut rows = vec![host_row(tick as f64), gpu_row("GPU-0", tick as f64)];
        rows.push(
            MountSample {
                total_bytes: Some(1e12),
                used_bytes: Some(4e11),
                available_bytes: Some(5e11),
                ..Default::default()
            }
            .row("/"),
        );
        rows.push(
            ContainerSample { memory_used_bytes: Some(4e9), cpu_percent: Some(50.0), ..Default::default() }
                .row("c0ffee"),
        );
        let tick_ms = NOW_MS - 3 * HOUR_MS + (tick as i64 + 1) * 30_000;
        batches.push(agent.batch(tick, Data::Samples { tick_ms, rows }));
    }
    fixture.flush(&batches).await;
    fixture.store.compact(NOW_MS - HOUR_MS + 400_000).await.expect("compacts");
    fixture
}

/// What Grafana makes of a query: macros are text, times are quoted.
fn expanded(sql: &str) -> String {
    let time = |ms: i64| format!("'{}'", jiff::Timestamp::from_millisecond(ms).expect("a time"));
    sql.replace("$__timeFrom()", &time(NOW_MS - 3 * HOUR_MS))
        .replace("$__timeTo()", &time(NOW_MS + 1))
        .replace("$__interval_ms", "60000")
        .replace("$host", "'alpha','beta'")
}

#[tokio::test]
async fn each_query_of_the_dashboard_answers() {
    let fixture = fixture().await;
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let mut queries: Vec<(String, String)> = variables
        .iter()
        .filter(|variable| variable["type"] == "query")
        .map(|variable| ("variable".to_owned(), variable["query"].as_str().expect("SQL").to_owned()))
        .collect();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let sql = expanded(target["rawSql"].as_str().expect("SQL"));
            assert!(!sql.contains('$'), "a macro that this test does not know: {sql}");
            queries.push((panel["title"].as_str().expect("a title").to_owned(), sql));
        }
    }
    assert!(queries.len() > 8);
    for (title, sql) in queries {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.clone())).fetch_all(&fixture.pool).await;
        let rows = rows.unwrap_or_else(|error| panic!("{title}: {error}\n{sql}"));
        assert!(!rows.is_empty(), "{title} shows nothing:\n{sql}");
        // A column that Grafana draws over time is named so.
        if title != "variable" && sql.contains("as time") {
            assert!(rows[0].try_get_raw("time").is_ok(), "{title}");
        }
    }
}

/// The partitions that a plan of a query touches.
async fn opened(fixture: &Fixture, from: &str) -> BTreeSet<String> {
    let sql = format!("explain select * from {from}");
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&fixture.pool).await.expect("a plan");
    let words = plan.iter().flat_map(|line| line.split_whitespace());
    let part = |word: &&str| word.rsplit_once('_').is_some_and(|(_, end)| end.len() == 10 && end.starts_with("20"));
    words.filter(part).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_day_opens_only_the_partitions_of_its_time() {
    let fixture = fixture().await;
    for days in [-9, -1, 0, 1, 8] {
        fixture.store.upkeep(NOW_MS + days * 24 * HOUR_MS).await.expect("makes partitions");
    }
    for noun in ["host", "gpu", "mount", "container"] {
        let day = format!("{noun}_samples('2025-11-20T09:00:00Z', '2025-11-21T09:00:00Z')");
        // Hot hours that are there: of the day before the day of the fixture, and its last, open one.
        let hot = ["2025112009", "2025112010", "2025112011", "2025112012", "2025112108"]
            .map(|hour| format!("{noun}_hot_{hour}"));
        let packed = ["2025112000", "2025112100"].map(|day| format!("{noun}_packed_{day}"));
        let expected: BTreeSet<String> = hot.into_iter().chain(packed).collect();
        assert_eq!(opened(&fixture, &day).await, expected, "{noun}: the function leaves other times out");
        assert_eq!(opened(&fixture, &format!("{day} where host = 'alpha'")).await, expected, "{noun}");
        let all = opened(&fixture, &format!("{noun}_samples where ts < '2025-11-21T09:00:00Z'")).await;
        assert!(all.contains(&format!("{noun}_packed_2025112900")), "by time of the samples alone none is left out");
    }
}
