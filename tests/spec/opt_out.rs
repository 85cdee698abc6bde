//! P2: opted out, exactly once, whatever the caller said, unless the operator chose otherwise.

use crate::client::request;
use crate::upstream::Seen;
use crate::world::{LABEL, MESSAGE, PLAIN, Plan, World};

fn message(lines: &[&str]) -> String {
    request(MESSAGE, &[&[LABEL, "Content-Length: 2"], lines].concat(), "{}")
}

/// All lines that any server could take for the opt-out, as they arrived.
fn opt_outs(seen: &Seen) -> Vec<String> {
    let folded = |line: &str| line.to_ascii_lowercase().replace(['_', '.'], "-");
    let governed = ["x-watson-learning-opt-out:", "x-wdc-pl-opt-out:", "x-watson-logging-opt-out:"];
    let lines = seen.head.split("\r\n").skip(1);
    lines.filter(|line| governed.iter().any(|name| folded(line).starts_with(name))).map(str::to_lowercase).collect()
}

const OUT: &str = "x-watson-learning-opt-out: true";
const IN: &str = "x-watson-learning-opt-out: false";

/// What callers say, in every way in which it was ever said.
const SAID: [&[&str]; 12] = [
    &[],
    &["X-Watson-Learning-Opt-Out: true"],
    &["X-Watson-Learning-Opt-Out: false"],
    &["x-watson-learning-opt-out: 0"],
    &["X-Watson-Learning-Opt-Out: TRUE"],
    &["X-Watson-Learning-Opt-Out: "],
    &["X-Watson-Learning-Opt-Out: false", "X-Watson-Learning-Opt-Out: true"],
    &["X-Watson-Learning-Opt-Out: true", "X-WATSON-LEARNING-OPT-OUT: false"],
    &["X_Watson_Learning_Opt_Out: false"],
    &["X.Watson.Learning.Opt.Out: false", "X-Watson-Learning-Opt_Out: false"],
    &["X-WDC-PL-OPT-OUT: 0"],
    &["X_WDC_PL_OPT_OUT: 1", "X-WDC-PL-OPT-OUT: 0"],
];

#[test]
fn p2_the_opt_out_arrives_exactly_once_whatever_the_caller_said() {
    let world = World::start();
    for said in SAID {
        assert_eq!(opt_outs(&world.forwarded(message(said))), [OUT], "{said:?}");
    }
}

#[test]
fn p2_by_default_policy_the_callers_word_counts_and_silence_opts_out() {
    let world = World::with_policy("opt_out = \"default\"");
    let check =
        |said: &[&str], expected: &str| assert_eq!(opt_outs(&world.forwarded(message(said))), [expected], "{said:?}");
    check(&[], OUT);
    check(&["X-Watson-Learning-Opt-Out: false"], IN);
    check(&["X-Watson-Learning-Opt-Out: 0"], IN);
    check(&["X-Watson-Learning-Opt-Out: 1"], OUT);
    check(&["X-Watson-Learning-Opt-Out: false", "X-Watson-Learning-Opt-Out: true"], OUT);
    check(&["X-WDC-PL-OPT-OUT: 1"], OUT);
    check(&["X-WDC-PL-OPT-OUT: 0"], IN);
    check(&["X-WDC-PL-OPT-OUT: 1", "X-Watson-Learning-Opt-Out: false"], OUT);
}

#[test]
fn p2_switched_off_nothing_is_added_and_the_callers_word_still_arrives_once() {
    let world = World::with_policy("opt_out = \"off\"");
    assert_eq!(opt_outs(&world.forwarded(message(&[]))), Vec::<String>::new());
    assert_eq!(opt_outs(&world.forwarded(message(&["X-WDC-PL-OPT-OUT: 1"]))), [OUT]);
    assert_eq!(opt_outs(&world.forwarded(message(&["X_Watson_Learning_Opt_Out: true"]))), [OUT]);
    assert_eq!(opt_outs(&world.forwarded(message(&["X-Watson-Learning-Opt-Out: 0"]))), [IN]);
}

#[test]
fn p2_the_old_header_is_never_forwarded_and_the_new_one_passes_where_it_means_nothing() {
    let world = World::start();
    let lines = ["X-WDC-PL-OPT-OUT: 1", "x_wdc_pl_opt_out: 1", "X-Watson-Learning-Opt-Out: false"];
    assert_eq!(opt_outs(&world.forwarded(request(PLAIN, &lines, ""))), [IN]);
}

#[test]
fn p2_a_call_that_is_not_labelled_but_honours_it_is_opted_out_too() {
    let world = World::of(Plan { profile: "watson-visual-recognition", ..Plan::default() });
    let seen = world.forwarded(request("POST /api/v3/classify", &["X-Watson-Learning-Opt-Out: false"], ""));
    assert_eq!(opt_outs(&seen), [OUT]);
}

#[test]
fn p2_discovery_is_told_in_both_its_words() {
    let world = World::of(Plan { profile: "watson-discovery", ..Plan::default() });
    let query = "GET /api/v1/environments/e/collections/c/query?passages=true";
    for said in [&[LABEL][..], &[LABEL, "X-Watson-Logging-Opt-Out: false"], &[LABEL, "X_Watson_Logging_Opt_Out: 0"]] {
        let mut found = opt_outs(&world.forwarded(request(query, said, "")));
        found.sort_unstable();
        assert_eq!(found, [OUT, "x-watson-logging-opt-out: true"], "{said:?}");
    }
}

#[test]
fn p9_the_opt_out_cannot_be_nominated_away() {
    for name in
        ["X-Watson-Learning-Opt-Out", "x-watson-learning-opt-out", "X_Watson_Learning_Opt_Out", "X-WDC-PL-OPT-OUT"]
    {
        let sent = message(&[&format!("Connection: close, {name}")]);
        World::start().refused(sent, 400, "header_ambiguous");
    }
}

#[test]
fn p2_the_opt_out_cannot_be_taken_back_in_a_trailer() {
    let lines = [LABEL, "Trailer: X-Watson-Learning-Opt-Out, X-Sum", "Transfer-Encoding: chunked"];
    let body =
        "2\r\n{}\r\n0\r\nX-Watson-Learning-Opt-Out: false\r\nX_Watson_Learning_Opt_Out: false\r\nX-Sum: 1\r\n\r\n";
    let world = World::start();
    let seen = world.forwarded(request(MESSAGE, &lines, body));
    assert_eq!(opt_outs(&seen), [OUT]);
    assert_eq!(seen.values("trailer"), ["X-Sum"]);
    assert_eq!(seen.trailers, ["X-Sum: 1"]);
}
