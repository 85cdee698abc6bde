//! How long a token serves, and what ends it early.

use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout};

use super::{HOUR, answer, eventually, grant, iam, later, stand_in};
use crate::service::LONG;

#[tokio::test]
async fn a_token_is_renewed_at_four_fifths_of_its_life_while_the_old_one_serves() {
    let (stand_in, connector) = stand_in([grant("t1", 1000), grant("t2", 1000)], 1).await;
    let (_folder, iam) = iam(&connector);
    let start = Instant::now();
    assert_eq!(iam.authorization(start).await.unwrap(), "Bearer t1");
    assert_eq!(iam.authorization(later(start, 799)).await.unwrap(), "Bearer t1");
    assert_eq!(stand_in.asked(), 1);

    // IAM does not answer yet, and nobody waits for it.
    for _ in 0..50 {
        let header = timeout(LONG, iam.authorization(later(start, 800))).await.unwrap();
        assert_eq!(header.unwrap(), "Bearer t1");
    }
    stand_in.is_asked(2).await;
    stand_in.answer(100);
    eventually(async || iam.authorization(later(start, 801)).await.unwrap() == "Bearer t2").await;
    assert_eq!(stand_in.asked(), 2);
    // Its life is counted from 800, so that it is due at 1600.
    assert_eq!(iam.authorization(later(start, 1599)).await.unwrap(), "Bearer t2");
    assert_eq!(stand_in.asked(), 2);
}

#[tokio::test]
async fn a_token_that_is_over_is_never_used() {
    let (_, connector) = stand_in([grant("t1", 1000), grant("t2", 1000)], 2).await;
    let (_folder, iam) = iam(&connector);
    let start = Instant::now();
    assert_eq!(iam.authorization(start).await.unwrap(), "Bearer t1");
    assert_eq!(iam.authorization(later(start, 1000)).await.unwrap(), "Bearer t2");
}

#[tokio::test]
async fn a_renewal_that_fails_costs_nothing_while_the_token_lives() {
    let (stand_in, connector) = stand_in([grant("t1", 1000), answer(503, ""), grant("t2", 1000)], 100).await;
    let (_folder, iam) = iam(&connector);
    let start = Instant::now();
    iam.authorization(start).await.unwrap();
    assert_eq!(iam.authorization(later(start, 800)).await.unwrap(), "Bearer t1");
    // The exchange is over when its connection is; some turns later its outcome is known, and within the pause
    // nothing follows from it.
    eventually(async || stand_in.left.load(Ordering::SeqCst) == 2).await;
    for _ in 0..100 {
        assert_eq!(iam.authorization(later(start, 800)).await.unwrap(), "Bearer t1");
        tokio::task::yield_now().await;
    }
    assert_eq!(stand_in.asked(), 2);
    // After the pause it is tried again, and this time it works.
    eventually(async || iam.authorization(later(start, 900)).await.unwrap() == "Bearer t2").await;
    assert_eq!(stand_in.asked(), 3);
}

#[tokio::test]
async fn a_refused_token_is_given_up_once() {
    let answers = [grant("t1", HOUR), grant("t2", HOUR), grant("t3", HOUR)];
    let (stand_in, connector) = stand_in(answers, 100).await;
    let (_folder, iam) = iam(&connector);
    let now = Instant::now();
    let first = iam.authorization(now).await.unwrap();
    // Two requests were refused with it: both may ask again, and one exchange follows.
    assert!(iam.invalidate(&first, now));
    let second = iam.authorization(now).await.unwrap();
    assert!(iam.invalidate(&first, now));
    assert_eq!(iam.authorization(now).await.unwrap(), "Bearer t2");
    assert_eq!(stand_in.asked(), 2);

    // The new one is refused as well: it is not the token.
    assert!(!iam.invalidate(&second, later(now, 30)));
    assert_eq!(iam.authorization(later(now, 30)).await.unwrap(), "Bearer t2");
    assert_eq!(stand_in.asked(), 2);
    // Much later it may be.
    assert!(iam.invalidate(&second, later(now, 120)));
    assert_eq!(iam.authorization(later(now, 120)).await.unwrap(), "Bearer t3");
}

/// What an answer claims cannot make the clock overflow.
#[tokio::test]
async fn a_life_without_measure_is_taken_for_a_day() {
    let answers = [grant("t1", u64::MAX), grant("t2", HOUR)];
    let (_, connector) = stand_in(answers, 100).await;
    let (_folder, iam) = iam(&connector);
    let now = Instant::now();
    assert_eq!(iam.authorization(now).await.unwrap(), "Bearer t1");
    assert_eq!(iam.authorization(later(now, 24 * HOUR)).await.unwrap(), "Bearer t2");
}
