//! The keys of an issuer as time goes by: how long they are kept, how often they are asked for, and who shares them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forgetgate::config::HttpProxy;
use forgetgate::domain::policy::{DeriveFrom, Policy};
use forgetgate::domain::token::{KeysAt, Trust};
use forgetgate::telemetry::Registry;
use forgetgate::upstream::{Connector, Fresher, KeySource, KeySources};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::lines::Lines;
use crate::service::{Authority, LONG, limits, listen, request, serving};

const KEYS: &str = include_str!("../spec/tokens/vectors.json");
const HOUR: Duration = Duration::from_secs(3600);

/// The keys of the vectors, or with `of` of them left.
fn shown(of: usize) -> String {
    let vectors: serde_json::Value = serde_json::from_str(KEYS).unwrap();
    let keys: Vec<_> = vectors["keys"]["keys"].as_array().unwrap().iter().take(of).collect();
    let body = serde_json::json!({ "keys": keys }).to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A server that shows one key when it is asked first, two then, and so on, until it has no more; and how often it was.
async fn growing() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let connector: Connector = serving(move |mut socket| {
        let nth = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            request(&mut socket).await;
            drop(socket.write_all(shown(nth).as_bytes()).await);
        }
    })
    .await;
    (format!("http://{}/keys", connector.authority().to_str().unwrap()), asked)
}

fn policy(url: &str, ca: Option<PathBuf>) -> Policy {
    let keys = KeysAt::Url { url: url.to_owned(), ca };
    let by = Box::new(Trust { keys, issuer: "i".to_owned(), audience: None });
    Policy { derive: vec![DeriveFrom::VerifiedJwt { claim: "sub".to_owned(), by }], ..Policy::default() }
}

fn sources(policy: &Policy, known: &[Arc<KeySource>]) -> KeySources {
    KeySources::of([policy].into_iter(), &HttpProxy::None, &limits(), known, &Registry::new(&[], 1)).unwrap()
}

async fn tried(sources: &KeySources) -> Arc<KeySource> {
    let [source] = sources.all() else { panic!("one set") };
    timeout(LONG, source.tried()).await.unwrap();
    Arc::clone(source)
}

#[tokio::test]
async fn p11_keys_are_kept_for_two_days_after_they_were_fetched() {
    let (url, _) = growing().await;
    let source = tried(&sources(&policy(&url, None), &[])).await;
    let now = Instant::now();
    assert_eq!(source.keys(now).unwrap().count(), 1);
    assert!(source.keys(now + HOUR * 48 - LONG).is_some());
    assert!(source.keys(now + HOUR * 48 + Duration::from_secs(1)).is_none());
}

#[tokio::test]
async fn p12_unknown_keys_cause_one_fetch_in_half_a_minute_however_many_ask() {
    let (url, asked) = growing().await;
    let source = tried(&sources(&policy(&url, None), &[])).await;
    let now = Instant::now();
    let first = source.keys(now).unwrap();
    let waiting = futures_util::future::join_all((0..50).map(|_| source.fresher(&first, now)));
    for fresher in timeout(LONG, waiting).await.unwrap() {
        assert!(matches!(fresher, Fresher::Keys(keys) if keys.count() == 2));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let second = source.keys(now).unwrap();
    assert!(matches!(source.fresher(&second, now + Duration::from_secs(29)).await, Fresher::Same));
    // Whoever was given older ones is told at once.
    assert!(matches!(source.fresher(&first, now).await, Fresher::Keys(keys) if Arc::ptr_eq(&keys, &second)));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let later = source.fresher(&second, now + Duration::from_secs(31)).await;
    assert!(matches!(later, Fresher::Keys(keys) if keys.count() == 3));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn p12_one_set_is_fetched_once_however_many_upstreams_name_it_and_whatever_is_reloaded() {
    let (url, asked) = growing().await;
    let policy = policy(&url, None);
    let first = sources(&policy, &[]);
    let source = tried(&first).await;
    let second = sources(&policy, first.all());
    drop(first);
    assert!(Arc::ptr_eq(&source, &tried(&second).await));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Through another proxy it is another way, on which somebody else may show them.
    let other = HttpProxy::Env;
    let other = KeySources::of([&policy].into_iter(), &other, &limits(), second.all(), &Registry::new(&[], 1)).unwrap();
    assert!(!Arc::ptr_eq(&source, &tried(&other).await));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn p11_a_server_that_fails_is_said_once_and_so_is_its_return() {
    let lines = Lines::default();
    let writer = lines.clone();
    let logging = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(logging);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let connector = serving(move |mut socket| {
        let nth = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            request(&mut socket).await;
            let failed = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n".to_owned();
            let answer = if nth == 1 || nth == 2 { failed } else { shown(1) };
            drop(socket.write_all(answer.as_bytes()).await);
        }
    })
    .await;
    let source =
        tried(&sources(&policy(&format!("http://{}/", connector.authority().to_str().unwrap()), None), &[])).await;
    let now = Instant::now();
    let keys = source.keys(now).unwrap();
    assert!(matches!(source.fresher(&keys, now).await, Fresher::Unknown));
    // Tried again by itself, until it is there.
    while lines.said("token keys fetched") < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!((asked.load(Ordering::SeqCst), lines.said("token keys could not be fetched")), (4, 1));
    assert_eq!(lines.said("status 500 Internal Server Error, expected 200"), 1);
}

impl Lines {
    fn said(&self, what: &str) -> usize {
        String::from_utf8(self.0.lock().clone()).unwrap().matches(what).count()
    }
}

/// The certificate counts: nobody else can show keys.
#[tokio::test]
async fn p10_keys_are_fetched_over_tls_from_who_can_show_the_name() {
    let (authority, stranger) = (Authority::new(), Authority::named("Another"));
    let (listener, url): (TcpListener, _) = listen(true, "localhost").await;
    let server = Arc::new(authority.server(&["localhost"], |_| {}));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&server));
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            request(&mut stream).await;
            drop(stream.write_all(shown(4).as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    let text = format!("https://{}/keys", url.authority);
    let good = tried(&sources(&policy(&text, Some(authority.ca())), &[])).await;
    assert_eq!(good.keys(Instant::now()).unwrap().count(), 4);
    let refused = tried(&sources(&policy(&text, Some(stranger.ca())), &[])).await;
    assert!(refused.keys(Instant::now()).is_none());
}
