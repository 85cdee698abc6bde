//! `forgetgate check --live`: whether everything that the file names is there. Each upstream and the store's server is connected
//! to, the gate's own credentials are read or fetched, so are the keys of tokens' issuers, and the gate that runs says which
//! instances its traffic has shown.

use std::path::Path;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::store;
use super::table::table;
use super::{GOOD, check, lines_of, section};
use crate::cli::answer::{Answer, FAILED, Failure, list, text, wait_for};
use crate::cli::client::{Client, GateArgs};
use crate::config::{self, Credentials, Limits, Upstream};
use crate::telemetry::{Registry, chain};
use crate::upstream::{Authenticator, Connector, KeySources};

/// What was found of one upstream: good words, or what is wrong.
struct Found {
    name: String,
    connection: Result<String, String>,
    credentials: Result<String, String>,
    token_keys: Result<String, String>,
}

impl Found {
    fn is_bad(&self) -> bool {
        self.connection.is_err() || self.credentials.is_err() || self.token_keys.is_err()
    }
}

/// Checks the file as without it, and then what it names. Blocking.
#[must_use]
pub fn with_services(path: &Path, json: bool) -> Answer {
    let (said, code) = check(path, json);
    if code != GOOD {
        return Answer { text: said, complaint: String::new(), code };
    }
    wait_for(async {
        let loaded = config::load(path).map_err(|faults| Failure::config(path, &faults))?;
        let config = &loaded.config;
        let found = join_all(config.upstreams.iter().map(|upstream| look(upstream, &config.limits))).await;
        let store = store::look(&config.store).await;
        let seen = seen(path).await;
        let is_bad = found.iter().any(Found::is_bad)
            || store.as_ref().is_some_and(store::Found::is_bad)
            || seen.as_ref().is_ok_and(|seen| seen.iter().any(waits));
        let text = if json {
            as_json(&said, &found, store.as_ref(), &seen)
        } else {
            as_text(&said, &found, store.as_ref(), &seen)
        };
        Ok(Answer { text, complaint: String::new(), code: if is_bad { FAILED } else { GOOD } })
    })
}

async fn look(upstream: &Upstream, common: &Limits) -> Found {
    let limits = upstream.limits.over(common);
    let connection = async {
        let connector = Connector::new(upstream, limits.connect_timeout).map_err(|error| chain(&error))?;
        connector.connect().await.map_err(|error| chain(&error))?;
        Ok(if connector.is_secure() { "TLS, trusted" } else { "open" }.to_owned())
    };
    let credentials = async {
        let Some(given) = &upstream.credentials else { return Ok("none".to_owned()) };
        let by = Authenticator::behind(&upstream.proxy, Some(given), &limits).map_err(|error| chain(&error))?;
        by.authorization(Instant::now()).await.map_err(|error| chain(&error))?;
        let is_token = matches!(given, Credentials::Iam { .. });
        Ok(if is_token { "a token was fetched" } else { "read; no service was asked" }.to_owned())
    };
    let (connection, credentials, token_keys) = tokio::join!(connection, credentials, token_keys(upstream, &limits));
    Found { name: upstream.name.to_string(), connection, credentials, token_keys }
}

/// The keys that its callers' tokens are verified with.
async fn token_keys(upstream: &Upstream, limits: &Limits) -> Result<String, String> {
    let policies = upstream.policies().filter(|_| !upstream.retired);
    let sources = KeySources::of(policies, &upstream.proxy, limits, &[], &Registry::new(&[], 1));
    let (sources, mut count) = (sources.map_err(|error| chain(&error))?, 0);
    for source in sources.all() {
        source.tried().await;
        if let Some(error) = source.failure() {
            return Err(format!("{}: {}", source.place(), chain(&error)));
        }
        count += source.keys(Instant::now()).map_or(0, |keys| keys.count());
    }
    Ok(if sources.all().is_empty() { "none".to_owned() } else { format!("{count} known") })
}

/// The instances that the gate which runs with this file has seen.
async fn seen(path: &Path) -> Result<Vec<Value>, String> {
    let gate = GateArgs::of(path);
    let asked = async { Client::find(&gate)?.call(Method::GET, "/api/v1/upstreams", None).await };
    let answer = asked.await.map_err(|failure| failure.words().to_owned())?;
    Ok(list(&answer, "upstreams").iter().flat_map(|upstream| list(upstream, "instances")).cloned().collect())
}

/// Whether erasures wait for the credentials of this instance.
fn waits(instance: &Value) -> bool {
    instance.get("has_credentials").and_then(Value::as_bool) != Some(true)
}

fn as_text(said: &str, found: &[Found], store: Option<&store::Found>, seen: &Result<Vec<Value>, String>) -> String {
    let words = |result: &Result<String, String>| match result {
        Ok(words) => words.clone(),
        Err(why) => format!("FAILED: {why}"),
    };
    let rows = found.iter().map(|found| {
        [found.name.clone(), words(&found.connection), words(&found.credentials), words(&found.token_keys)]
    });
    let heading = ["upstream", "connection", "the gate's credentials", "keys of tokens"];
    let services = section("Services at this moment", &table(heading, rows));
    let instances = match seen {
        Err(why) => format!("Not known, since the gate does not run or does not answer: {why}\n"),
        Ok(seen) if seen.is_empty() => "None yet.\n".to_owned(),
        Ok(seen) => table(["upstream", "instance", "path", "last seen", "erasures"], seen.iter().map(row)),
    };
    let store = store.map_or_else(String::new, store::Found::as_text);
    format!("{said}\n{store}{services}{}", section("Instances that traffic has shown", &instances))
}

fn row(instance: &Value) -> [String; 5] {
    let of = |key| match text(instance, key) {
        "" => "-".to_owned(),
        text => text.to_owned(),
    };
    let erasures = if waits(instance) { "WAIT: nobody named its credentials" } else { "reach it" };
    [of("upstream"), of("instance"), of("path"), of("last_seen"), erasures.to_owned()]
}

/// The answer of a check, with a member `live` more.
fn as_json(said: &str, found: &[Found], store: Option<&store::Found>, seen: &Result<Vec<Value>, String>) -> String {
    let outcome = |result: &Result<String, String>| match result {
        Ok(words) => json!({ "good": true, "detail": words }),
        Err(why) => json!({ "good": false, "detail": why }),
    };
    let upstreams: Vec<Value> = found
        .iter()
        .map(|found| {
            let (connection, credentials) = (outcome(&found.connection), outcome(&found.credentials));
            let token_keys = outcome(&found.token_keys);
            json!({ "name": found.name, "connection": connection, "credentials": credentials, "token_keys": token_keys })
        })
        .collect();
    let live = json!({
        "store": store.map(store::Found::as_json),
        "upstreams": upstreams,
        "instances": seen.as_ref().ok(),
        "gate": seen.as_ref().map_or_else(|why| why.as_str(), |_| "runs"),
    });
    let mut answer: Value = serde_json::from_str(said).unwrap_or_default();
    if let Some(members) = answer.as_object_mut() {
        members.insert("live".to_owned(), live);
    }
    lines_of(&answer)
}
