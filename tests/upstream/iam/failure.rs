//! What goes wrong with IAM, what it means, and that nothing of it shows a secret.

use std::fmt::Write as _;
use std::time::Duration;

use forgetgate::config::Secret;
use forgetgate::upstream::{CallError, Iam, IamError};
use futures_util::future::join_all;
use http::HeaderValue;
use tokio::time::{Instant, timeout};

use super::{HOUR, KEY, answer, failure, grant, iam, later, stand_in};
use crate::lines::Lines;
use crate::service::{LONG, SHORT, listen, plain};

#[tokio::test]
async fn a_failure_is_shared_and_paused_for() {
    let (stand_in, connector) = stand_in([answer(401, "{}"), answer(503, "{}"), grant("t1", HOUR)], 100).await;
    let (_folder, iam) = iam(&connector);
    let now = Instant::now();
    for outcome in join_all((0..10).map(|_| iam.authorization(now))).await {
        assert!(matches!(outcome, Err(IamError::WrongKey { .. })), "{outcome:?}");
    }
    assert!(matches!(iam.authorization(now).await, Err(IamError::WrongKey { .. })));
    assert_eq!(stand_in.asked(), 1);

    // The exchange itself took real time, which counts; a tenth of a minute is far beyond it and the pause.
    let second = later(now, 6);
    assert!(matches!(iam.authorization(second).await, Err(IamError::Unwilling { .. })));
    let within_its_pause = second + Duration::from_millis(1999);
    assert!(matches!(iam.authorization(within_its_pause).await, Err(IamError::Unwilling { .. })));
    assert_eq!(stand_in.asked(), 2);

    assert_eq!(iam.authorization(later(second, 6)).await.unwrap(), "Bearer t1");
    assert_eq!(stand_in.asked(), 3);
}

/// However long it goes on, IAM is asked at least once a minute: a key that was mended is noticed.
#[tokio::test]
async fn the_pause_grows_to_a_minute_and_no_further() {
    let (stand_in, connector) = stand_in([answer(503, "")], 100).await;
    let (_folder, iam) = iam(&connector);
    let mut now = Instant::now();
    for asked in 1..=12 {
        iam.authorization(now).await.unwrap_err();
        assert_eq!(stand_in.asked(), asked);
        // The real time of the exchange is far below the second that is added.
        now = later(now, 61);
    }
    iam.authorization(now).await.unwrap_err();
    iam.authorization(later(now, 59)).await.unwrap_err();
    assert_eq!(stand_in.asked(), 13);
}

/// IAM says for how long it wants to be left alone, and whoever asks meanwhile hears how much of that is left.
#[tokio::test]
async fn iam_is_left_alone_for_as_long_as_it_says() {
    for (status, told, waits) in [(429, "60", 60), (503, "7200", 7200), (429, "999999999", 86_400), (503, "0", 1)] {
        let busy = answer(status, "{}").replace("\r\n\r\n", &format!("\r\nRetry-After: {told}\r\n\r\n"));
        let (stand_in, connector) = stand_in([busy, grant("t1", HOUR)], 100).await;
        let (_folder, iam) = iam(&connector);
        let now = Instant::now();
        let error = iam.authorization(now).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(told.parse::<u64>().unwrap().min(86_400))));
        assert!(!error.is_blocked());

        let nearly = later(now, waits) - Duration::from_millis(1);
        let left = iam.authorization(nearly).await.unwrap_err().retry_after().unwrap();
        // The exchange took real time, by which the pause ends later.
        assert!((Duration::from_millis(1)..LONG).contains(&left), "{left:?}");
        assert_eq!(stand_in.asked(), 1);
        assert_eq!(iam.authorization(later(now, waits + LONG.as_secs())).await.unwrap(), "Bearer t1");
    }
}

/// Other failures say nothing of when, whatever their headers are.
#[tokio::test]
async fn only_an_iam_that_is_busy_is_believed_about_when_to_ask_again() {
    for status in [400, 401, 404, 500] {
        let error = failure([answer(status, "{}").replace("\r\n\r\n", "\r\nRetry-After: 60\r\n\r\n")]).await;
        assert_eq!(error.retry_after(), None, "{status}");
    }
}

