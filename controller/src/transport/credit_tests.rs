use super::*;
use std::time::Duration;

const EPOCH: Uuid = Uuid::nil();
const SOON: Duration = Duration::from_millis(1);

async fn granted(account: &Account) -> u64 {
    timeout(SOON, account.granted()).await.unwrap_or(0)
}

/// Batches with numbers from `first` on that use up `rows`; returns their last number.
fn came(account: &Account, first: u64, rows: u64) -> u64 {
    let each = 100;
    let last = first + rows.div_ceil(each) - 1;
    (first..=last).for_each(|seq| account.came(EPOCH, seq, each as usize));
    last
}

fn stored(account: &Account, first: u64, last: u64) {
    account.stored(&[Stored { epoch: EPOCH, first, last }]);
}

fn out(credits: &Credits) -> u64 {
    credits.lock().shares.values().map(Share::out).sum()
}

#[tokio::test(start_paused = true)]
async fn one_alone_gets_all_the_room_and_more_as_its_batches_are_stored() {
    let credits = Credits::default();
    let account = credits.account();
    assert_eq!(granted(&account).await, 0, "it has not asked");
    account.asks(17_280);
    assert_eq!(granted(&account).await, HISTORY_ROWS);
    let last = came(&account, 1, HISTORY_ROWS);
    assert_eq!(granted(&account).await, 0);
    stored(&account, 1, last / 2);
    assert_eq!(granted(&account).await, HISTORY_ROWS / 2);
    stored(&account, 1, last / 2);
    assert_eq!(granted(&account).await, 0, "stored again is nothing new");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_stands_still_gets_no_more() {
    let credits = Credits::default();
    let account = credits.account();
    account.asks(17_280);
    came(&account, 1, granted(&account).await);
    for _ in 0..20 {
        account.asks(17_280);
        assert!(timeout(CREDIT_UNUSED, account.granted()).await.is_err());
    }
    assert_eq!(out(&credits), HISTORY_ROWS);
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_gets_less_and_a_fast_one_more_again() {
    let credits = Credits::default();
    let account = credits.account();
    account.asks(u64::MAX);
    let mut first = 1;
    let mut grants = Vec::new();
    for slow in [true; 8].into_iter().chain([false; 40]) {
        let rows = granted(&account).await;
        grants.push(rows);
        let last = came(&account, first, rows);
        tokio::time::advance(if slow { HISTORY_SLOW } else { HISTORY_SLOW / 10 }).await;
        stored(&account, first, last);
        first = last + 1;
    }
    assert_eq!(grants[..3], [HISTORY_ROWS, HISTORY_ROWS / 2, HISTORY_ROWS / 4]);
    assert_eq!(grants[8], HISTORY_GRANT_ROWS, "never nothing: {grants:?}");
    assert!(grants[47] > HISTORY_ROWS * 9 / 10, "{grants:?}");
}

#[tokio::test(start_paused = true)]
async fn fifty_take_turns_within_the_room() {
    let credits = Credits::default();
    let accounts: Vec<Account> = (0..50).map(|_| credits.account()).collect();
    accounts.iter().for_each(|account| account.asks(1_000));
    let mut sent = vec![(1, 0); accounts.len()];
    for _ in 0..200 {
        for (account, (first, rows)) in accounts.iter().zip(&mut sent) {
            let granted = granted(account).await;
            assert!(out(&credits) <= HISTORY_ROWS);
            let last = if granted > 0 { came(account, *first, granted) } else { *first - 1 };
            stored(account, *first, last);
            (*first, *rows) = (last + 1, *rows + granted);
        }
    }
    let (least, most) = (sent.iter().map(|(_, rows)| *rows).min(), sent.iter().map(|(_, rows)| *rows).max());
    assert!(least > Some(HISTORY_ROWS) && most < least.map(|least| least * 3 / 2), "{least:?} to {most:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_or_leaves_credit_unused_gives_it_back() {
    let credits = Credits::default();
    let (gone, idle) = (credits.account(), credits.account());
    gone.asks(9);
    came(&gone, 1, granted(&gone).await);
    idle.asks(9);
    assert_eq!(granted(&idle).await, 0);
    drop(gone);
    assert_eq!(granted(&idle).await, HISTORY_ROWS);
    let third = credits.account();
    third.asks(9);
    assert_eq!(granted(&third).await, 0);
    let since = Instant::now();
    assert_eq!(timeout(CREDIT_UNUSED * 2, third.granted()).await, Ok(HISTORY_ROWS));
    assert!(since.elapsed() <= CREDIT_UNUSED + CREDIT_LOOK);
    third.asks(0);
    idle.asks(9);
    assert_eq!(granted(&idle).await, HISTORY_ROWS, "what is not needed any more comes back at once");
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_again_after_a_silence_gets_credit_without_asking() {
    let credits = Credits::default();
    let account = credits.account();
    account.asks(9);
    assert_eq!(granted(&account).await, HISTORY_ROWS);
    tokio::time::advance(CREDIT_UNUSED + CREDIT_LOOK).await;
    assert_eq!((granted(&account).await, out(&credits)), (0, 0), "it is free for others");
    let last = came(&account, 1, HISTORY_ROWS);
    assert_eq!((granted(&account).await, out(&credits)), (0, HISTORY_ROWS));
    stored(&account, 1, last);
    assert_eq!(granted(&account).await, HISTORY_ROWS);
    assert_eq!((granted(&account).await, out(&credits)), (0, HISTORY_ROWS), "what came late is no debt");

    tokio::time::advance(CREDIT_UNUSED + CREDIT_LOOK).await;
    assert_eq!(granted(&account).await, 0);
    account.asks(0);
    let first = last + 1;
    let last = came(&account, first, HISTORY_ROWS);
    stored(&account, first, last);
    assert_eq!((granted(&account).await, out(&credits)), (0, 0), "it has no more");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_on_and_sends_nothing_keeps_no_credit() {
    let credits = Credits::default();
    let (idle, other) = (credits.account(), credits.account());
    idle.asks(9);
    assert_eq!(granted(&idle).await, HISTORY_ROWS);
    other.asks(9);
    let since = Instant::now();
    while since.elapsed() <= CREDIT_UNUSED + CREDIT_LOOK {
        idle.asks(9);
        tokio::time::advance(CREDIT_LOOK).await;
    }
    assert_eq!(granted(&other).await, HISTORY_ROWS);
}
