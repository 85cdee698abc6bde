//! The token exchange against a stand-in of IAM: how often it is asked, when, and what its failures mean.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forgetgate::config::Secret;
use forgetgate::upstream::{CallError, Connector, Iam, IamError};
use futures_util::future::join_all;
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::service::{LONG, SHORT, listen, plain, request, serving};

const KEY: &str = "c4n4ry+K3y&x=é";
const HOUR: u64 = 3600;

/// IAM as far as the gate can tell: it notes what it is asked, and answers when it is let.
struct StandIn {
    asked: Mutex<Vec<String>>,
    answers: Vec<String>,
    let_go: Semaphore,
}

impl StandIn {
    fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    async fn is_asked(&self, times: usize) {
        eventually(async || self.asked() == times).await;
    }

    fn answer(&self, times: usize) {
        self.let_go.add_permits(times);
    }
}

/// Until `true`; no longer than [`LONG`].
async fn eventually(mut is: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, waiting).await.expect("it does not happen");
}

/// One after another, the last for ever; the first `let_go` at once.
async fn stand_in(answers: impl IntoIterator<Item = String>, let_go: usize) -> (Arc<StandIn>, Connector) {
    let stand_in = Arc::new(StandIn {
        asked: Mutex::default(),
        answers: answers.into_iter().collect(),
        let_go: Semaphore::new(let_go),
    });
    let shared = Arc::clone(&stand_in);
    let connector = serving(move |mut socket| {
        let shared = Arc::clone(&shared);
        async move {
            let asked = request(&mut socket).await;
            let nth = {
                let mut all = shared.asked.lock();
                all.push(asked);
                all.len() - 1
            };
            shared.let_go.acquire().await.unwrap().forget();
            let answer = shared.answers.get(nth).unwrap_or_else(|| shared.answers.last().unwrap());
            // Some of the tests have left by now.
            drop(socket.write_all(answer.as_bytes()).await);
        }
    })
    .await;
    (stand_in, connector)
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn grant(token: &str, life: u64) -> String {
    let body = format!(
        r#"{{"access_token":"{token}","refresh_token":"not_supported","token_type":"Bearer","expires_in":{life},"expiration":1700000000,"scope":"ibm openid"}}"#
    );
    answer(200, &body)
}

fn iam(connector: &Connector) -> (tempfile::TempDir, Iam) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let iam = Iam::new(connector.clone(), "/identity/token", Secret::file(&file), LONG);
    (folder, iam)
}