#[tokio::test]
async fn a_wrong_key_blocks_and_nothing_else_does() {
    for status in [400, 401, 403] {
        let error = failure([answer(status, r#"{"errorCode":"BXNIM0415E"}"#)]).await;
        assert!(matches!(&error, IamError::WrongKey { status: seen } if *seen == status), "{error:?}");
        assert!(error.is_blocked());
    }
    for status in [301, 404, 429, 500, 503] {
        let error = failure([answer(status, "{}")]).await;
        assert!(
            matches!(&error, IamError::Unwilling { status: seen, retry_after: None } if *seen == status),
            "{error:?}"
        );
        assert!(!error.is_blocked());
    }
}

#[tokio::test]
async fn an_iam_that_is_not_there_is_unreachable() {
    let (listener, url) = listen(false, "127.0.0.1").await;
    drop(listener);
    let (_folder, iam) = iam(&plain(&url));
    let error = iam.authorization(Instant::now()).await.unwrap_err();
    assert!(matches!(error, IamError::Unreachable(CallError::Connect(_))), "{error:?}");
    assert!(!error.is_blocked());
}

#[tokio::test]
async fn an_iam_that_does_not_answer_is_waited_for_no_longer_than_told() {
    let (_stand_in, connector) = stand_in([grant("t1", HOUR)], 0).await;
    let (folder, _) = iam(&connector);
    let iam = Iam::new(connector, "/identity/token", Secret::file(folder.path().join("key")), SHORT);
    let error = timeout(LONG / 4, iam.authorization(Instant::now())).await.unwrap().unwrap_err();
    assert!(matches!(error, IamError::Unreachable(CallError::MaybeSent(_))), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_a_usable_token_is_garbage() {
    for body in [
        "",
        "<html>sign in</html>",
        "{}",
        r#"{"access_token":"t1"}"#,
        r#"{"access_token":"","expires_in":3600}"#,
        r#"{"access_token":"t1","expires_in":0}"#,
        r#"{"access_token":"t1","expires_in":-1}"#,
        r#"{"access_token":"t1\r\nX: y","expires_in":3600}"#,
        r#"{"access_token":17,"expires_in":3600}"#,
    ] {
        let error = failure([answer(200, body)]).await;
        assert!(matches!(error, IamError::Garbage), "{body}: {error:?}");
        assert!(!error.is_blocked());
    }
    assert!(matches!(failure([answer(200, &"x".repeat(100_000))]).await, IamError::Garbage));
    assert!(matches!(failure(["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned()]).await, IamError::Cut));
}

#[tokio::test]
async fn a_key_that_cannot_be_read_blocks() {
    let (stand_in, connector) = stand_in([grant("t1", HOUR)], 100).await;
    let (folder, iam) = iam(&connector);
    drop(folder);
    let error = iam.authorization(Instant::now()).await.unwrap_err();
    assert!(matches!(error, IamError::Secret(_)) && error.is_blocked(), "{error:?}");
    assert_eq!(stand_in.asked(), 0);
}

/// Neither the key nor a token is in any error, debug text or log line, even where IAM sends them back.
#[tokio::test]
async fn neither_key_nor_token_shows_anywhere() {
    let lines = Lines::default();
    let writer = lines.clone();
    let logging = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(logging);

    let echo = format!(r#"{{"access_token":["s3cr3t-t0ken"],"expires_in":"s3cr3t-t0ken","apikey":"{KEY}"}}"#);
    let answers = [answer(400, &echo), answer(200, &echo), answer(500, &echo), grant("s3cr3t-t0ken", HOUR)];
    let (_, connector) = stand_in(answers, 100).await;
    let (_folder, iam) = iam(&connector);
    let mut now = Instant::now();
    let mut printed = String::new();
    for _ in 0..4 {
        let outcome: Result<HeaderValue, IamError> = iam.authorization(now).await;
        write!(printed, "{iam:?} {outcome:?} ").unwrap();
        if let Err(error) = outcome {
            write!(printed, "{error} ").unwrap();
        }
        now = later(now, 61);
    }

    assert!(printed.contains("Sensitive") && printed.contains("IAM refused the API key"), "{printed}");
    let logged = String::from_utf8(lines.0.lock().clone()).unwrap();
    assert!(logged.contains("no token from IAM"), "{logged}");
    for secret in ["c4n4ry", "s3cr3t"] {
        assert!(!printed.contains(secret), "{printed}");
        assert!(!logged.contains(secret), "{logged}");
    }
}
