//! What `check --live` says of a store on PostgreSQL: whether its server is there and keeps what it acknowledges, and whether the
//! gate's role may do there what it must.

use serde_json::{Value, json};

use super::section;
use super::table::table;
use crate::config::Store;
use crate::store::{SCHEMA_VERSION, Standing, standing};
use crate::telemetry::chain;

/// Good words, or what is wrong, about one thing each.
pub(super) struct Found(Vec<(&'static str, Result<String, String>)>);

/// Connects and looks. `None`: this engine has no server.
pub(super) async fn look(store: &Store) -> Option<Found> {
    let postgres = store.postgres.as_ref()?;
    Some(Found(match standing(postgres).await {
        Err(error) => vec![("connection", Err(chain(&error)))],
        Ok(standing) => vec![
            ("connection", Ok(connection(&standing))),
            ("commits", Ok(commits(&standing))),
            ("rights", rights(&standing, &postgres.schema)),
            ("schema", schema(&standing, &postgres.schema)),
        ],
    }))
}

impl Found {
    pub(super) fn is_bad(&self) -> bool {
        self.0.iter().any(|(_, found)| found.is_err())
    }

    pub(super) fn as_text(&self) -> String {
        let words = |found: &Result<String, String>| match found {
            Ok(words) => words.clone(),
            Err(why) => format!("FAILED: {why}"),
        };
        let rows = self.0.iter().map(|(what, found)| [(*what).to_owned(), words(found)]);
        section("The store's server at this moment", &table(["what", "found"], rows))
    }

    pub(super) fn as_json(&self) -> Value {
        let outcome = |found: &Result<String, String>| match found {
            Ok(words) => json!({ "good": true, "detail": words }),
            Err(why) => json!({ "good": false, "detail": why }),
        };
        self.0
            .iter()
            .map(|(what, found)| ((*what).to_owned(), outcome(found)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn connection(standing: &Standing) -> String {
    let Standing { host, tls, version, .. } = standing;
    // The rest says how it was built.
    let version = version.split(" on ").next().unwrap_or_default();
    format!("{version} at {host}, {}", if *tls { "over TLS, trusted" } else { "in the clear" })
}

fn commits(standing: &Standing) -> String {
    match (&standing.synchronous_commit, standing.has_synchronous_standby) {
        (None, _) => "as the server's own replication does it".to_owned(),
        (Some(setting), true) => format!("synchronous_commit = {setting}, with a synchronous standby"),
        (Some(setting), false) => format!(
            "synchronous_commit = {setting}, without a synchronous standby: a failover can lose what was acknowledged last"
        ),
    }
}

fn rights(standing: &Standing, schema: &str) -> Result<String, String> {
    if standing.denied.is_empty() {
        return Ok("all that the gate needs".to_owned());
    }
    let denied = standing.denied.join(", ");
    Err(format!(
        "the role lacks rights in schema {schema} on {denied}; `forgetgate store migrate` prints the statements that grant them"
    ))
}

fn schema(standing: &Standing, schema: &str) -> Result<String, String> {
    let by_hand = "run `forgetgate store migrate --url-file FILE` with a role that may";
    match standing.schema {
        _ if !standing.denied.is_empty() => {
            Err(format!("the version of schema {schema} is not known: a right is missing"))
        }
        Some(SCHEMA_VERSION) => Ok(format!("{schema}, version {SCHEMA_VERSION}")),
        Some(found) if found > SCHEMA_VERSION => Err(format!(
            "{schema} has version {found}, and this program knows versions up to {SCHEMA_VERSION}: use the newer program"
        )),
        Some(found) if standing.may_change => {
            Ok(format!("{schema}, version {found}; the next start brings it to version {SCHEMA_VERSION}"))
        }
        Some(found) => Err(format!(
            "{schema} has version {found}, {SCHEMA_VERSION} is needed, and the role may not change tables; {by_hand}"
        )),
        None if standing.may_change => Ok(format!("{schema} is not there yet; the first start makes it")),
        None => Err(format!("{schema} is not there, and the role may not make it; {by_hand}")),
    }
}
