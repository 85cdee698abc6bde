//! `forgetgate recipients CUSTOMER_ID`: where the index says that this customer's data is.

use std::io::BufRead;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::answer::{Answer, list, place, pretty, text, wait_for};
use super::check::table::table;
use super::client::{Client, GateArgs};
use super::customer::customer;

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct RecipientsArgs {
    /// The customer's ID; `-` reads one line of standard input, so that the ID stays out of the shell's history
    pub customer_id: String,
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Asks the gate. Blocking.
#[must_use]
pub fn recipients(args: &RecipientsArgs, input: &mut dyn BufRead) -> Answer {
    wait_for(async {
        let client = Client::find(&args.gate)?;
        let body = json!({ "customer_id": customer(&args.customer_id, input)?.expose() });
        let answer = client.call(Method::POST, "/api/v1/recipients", Some(&body)).await?;
        Ok(Answer::done(if args.gate.json { pretty(&answer) } else { shown(&answer) }))
    })
}

/// What is in no resource that the profile names: recognitions, messages, whatever has no container of its own.
const OUTSIDE: &str = "(the service itself)";

fn shown(answer: &Value) -> String {
    let found = list(answer, "recipients");
    if found.is_empty() {
        return "Nothing is known of this ID: the index has no data of it.\n".to_owned();
    }
    let row = |recipient: &Value, found: &Value| {
        let closed = recipient.get("without_credentials").and_then(Value::as_bool).unwrap_or(false);
        let at = place(recipient) + if closed { ", no credentials" } else { "" };
        let resource = found.get("resource").and_then(Value::as_str).unwrap_or(OUTSIDE);
        let [label, since, last_seen] = ["label", "since", "last_seen"].map(|member| text(found, member).to_owned());
        [at, resource.to_owned(), label, since, last_seen]
    };
    let rows =
        found.iter().flat_map(|recipient| list(recipient, "places").iter().map(move |place| row(recipient, place)));
    table(["UPSTREAM", "RESOURCE", "LABEL", "SINCE", "LAST SEEN"], rows)
}
