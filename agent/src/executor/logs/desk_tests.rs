use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn line(source: u16, at_ms: i64, text: &str) -> LogLine {
    LogLine { source, at_ms: Some(at_ms), level: None, text: text.into() }
}

fn seen(batch: &Batch) -> Vec<String> {
    let mut seen = Vec::new();
    for report in &batch.reports {
        match report {
            LogsReport::Lines(lines) => seen.extend(lines.iter().map(|line| line.text.clone())),
            LogsReport::Dropped { source, lines } => seen.push(format!("-{source}:{lines}")),
            LogsReport::Live => seen.push("live".into()),
            LogsReport::Problem { source, message } => seen.push(format!("!{source}:{message}")),
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn the_past_is_merged_by_time_and_then_lines_are_live() {
    let (desk, outlets) = Desk::new(2);
    let [a, b] = &outlets[..] else { panic!("two") };
    a.lines([line(0, 1, "a1"), line(0, 4, "a4")]).await.unwrap();
    a.present();
    a.lines([line(0, 9, "a9")]).await.unwrap();
    assert!(timeout_at(Instant::now() + Duration::from_secs(1), desk.next()).await.is_err(), "b has said nothing yet");
    b.lines([line(1, 2, "b2"), line(1, 5, "b5")]).await.unwrap();
    b.present();
    assert_eq!(seen(&desk.next().await.unwrap()), ["a1", "b2", "a4", "b5", "live"]);
    assert_eq!(seen(&desk.next().await.unwrap()), ["a9"]);
    drop(outlets);
    assert!(desk.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_holds_nobody_up_for_long() {
    let (desk, outlets) = Desk::new(3);
    outlets[0].lines([line(0, 1, "a")]).await.unwrap();
    outlets[0].present();
    outlets[1].problem("is not there");
    outlets[1].present();
    let began = Instant::now();
    assert_eq!(seen(&desk.next().await.unwrap()), ["!1:is not there", "a", "live"]);
    assert_eq!(began.elapsed(), LOG_PAST_WAIT);
    outlets[2].lines([line(2, 0, "late")]).await.unwrap();
    assert_eq!(seen(&desk.next().await.unwrap()), ["late"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_counts_as_told() {
    let (desk, mut outlets) = Desk::new(2);
    outlets[1].problem("no");
    outlets.pop();
    outlets[0].present();
    assert_eq!(seen(&desk.next().await.unwrap()), ["!1:no", "live"]);
}

fn fat(at_ms: i64) -> LogLine {
    line(0, at_ms, &"x".repeat(64 * 1024))
}

#[tokio::test(start_paused = true)]
async fn the_past_waits_for_its_reader_and_loses_nothing() {
    let (desk, mut outlets) = Desk::new(1);
    let outlet = outlets.remove(0);
    let told = tokio::spawn(async move {
        outlet.lines((0..200).map(fat)).await.unwrap();
    });
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!told.is_finished() && desk.0.lock().slots[0].bytes <= LOG_QUEUE_BYTES);
    let mut lines = 0;
    while let Some(batch) = desk.next().await {
        lines += seen(&batch).iter().filter(|text| text.starts_with('x')).count();
    }
    assert_eq!(lines, 200);
}

#[tokio::test(start_paused = true)]
async fn live_lines_wait_for_a_while_and_are_counted_where_they_are_missing() {
    let (desk, mut outlets) = Desk::new(2);
    outlets[0].present();
    outlets[1].present();
    assert_eq!(seen(&desk.next().await.unwrap()), ["live"]);
    let (other, slow) = (outlets.remove(1), outlets.remove(0));
    let began = Instant::now();
    slow.lines((0..100).map(fat)).await.unwrap();
    assert_eq!(began.elapsed(), LOG_PATIENCE, "once, not for each line");
    other.lines([line(1, 1, "other")]).await.unwrap();
    let mut all = Vec::new();
    while let Ok(Some(batch)) = timeout_at(Instant::now(), desk.next()).await {
        all.extend(seen(&batch));
    }
    let kept = all.iter().filter(|text| text.starts_with('x')).count();
    assert_eq!(all.iter().filter(|text| **text == "other").count(), 1, "nobody else loses anything");
    assert_eq!(all.last().unwrap(), &format!("-0:{}", 100 - kept));
    slow.lines([line(0, 200, "next")]).await.unwrap();
    assert_eq!(seen(&desk.next().await.unwrap()), ["next"]);
}

/// Lines of a file have no times, and so are older than all others; those of a container that says more than is read get
/// ever older. Neither may keep the others from being told.
#[tokio::test(start_paused = true)]
async fn one_that_never_stops_hides_nobody_elses_lines() {
    for flood_ms in [None, Some(1)] {
        let (desk, outlets) = Desk::new(3);
        outlets.iter().for_each(Outlet::present);
        assert_eq!(seen(&desk.next().await.unwrap()), ["live"]);
        let [flood, quiet, other] = &outlets[..] else { panic!("three") };
        let fill = async || {
            let lines = (0..1_000).map(|_| LogLine { at_ms: flood_ms, ..line(0, 0, &"x".repeat(1_024)) });
            let _ = timeout_at(Instant::now(), flood.lines(lines)).await;
        };
        fill().await;
        quiet.lines([line(1, 9_000, "quiet")]).await.unwrap();
        other.lines((0..200).map(|at| line(2, 8_000 + at, &"o".repeat(1_024)))).await.unwrap();
        let mut all = Vec::new();
        for _ in 0..8 {
            all.extend(seen(&desk.next().await.unwrap()));
            fill().await;
        }
        let count = |begin: &str| all.iter().filter(|text| text.starts_with(begin)).count();
        assert_eq!((count("quiet"), count("-")), (1, 0), "{flood_ms:?}");
        assert!(count("o") > 100 && count("x") > 100, "{flood_ms:?}: {} and {}", count("o"), count("x"));
    }
}

#[tokio::test]
async fn sources_hear_that_nobody_reads_any_more() {
    let (desk, outlets) = Desk::new(1);
    drop(desk);
    assert!(outlets[0].is_gone());
    assert!(outlets[0].lines([line(0, 1, "x")]).await.is_err());
}

proptest! {
    /// Whatever comes and is taken when: each line is told or counted, in order, and each count stands where they would.
    #[test]
    fn lines_told_and_counted_are_all_lines(steps in proptest::collection::vec(0_u8..20, 1..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (desk, mut outlets) = Desk::new(1);
            let outlet = outlets.remove(0);
            outlet.present();
            let (mut sent, mut due) = (0_i64, 0_i64);
            let mut check = |batch: Batch| {
                for report in batch.reports {
                    match report {
                        LogsReport::Lines(lines) => for line in lines {
                            assert_eq!(line.at_ms, Some(due));
                            due += 1;
                        },
                        LogsReport::Dropped { lines, .. } => due += lines as i64,
                        _ => {}
                    }
                }
            };
            check(desk.next().await.unwrap());
            for step in steps {
                if step < 4 {
                    if let Ok(Some(batch)) = timeout_at(Instant::now(), desk.next()).await {
                        check(batch);
                    }
                } else {
                    outlet.lines((0..i64::from(step)).map(|more| fat(sent + more))).await.unwrap();
                    sent += i64::from(step);
                }
            }
            drop(outlet);
            while let Some(batch) = desk.next().await {
                check(batch);
            }
            assert_eq!(due, sent);
        });
    }
}
