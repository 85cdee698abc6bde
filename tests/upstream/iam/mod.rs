//! The token exchange against a stand-in of IAM: how often it is asked, when, and what its failures mean.

mod exchange;
mod failure;
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forgetgate::config::Secret;
use forgetgate::upstream::{Connector, Iam, IamError};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::service::{LONG, request, serving};

pub(super) const KEY: &str = "c4n4ry+K3y&x=é";
pub(super) const HOUR: u64 = 3600;

/// IAM as far as the gate can tell: it notes what it is asked, and answers when it is let.
pub(super) struct StandIn {
    pub(super) asked: Mutex<Vec<String>>,
    answers: Vec<String>,
    let_go: Semaphore,
    pub(super) left: AtomicUsize,
}

impl StandIn {
    pub(super) fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    pub(super) async fn is_asked(&self, times: usize) {
        eventually(async || self.asked() == times).await;
    }

    pub(super) fn answer(&self, times: usize) {
        self.let_go.add_permits(times);
    }
}

/// Until `true`; no longer than [`LONG`].
pub(super) async fn eventually(mut is: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, waiting).await.expect("it does not happen");
}

/// One after another, the last for ever; the first `let_go` at once.
pub(super) async fn stand_in(answers: impl IntoIterator<Item = String>, let_go: usize) -> (Arc<StandIn>, Connector) {
    let stand_in = Arc::new(StandIn {
        asked: Mutex::default(),
        answers: answers.into_iter().collect(),
        let_go: Semaphore::new(let_go),
        left: AtomicUsize::new(0),
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
            drop(socket.shutdown().await);
            request(&mut socket).await;
            shared.left.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    (stand_in, connector)
}

pub(super) fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub(super) fn grant(token: &str, life: u64) -> String {
    let body = format!(
        r#"{{"access_token":"{token}","refresh_token":"not_supported","token_type":"Bearer","expires_in":{life},"expiration":1700000000,"scope":"ibm openid"}}"#
    );
    answer(200, &body)
}

pub(super) fn iam(connector: &Connector) -> (tempfile::TempDir, Iam) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, KEY).unwrap();
    let iam = Iam::new(connector.clone(), "/identity/token", Secret::file(&file), LONG);
    (folder, iam)
}

pub(super) fn later(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

pub(super) async fn failure(answers: impl IntoIterator<Item = String>) -> IamError {
    let (_, connector) = stand_in(answers, 1).await;
    let (_folder, iam) = iam(&connector);
    timeout(LONG, iam.authorization(Instant::now())).await.unwrap().unwrap_err()
}
