//! What an exchange is, and that there is one however many ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forgetgate::config::Secret;
use forgetgate::upstream::{Iam, IamError};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::{HOUR, eventually, grant, iam, stand_in};
use crate::service::LONG;

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
