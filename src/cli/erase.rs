//! `forgetgate erase CUSTOMER_ID`: an erasure through the admin API, or what it would do.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::answer::{Answer, FAILED, Failure, list, pretty, text, wait_for};
use super::client::{Client, GateArgs, customer};
use super::erasures::{accepted, one, targets};

/// Between two looks at an erasure that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct EraseArgs {
    /// Whose data; `-` reads it from standard input, out of histories and process lists
    pub customer_id: String,
    /// Only say where deletes would be sent, and what cannot be erased from here
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until every upstream has accepted
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
    /// Only these upstreams, by name; each is asked, whatever the index knows
    #[arg(long = "upstream", value_name = "NAME")]
    pub upstreams: Vec<String>,
    /// Why; kept with the erasure
    #[arg(long)]
    pub reason: Option<String>,
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Does it. Blocking. With `--wait` the code is 0 only if every upstream has accepted.
#[must_use]
pub fn erase(args: &EraseArgs, input: &mut dyn BufRead) -> Answer {
    wait_for(async {
        let client = Client::find(&args.gate)?;
        let upstreams = (!args.upstreams.is_empty()).then_some(&args.upstreams);
        let body = json!({
            "customer_id": customer(&args.customer_id, input)?.expose(),
            "dry_run": args.dry_run,
            "upstreams": upstreams,
            "reason": args.reason,
        });
        let mut answer = client.call(Method::POST, "/api/v1/erasures", Some(&body)).await?;
        if args.dry_run {
            return Ok(Answer::done(if args.gate.json { pretty(&answer) } else { dry(&answer) }));
        }
        let mut code = 0;
        if args.wait {
            answer = wait(&client, answer).await?;
            code = if is_accepted_everywhere(&answer) { 0 } else { FAILED };
        }
        let shown = if args.gate.json { pretty(&answer) } else { one(&answer) };
        Ok(Answer { text: shown, code, ..Answer::default() })
    })
}

/// Looks until every upstream has accepted or a person has to do something first.
async fn wait(client: &Client, mut erasure: Value) -> Result<Value, Failure> {
    let id = text(&erasure, "id").to_owned();
    let mut progress = Progress::default();
    while !is_accepted_everywhere(&erasure) && !waits_for_a_person(&erasure) {
        progress.show(&erasure);
        sleep(LOOK_EVERY).await;
        erasure = client.call(Method::GET, &format!("/api/v1/erasures/{id}"), None).await?;
    }
    progress.end();
    Ok(erasure)
}

fn is_accepted_everywhere(erasure: &Value) -> bool {
    matches!(text(erasure, "state"), "settling" | "done")
}

fn waits_for_a_person(erasure: &Value) -> bool {
    !matches!(text(erasure, "state"), "accepted" | "running")
}

/// One line on a terminal that is written over; nothing elsewhere.
#[derive(Default)]
struct Progress {
    shown: String,
}

impl Progress {
    fn show(&mut self, erasure: &Value) {
        let (accepted, all) = accepted(erasure);
        let line = format!("{accepted} of {all} deletes accepted");
        if line != self.shown && std::io::stderr().is_terminal() {
            write!(std::io::stderr(), "\r\x1b[K{line}").ok();
            self.shown = line;
        }
    }

    fn end(&self) {
        if !self.shown.is_empty() {
            write!(std::io::stderr(), "\r\x1b[K").ok();
        }
    }
}

fn dry(run: &Value) -> String {
    let would = match list(run, "targets") {
        [] => "No delete would be sent.\n".to_owned(),
        list => format!("Deletes would be sent to\n\n{}", targets(list)),
    };
    let cannot = match list(run, "cannot_be_erased") {
        [] => String::new(),
        list => format!("\nCannot be erased from here\n\n{}", targets(list)),
    };
    format!("{would}{cannot}\nNothing was sent and nothing was recorded.\n")
}
