//! `forgetgate hold CUSTOMER_ID`, `unhold HOLD` and `holds`: legal holds. Their list never says whose they are, so a hold is
//! taken off by its own ID.

use std::io::BufRead;

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, Failure, list, pretty, text, wait_for};
use super::check::table::table;
use super::client::{Client, GateArgs};
use super::customer::customer;

/// What was typed to set one.
#[derive(Args, Clone, Debug)]
pub struct HoldArgs {
    /// The ID of the customer whose data must be kept; `-` reads one line of standard input
    pub customer_id: String,
    /// Who decides; kept with the hold
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// The reason; kept with the hold, so it must not name the customer
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Hold only at this upstream
    #[arg(long, value_name = "NAME")]
    pub upstream: Option<String>,
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// What was typed to take one off.
#[derive(Args, Clone, Debug)]
pub struct UnholdArgs {
    /// The ID of the hold, as `hold` printed it and `holds` lists it
    pub hold: Uuid,
    /// Who decides
    #[arg(long, value_name = "NAME")]
    pub by: String,
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// What was typed to see them.
#[derive(Args, Clone, Debug)]
pub struct HoldsArgs {
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Sets a hold. Blocking.
#[must_use]
pub fn hold(args: &HoldArgs, input: &mut dyn BufRead) -> Answer {
    wait_for(async {
        let client = Client::find(&args.gate)?;
        let body = json!({
            "customer_id": customer(&args.customer_id, input)?.expose(),
            "upstream": args.upstream,
            "by": args.by,
            "reason": args.reason,
        });
        let hold = client.call(Method::POST, "/api/v1/holds", Some(&body)).await?;
        let at = text(&hold, "upstream");
        let place = if at.is_empty() { "every upstream" } else { at };
        let id = text(&hold, "id");
        let shown = format!("Hold {id}: nothing of this customer is erased at {place} until it is taken off.\n");
        Ok(Answer::done(if args.gate.json { pretty(&hold) } else { shown }))
    })
}

/// Takes a hold off. Blocking.
#[must_use]
pub fn unhold(args: &UnholdArgs) -> Answer {
    wait_for(async {
        let client = Client::find(&args.gate)?;
        let path = format!("/api/v1/holds/{}", args.hold);
        let answer = client.call(Method::DELETE, &path, Some(&json!({ "by": args.by }))).await?;
        let shown = format!("Hold {} is taken off. Erasures that waited for it go on.\n", args.hold);
        Ok(Answer::done(if args.gate.json { pretty(&answer) } else { shown }))
    })
}

/// Lists them. Blocking.
#[must_use]
pub fn holds(args: &HoldsArgs) -> Answer {
    wait_for(async {
        let client = Client::find(&args.gate)?;
        let all = all(&client).await?;
        Ok(Answer::done(if args.gate.json { pretty(&all) } else { shown(&all) }))
    })
}

/// Page by page, as one list.
async fn all(client: &Client) -> Result<Value, Failure> {
    let (mut holds, mut path) = (Vec::new(), "/api/v1/holds?limit=1000".to_owned());
    loop {
        let page = client.call(Method::GET, &path, None).await?;
        holds.extend_from_slice(list(&page, "holds"));
        match text(&page, "next") {
            "" => return Ok(json!({ "holds": holds })),
            next => path = format!("/api/v1/holds?limit=1000&cursor={next}"),
        }
    }
}

fn shown(answer: &Value) -> String {
    let holds = list(answer, "holds");
    if holds.is_empty() {
        return "There are no legal holds.\n".to_owned();
    }
    let row = |hold: &Value| {
        let [id, at, since, by, reason] =
            ["id", "upstream", "since", "by", "reason"].map(|member| text(hold, member).to_owned());
        [id, if at.is_empty() { "all".to_owned() } else { at }, since, by, reason]
    };
    table(["HOLD", "UPSTREAM", "SINCE", "BY", "REASON"], holds.iter().map(row))
}
