//! The cases in which six well-known proxies, with the obvious configuration, let a wrong label through. Here none does:
//! every case is one row of a table, with what the service may see of it.

use crate::client::request;
use crate::world::{LABEL, MESSAGE, World};

/// What the service may see.
pub(crate) enum Outcome {
    /// A refusal, and nothing at all at the service.
    Refused(&'static str),
    /// Alice's label and the opt-out, each exactly once, and no spelling of either besides.
    Clean,
}

pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) lines: &'static [&'static str],
    pub(crate) outcome: Outcome,
}

const EVIL: &str = "X-Watson-Metadata: customer_id=mallory";

pub(crate) const ROWS: [Row; 16] = [
    Row { case: "missing label", lines: &[], outcome: Outcome::Refused("label_missing") },
    Row {
        case: "malformed label",
        lines: &["X-Watson-Metadata: customer_id=a=b"],
        outcome: Outcome::Refused("label_invalid"),
    },
    Row { case: "duplicate: good, evil", lines: &[LABEL, EVIL], outcome: Outcome::Refused("header_ambiguous") },
    Row { case: "duplicate: evil, good", lines: &[EVIL, LABEL], outcome: Outcome::Refused("header_ambiguous") },
    Row {
        case: "joined by a comma",
        lines: &["X-Watson-Metadata: customer_id=alice, customer_id=mallory"],
        outcome: Outcome::Refused("label_invalid"),
    },
    Row {
        case: "underscore twin",
        lines: &[LABEL, "X_Watson_Metadata: customer_id=mallory"],
        outcome: Outcome::Refused("header_ambiguous"),
    },
    Row {
        case: "dotted twin alone",
        lines: &["X.Watson.Metadata: customer_id=mallory"],
        outcome: Outcome::Refused("header_ambiguous"),
    },
    Row {
        case: "Connection names the label",
        lines: &[LABEL, "Connection: close, X-Watson-Metadata"],
        outcome: Outcome::Refused("header_ambiguous"),
    },
    Row {
        case: "Connection names the opt-out",
        lines: &[LABEL, "Connection: X-Watson-Learning-Opt-Out"],
        outcome: Outcome::Refused("header_ambiguous"),
    },
    Row { case: "opt-out false", lines: &[LABEL, "X-Watson-Learning-Opt-Out: false"], outcome: Outcome::Clean },
    Row {
        case: "opt-out false twice and in a twin",
        lines: &[
            LABEL,
            "X-Watson-Learning-Opt-Out: false",
            "X_Watson_Learning_Opt_Out: false",
            "x-watson-learning-opt-out: 0",
        ],
        outcome: Outcome::Clean,
    },
    Row {
        case: "Content-Length and Transfer-Encoding",
        lines: &[LABEL, "Content-Length: 5", "Transfer-Encoding: chunked"],
        outcome: Outcome::Refused("header_ambiguous"),
    },
    Row {
        case: "Transfer-Encoding and Content-Length",
        lines: &[LABEL, "Transfer-Encoding: chunked", "Content-Length: 5"],
        outcome: Outcome::Refused("header_ambiguous"),
    },
    Row { case: "two Hosts", lines: &[LABEL, "Host: evil"], outcome: Outcome::Refused("header_ambiguous") },
    Row {
        case: "an innocent nomination",
        lines: &[LABEL, "Connection: X-Other", "X-Other: 1"],
        outcome: Outcome::Clean,
    },
    Row { case: "the plain good case", lines: &[LABEL], outcome: Outcome::Clean },
];

#[track_caller]
fn check(case: &str, sent: &str, outcome: &Outcome) {
    let world = World::start();
    match outcome {
        Outcome::Refused(code) => drop(world.refused(sent, 400, code)),
        Outcome::Clean => {
            let seen = world.forwarded(sent);
            let governed = |line: &&&str| {
                let line = line.to_ascii_lowercase().replace(['_', '.'], "-");
                line.starts_with("x-watson") || line.starts_with("x-other")
            };
            let lines = seen.lines();
            let governed: Vec<&&str> = lines.iter().filter(governed).collect();
            assert_eq!(governed, [&LABEL, &"X-Watson-Learning-Opt-Out: true"], "{case}");
        }
    }
}

#[test]
fn p9_no_cell_of_the_table_of_proxies_is_unsafe() {
    for Row { case, lines, outcome } in &ROWS {
        check(case, &request(MESSAGE, lines, ""), outcome);
    }
}

#[test]
fn p9_an_absolute_target_for_another_host_is_refused() {
    let line = MESSAGE.replace("/api", "http://evil/api");
    check("absolute form and Host differ", &request(&line, &[LABEL], ""), &Outcome::Refused("header_ambiguous"));
    let line = MESSAGE.replace("/api", "http://gate/api");
    check("absolute form and Host agree", &request(&line, &[LABEL], ""), &Outcome::Clean);
}
