//! `forgetgate recipients CUSTOMER_ID`: where the index says that this customer's data is.

use std::io::BufRead;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::answer::{Answer, list, place, pretty, text, wait_for};
use super::check::table::table;
use super::client::{Client, GateArgs, customer};

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct RecipientsArgs {
    /// Whose data; `-` reads it from standard input, out of histories and process lists
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

fn shown(answer: &Value) -> String {
    let found = list(answer, "recipients");
    if found.is_empty() {
        return "The index knows of no data of this customer.\n".to_owned();
    }
    let row = |recipient: &Value| {
        let resources: Vec<_> = list(recipient, "resources").iter().filter_map(Value::as_str).collect();
        let closed = recipient.get("without_credentials").and_then(Value::as_bool).unwrap_or(false);
        let at = place(recipient) + if closed { ", no credentials" } else { "" };
        [at, resources.join(", "), text(recipient, "since").into()]
    };
    table(["UPSTREAM", "RESOURCES", "SINCE"], found.iter().map(row))
}
