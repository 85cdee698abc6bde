//! `forgetgate erasures [ID]`: all erasures, or one with its targets and what people decided about it.

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Answer, Failure, list, place, pretty, text, wait_for};
use super::check::table::table;
use super::client::{Client, GateArgs};

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct ErasuresArgs {
    /// The ID of one erasure, to show everything that is known of it
    pub id: Option<Uuid>,
    /// List only erasures in this state: running, settling, done, held, awaiting_approval, action_required, cancelled
    #[arg(long, conflicts_with = "id")]
    pub state: Option<String>,
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Asks the gate. Blocking.
#[must_use]
pub fn erasures(args: &ErasuresArgs) -> Answer {
    wait_for(async {
        let client = Client::find(&args.gate)?;
        let (answer, shown): (Value, fn(&Value) -> String) = match args.id {
            Some(id) => (client.call(Method::GET, &format!("/api/v1/erasures/{id}"), None).await?, one),
            None => (all(&client, args.state.as_deref()).await?, many),
        };
        Ok(Answer::done(if args.gate.json { pretty(&answer) } else { shown(&answer) }))
    })
}

/// Page by page, as one list.
async fn all(client: &Client, state: Option<&str>) -> Result<Value, Failure> {
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !state.is_none_or(is_word) {
        return Err(Failure::usage("--state is a word such as running or action_required".into()));
    }
    let base =
        format!("/api/v1/erasures?limit=1000{}", state.map_or_else(String::new, |state| format!("&state={state}")));
    let (mut erasures, mut path) = (Vec::new(), base.clone());
    loop {
        let page = client.call(Method::GET, &path, None).await?;
        erasures.extend_from_slice(list(&page, "erasures"));
        match text(&page, "next") {
            "" => return Ok(json!({ "erasures": erasures })),
            next => path = format!("{base}&cursor={next}"),
        }
    }
}

fn many(answer: &Value) -> String {
    let erasures = list(answer, "erasures");
    if erasures.is_empty() {
        return "There are no erasures.\n".to_owned();
    }
    let row = |erasure: &Value| {
        let (accepted, all) = accepted(erasure);
        let due = if is_late(erasure) { format!("{} LATE", text(erasure, "due")) } else { text(erasure, "due").into() };
        let [id, state, received] = ["id", "state", "received"].map(|member| text(erasure, member).to_owned());
        [id, state, format!("{accepted}/{all}"), received, due]
    };
    table(["ERASURE", "STATE", "ACCEPTED", "RECEIVED", "DUE"], erasures.iter().map(row))
}

/// One erasure with everything.
pub(super) fn one(erasure: &Value) -> String {
    let [id, state, received, due] = ["id", "state", "received", "due"].map(|member| text(erasure, member));
    let late = if is_late(erasure) { ", and late" } else { "" };
    let mut page = format!("Erasure {id}: {state}\nreceived {received}, due {due}{late}\n");
    if !text(erasure, "reason").is_empty() {
        page += &format!("reason: {}\n", text(erasure, "reason"));
    }
    if !list(erasure, "targets").is_empty() {
        page += &format!("\n{}", targets(list(erasure, "targets")));
    }
    let decisions = list(erasure, "decisions");
    if !decisions.is_empty() {
        let row = |one: &Value| ["at", "decision", "by", "note"].map(|member| text(one, member).to_owned());
        page += &format!("\n{}", table(["AT", "DECISION", "BY", "NOTE"], decisions.iter().map(row)));
    }
    page
}

/// Targets as a table.
pub(super) fn targets(list: &[Value]) -> String {
    let row = |target: &Value| {
        let [form, state, instant, next, error] =
            ["form", "state", "instant", "next_attempt", "last_error"].map(|member| text(target, member).to_owned());
        let attempts = target.get("attempts").map(Value::to_string).unwrap_or_default();
        let waiting = text(target, "waiting");
        let error = if error.is_empty() && !waiting.is_empty() { format!("waits for {waiting}") } else { error };
        [place(target), form, state, attempts, instant, next, error]
    };
    table(["UPSTREAM", "LABEL", "STATE", "DELETES", "INSTANT", "NEXT ATTEMPT", "LAST ERROR"], list.iter().map(row))
}

/// How many of an erasure's targets have accepted, and how many there are.
pub(super) fn accepted(erasure: &Value) -> (usize, usize) {
    let targets = list(erasure, "targets");
    let accepted = targets.iter().filter(|target| matches!(text(target, "state"), "accepted" | "settled"));
    (accepted.count(), targets.len())
}

fn is_late(erasure: &Value) -> bool {
    erasure.get("late").and_then(Value::as_bool).unwrap_or_default()
}
