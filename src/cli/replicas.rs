//! `forgetgate replicas`: the gates that share a store.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::answer::{Answer, list, pretty, text, wait_for};
use super::check::table::table;
use super::client::{Client, GateArgs};

/// What was typed.
#[derive(Args, Clone, Debug)]
pub struct ReplicasArgs {
    /// Where the gate is.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Shows them. Blocking.
#[must_use]
pub fn replicas(args: &ReplicasArgs) -> Answer {
    wait_for(async {
        let answer = Client::find(&args.gate)?.call(Method::GET, "/api/v1/replicas", None).await?;
        Ok(Answer::done(if args.gate.json { pretty(&answer) } else { shown(&answer) }))
    })
}

fn shown(answer: &Value) -> String {
    let members = list(answer, "replicas");
    if members.is_empty() {
        return "This gate's store is embedded: no other gate can share it.\n".to_owned();
    }
    let seconds = |member: &Value, of: &str| {
        let millis = member[of].as_u64().unwrap_or(0);
        if millis == 0 { String::new() } else { format!("{}.{} s", millis / 1000, millis % 1000 / 100) }
    };
    let number =
        |member: &Value, of: &str| member[of].as_u64().map_or_else(|| "?".to_owned(), |number| number.to_string());
    let row = |member: &Value| {
        let this = member["this"].as_bool() == Some(true);
        let name = text(member, "name");
        [
            if this { format!("{name} (this)") } else { name.to_owned() },
            text(member, "state").to_owned(),
            seconds(member, "heard_ms"),
            seconds(member, "late_ms"),
            number(member, "behind"),
            number(member, "holds_up"),
            number(member, "fences"),
            number(member, "erasures"),
        ]
    };
    let heading = ["GATE", "STATE", "HEARD AGO", "LATE FOR", "BEHIND", "HOLDS UP", "FENCES", "ERASURES"];
    table(heading, members.iter().map(row))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::shown;

    #[test]
    fn each_gate_is_a_line_and_an_embedded_store_says_so() {
        let member = |name: &str, this: bool, state: &str, late: u64| {
            json!({ "id": null, "name": name, "this": this, "state": state, "heard_ms": 1250, "late_ms": late, "behind": 0,
                "holds_up": 2, "fences": 1, "erasures": null })
        };
        let answer = json!({ "replicas": [member("pod-0", true, "open", 0), member("pod-1", false, "cut", 61_900)] });
        let text = shown(&answer);
        let lines: Vec<Vec<&str>> = text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["pod-0", "(this)", "open", "1.2", "s", "0", "2", "1", "?"]);
        assert_eq!(lines[1], ["pod-1", "cut", "1.2", "s", "61.9", "s", "0", "2", "1", "?"]);
        assert!(shown(&json!({ "replicas": [] })).contains("embedded"));
    }
}
