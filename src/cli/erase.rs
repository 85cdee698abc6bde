//! `forgetgate erase CUSTOMER_ID`: an erasure through the admin API, or what it would do.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::answer::{Answer, FAILED, Failure, list, pretty, text, wait_for};
use super::client::{Client, GateArgs};
use super::customer::customer;
use super::erasures::{accepted, one, targets};
use crate::config::{DURATION_FORM, parse_duration};

/// Between two looks at an erasure that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct EraseArgs {
    /// The customer's ID; `-` reads one line of standard input, so that the ID stays out of the shell's history
    pub customer_id: String,
    /// Only show where deletes would be sent, and what cannot be erased through the gate
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until every upstream has accepted
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
    /// Wait at most this long, such as 30s or 10m, then exit with 1; the erasure goes on
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Erase only at this upstream, whatever the index knows; may be given several times
    #[arg(long = "upstream", value_name = "NAME")]
    pub upstreams: Vec<String>,
    /// The reason; kept with the erasure
    #[arg(long)]
    pub reason: Option<String>,
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("expected {DURATION_FORM}"))
}

/// Nobody labelled data so, as far as the index knows: a mistyped ID looks like this.
const UNKNOWN: &str = "Nothing is known of this ID: no upstream is asked to delete anything.\n";

/// Does it. Blocking. With `--wait` the code is 0 only if every upstream has accepted.
#[must_use]
pub fn erase(args: &EraseArgs, input: &mut dyn BufRead) -> Answer {
    wait_for(async {
        let client = Client::find(&args.gate)?;
        let upstreams = (!args.upstreams.is_empty()).then_some(&args.upstreams);
        let customer = customer(&args.customer_id, input)?;
        let body = |dry_run: bool| {
            json!({
                "customer_id": customer.expose(),
                "dry_run": dry_run,
                "upstreams": upstreams,
                "reason": args.reason,
            })
        };
        // Asked before: what an erasure has to do is known only once it has been planned.
        let dry_run = client.call(Method::POST, "/api/v1/erasures", Some(&body(true))).await?;
        let is_unknown = ["targets", "cannot_be_erased"].iter().all(|member| list(&dry_run, member).is_empty());
        if args.dry_run {
            return Ok(shown(args, &dry_run, dry, is_unknown));
        }
        let mut answer = client.call(Method::POST, "/api/v1/erasures", Some(&body(false))).await?;
        let (mut code, mut complaint) = (0, String::new());
        if args.wait {
            (answer, complaint) = wait(&client, answer, args.timeout).await?;
            code = if is_accepted_everywhere(&answer) { 0 } else { FAILED };
        }
        let shown = shown(args, &answer, one, is_unknown);
        Ok(Answer { code, complaint: shown.complaint + &complaint, ..shown })
    })
}

/// For people with the sentence about an unknown ID; as JSON it stands beside it.
fn shown(args: &EraseArgs, answer: &Value, page: fn(&Value) -> String, is_unknown: bool) -> Answer {
    let unknown = if is_unknown { UNKNOWN } else { "" };
    if args.gate.json {
        return Answer { text: pretty(answer), complaint: unknown.to_owned(), ..Answer::default() };
    }
    Answer::done(format!("{unknown}{}", page(answer)))
}

/// Looks until every upstream has accepted, a person has to do something first, or the time is over. Whoever breaks this
/// off knows the erasure's ID by then.
async fn wait(client: &Client, mut erasure: Value, within: Option<Duration>) -> Result<(Value, String), Failure> {
    let id = text(&erasure, "id").to_owned();
    writeln!(std::io::stderr(), "Erasure {id} is accepted; waiting until every upstream has accepted.").ok();
    let mut progress = Progress::default();
    let looking = async {
        while !is_accepted_everywhere(&erasure) && !waits_for_a_person(&erasure) {
            progress.show(&erasure);
            sleep(LOOK_EVERY).await;
            erasure = client.call(Method::GET, &format!("/api/v1/erasures/{id}"), None).await?;
        }
        Ok::<(), Failure>(())
    };
    let looked = match within {
        Some(within) => timeout(within, looking).await.ok(),
        None => Some(looking.await),
    };
    progress.end();
    match looked {
        Some(looked) => looked.map(|()| (erasure, String::new())),
        None => Ok((erasure, format!("forgetgate: the time is over; the erasure goes on: forgetgate erasures {id}\n"))),
    }
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
        let failing = list(erasure, "targets").iter().find(|target| !text(target, "last_error").is_empty());
        let failing = failing.map(|target| format!("; {}: {}", text(target, "upstream"), text(target, "last_error")));
        let line = format!("{accepted} of {all} deletes accepted{}", failing.unwrap_or_default());
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
        [] => String::new(),
        list => format!("Deletes would be sent to\n\n{}", targets(list)),
    };
    let cannot = match list(run, "cannot_be_erased") {
        [] => String::new(),
        list => format!("\nCannot be erased from here\n\n{}", targets(list)),
    };
    format!("{would}{cannot}\nNothing was sent and nothing was recorded.\n")
}