fn later(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

async fn failure(answers: impl IntoIterator<Item = String>) -> IamError {
    let (_, connector) = stand_in(answers, 1).await;
    let (_folder, iam) = iam(&connector);
    timeout(LONG, iam.authorization(Instant::now())).await.unwrap().unwrap_err()
}

/// The form of IBM's SDKs; every byte of the key is escaped that could be read as the form's own.
#[tokio::test]
async fn the_exchange_is_the_form_that_iam_documents() {
    let (stand_in, connector) = stand_in([grant("t1", HOUR)], 1).await;
    let (_folder, iam) = iam(&connector);
    let header = iam.authorization(Instant::now()).await.unwrap();
    assert_eq!(header, "Bearer t1");
    assert!(header.is_sensitive());

    let asked = stand_in.asked.lock().remove(0);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /identity/token HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\naccept: application/json\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{head}");
    assert_eq!(
        body,
        "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&response_type=cloud_iam\
         &apikey=c4n4ry%2BK3y%26x%3D%C3%A9"
    );
}

#[tokio::test]
async fn a_url_without_a_path_means_the_token_call() {
    let (stand_in, connector) = stand_in([grant("t1", HOUR)], 1).await;
    let (folder, _) = iam(&connector);
    let iam = Iam::new(connector, "", Secret::file(folder.path().join("key")), LONG);
    iam.authorization(Instant::now()).await.unwrap();
    assert!(stand_in.asked.lock()[0].starts_with("POST /identity/token HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_hundred_at_once_cause_one_exchange() {
    let (stand_in, connector) = stand_in([grant("t1", HOUR)], 0).await;
    let (_folder, iam) = iam(&connector);
    let now = Instant::now();
    let asking = tokio::spawn({
        let iam = iam.clone();
        async move { join_all((0..100).map(|_| iam.authorization(now))).await }
    });
    stand_in.is_asked(1).await;
    // Enough for any that were to follow.
    stand_in.answer(100);
    let headers = timeout(LONG, asking).await.unwrap().unwrap();
    assert!(headers.into_iter().all(|header| header.unwrap() == "Bearer t1"));
    assert_eq!(stand_in.asked(), 1);
}

/// Workers are threads with runtimes of their own; they share a token.
#[tokio::test]
async fn a_hundred_on_four_threads_cause_one_exchange() {
    let (stand_in, connector) = stand_in([grant("t1", HOUR)], 0).await;
    let (_folder, iam) = iam(&connector);
    let now = Instant::now();
    let begun = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (iam, begun) = (iam.clone(), Arc::clone(&begun));
            tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(join_all((0..25).map(|_| async {
                    begun.fetch_add(1, Ordering::SeqCst);
                    iam.authorization(now).await.unwrap()
                })))
            })
        })
        .collect();
    eventually(async || begun.load(Ordering::SeqCst) == 100).await;
    stand_in.answer(100);
    for thread in threads {
        assert!(timeout(LONG, thread).await.unwrap().unwrap().into_iter().all(|header| header == "Bearer t1"));
    }
    assert_eq!(stand_in.asked(), 1);
}

#[tokio::test]
async fn whoever_asked_first_may_leave() {
    let (stand_in, connector) = stand_in([grant("t1", HOUR)], 0).await;
    let (_folder, iam) = iam(&connector);
    let now = Instant::now();
    let first = tokio::spawn({
        let iam = iam.clone();
        async move { iam.authorization(now).await }
    });
    stand_in.is_asked(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    stand_in.answer(100);
    assert_eq!(iam.authorization(now).await.unwrap(), "Bearer t1");
    assert_eq!(stand_in.asked(), 1);
}

/// A runtime that ends takes its exchange with it: those who waited hear of it, and the next to ask begins anew.
#[tokio::test]
async fn an_exchange_that_ends_with_its_runtime_locks_nobody_out() {
    let (stand_in, connector) = stand_in([grant("t1", HOUR)], 0).await;
    let (_folder, iam) = iam(&connector);
    let now = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let elsewhere = iam.clone();
    let thread = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                outcome = elsewhere.authorization(now) => panic!("nothing was answered: {outcome:?}"),
                _ = ended => {}
            }
        });
    });
    stand_in.is_asked(1).await;
    let mut waiting = Box::pin(iam.authorization(now));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    end.send(()).unwrap();
    assert!(matches!(timeout(LONG, waiting).await.unwrap(), Err(IamError::GivenUp)));
    thread.await.unwrap();

    stand_in.answer(100);
    assert_eq!(timeout(LONG, iam.authorization(now)).await.unwrap().unwrap(), "Bearer t1");
}

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
    stand_in.is_asked(2).await;
    // After the pause it is tried again, and this time it works.
    eventually(async || iam.authorization(later(start, 900)).await.unwrap() == "Bearer t2").await;
    assert_eq!(stand_in.asked(), 3);
}

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

#[tokio::test]
async fn a_wrong_key_blocks_and_nothing_else_does() {
    for status in [400, 401, 403] {
        let error = failure([answer(status, r#"{"errorCode":"BXNIM0415E"}"#)]).await;
        assert!(matches!(&error, IamError::WrongKey { status: seen } if *seen == status), "{error:?}");
        assert!(error.is_blocked());
    }
    for status in [301, 404, 429, 500, 503] {
        let error = failure([answer(status, "{}")]).await;
        assert!(matches!(&error, IamError::Unwilling { status: seen } if *seen == status), "{error:?}");
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

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
