//! What the gate's own calls carry, and what never shows.

use forgetgate::config::{Credentials, Secret};
use forgetgate::upstream::{Authenticator, CredentialsError};
use http::HeaderValue;
use tokio::time::Instant;

use crate::service::{limits, url};

const CANARY: &str = "c4n4ry-K3y";

fn kept(text: &str) -> (tempfile::TempDir, Secret) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, text).unwrap();
    let secret = Secret::file(&file);
    (folder, secret)
}

fn authenticator(credentials: &Credentials) -> Authenticator {
    Authenticator::new(Some(credentials), &limits()).unwrap()
}

async fn header(authenticator: &Authenticator) -> HeaderValue {
    authenticator.authorization(Instant::now()).await.unwrap().unwrap()
}

#[tokio::test]
async fn without_credentials_there_is_no_header() {
    let none = Authenticator::new(None, &limits()).unwrap();
    assert_eq!(none.authorization(Instant::now()).await.unwrap(), None);
    assert!(!none.invalidate(&HeaderValue::from_static("Basic x"), Instant::now()));
}

/// The SDKs' own form of an API key: Basic with the user name `apikey`.
#[tokio::test]
async fn each_kind_has_its_form() {
    let (_folder, secret) = kept("K:é\n");
    let apikey = authenticator(&Credentials::ApiKey(secret.clone()));
    assert_eq!(header(&apikey).await, "Basic YXBpa2V5Oks6w6k=");
    let basic = authenticator(&Credentials::Basic { username: "u".to_owned(), password: secret });
    assert_eq!(header(&basic).await, "Basic dTpLOsOp");
    let (_folder, secret) = kept("abc.def-123");
    assert_eq!(header(&authenticator(&Credentials::Bearer(secret))).await, "Bearer abc.def-123");
}

#[tokio::test]
async fn a_rotated_secret_counts_at_once_and_makes_another_try_worth_it() {
    let (folder, secret) = kept("old");
    let bearer = authenticator(&Credentials::Bearer(secret));
    let old = header(&bearer).await;
    assert!(!bearer.invalidate(&old, Instant::now()), "nothing has changed, so the answer would not");

    let next = folder.path().join("next");
    std::fs::write(&next, "new-and-longer").unwrap();
    std::fs::rename(next, folder.path().join("secret")).unwrap();
    assert!(bearer.invalidate(&old, Instant::now()));
    assert_eq!(header(&bearer).await, "Bearer new-and-longer");
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_blocks() {
    for text in ["two\r\nX-Injected: lines", "two words", "tab\tulator", "é"] {
        let (_folder, unfit) = kept(text);
        let bearer = authenticator(&Credentials::Bearer(unfit));
        let error = bearer.authorization(Instant::now()).await.unwrap_err();
        assert!(matches!(error, CredentialsError::Unfit), "{error}");
        assert!(error.is_blocked());
    }

    let (folder, secret) = kept("x");
    drop(folder);
    let error = authenticator(&Credentials::ApiKey(secret)).authorization(Instant::now()).await.unwrap_err();
    assert!(matches!(error, CredentialsError::Secret(_)), "{error}");
    assert!(error.is_blocked());
}

/// Secrets are in no text that could reach a log.
#[tokio::test]
async fn nothing_prints_the_secret() {
    let (_folder, secret) = kept(CANARY);
    let (_broken_folder, broken) = kept(&format!("{CANARY}\n{CANARY}"));
    let iam = Credentials::Iam { apikey: secret.clone(), url: url(false, "127.0.0.1", 1), tls: Box::default() };
    let basic = Credentials::Basic { username: "u".to_owned(), password: secret.clone() };
    let mut printed = String::new();
    for credentials in [Credentials::ApiKey(secret.clone()), basic, Credentials::Bearer(secret), iam] {
        let authenticator = authenticator(&credentials);
        let outcome = authenticator.authorization(Instant::now()).await;
        printed.push_str(&format!("{credentials:?} {authenticator:?} {outcome:?} "));
    }
    let error = authenticator(&Credentials::Bearer(broken)).authorization(Instant::now()).await.unwrap_err();
    printed.push_str(&format!("{error} {error:?}"));

    assert!(!printed.contains(CANARY), "{printed}");
    assert!(!printed.contains("dTpjNG40cnktSzN5"), "nor in base64: {printed}");
    assert!(printed.contains("Sensitive"), "{printed}");
}
