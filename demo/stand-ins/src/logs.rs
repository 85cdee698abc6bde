//! The log query: stored messages, filtered in the language of Assistant's logs.
//!
//! Its operators (`,` and, `|` or, `*` at the end) work only outside quotes and unless escaped, as documented: an ID
//! that is pasted into a filter without quoting it is an injection here too.

use serde_json::{Value, json};

use crate::memory::Row;

/// Why a log query is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadFilter(pub(crate) &'static str);

/// The answer to a log query with these parameters; `all` says that it spans workspaces, which needs more of a filter.
pub(crate) fn answer(rows: &[Row], query: &[(String, String)], all: bool) -> Result<Value, BadFilter> {
    let parameter = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let filter = Filter::read(parameter("filter").unwrap_or_default());
    if all && !filter.names("language") {
        return Err(BadFilter("The filter must name a language"));
    }
    let matched: Vec<&Row> = rows.iter().filter(|row| row.what == "message" && filter.takes(row)).collect();
    let limit = parameter("page_limit").and_then(|text| text.parse().ok()).unwrap_or(100_usize).max(1);
    let start = parameter("cursor").and_then(|text| text.parse().ok()).unwrap_or(0_usize);
    let page: Vec<Value> = matched.iter().enumerate().skip(start).take(limit).map(|(n, row)| entry(n, row)).collect();
    let end = start + page.len();
    let pagination = if end < matched.len() {
        json!({ "matched": matched.len(), "next_cursor": end.to_string(), "next_url": next_url(query, end) })
    } else {
        json!({ "matched": matched.len() })
    };
    Ok(json!({ "logs": page, "pagination": pagination }))
}

fn entry(number: usize, row: &Row) -> Value {
    json!({
        "log_id": format!("log-{number}"),
        "request": row.request,
        "response": { "output": { "text": ["Hello."] } },
        "request_timestamp": row.stored.to_string(),
        "response_timestamp": row.stored.to_string(),
        "workspace_id": row.path.split('/').rev().nth(1).unwrap_or_default(),
        "language": "en",
        "customer_id": row.customers.first(),
    })
}

/// The path of the next page repeats the filter, as the service's does.
fn next_url(query: &[(String, String)], cursor: usize) -> String {
    let encoded =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let kept = query.iter().filter(|(name, _)| name != "cursor");
    let pairs: Vec<String> = kept.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    format!("/v1/logs?{}&cursor={cursor}", pairs.join("&"))
}

/// Alternatives, each a list of `field::value` terms that must all hold.
#[derive(Debug, PartialEq, Eq)]
struct Filter(Vec<Vec<Term>>);

#[derive(Debug, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    /// The value ended with a bare `*`.
    is_prefix: bool,
}

impl Filter {
    fn read(text: &str) -> Self {
        let mut alternatives = vec![Vec::new()];
        let mut term = String::new();
        let mut is_prefix = false;
        let mut chars = text.chars();
        let mut quoted = false;
        while let Some(next) = chars.next() {
            match next {
                '\\' => term.extend(chars.next()),
                '"' => quoted = !quoted,
                '*' if !quoted => is_prefix = true,
                ',' | '|' if !quoted => {
                    push(&mut alternatives, &mut term, &mut is_prefix);
                    if next == '|' {
                        alternatives.push(Vec::new());
                    }
                }
                other => term.push(other),
            }
        }
        push(&mut alternatives, &mut term, &mut is_prefix);
        Self(alternatives)
    }

    fn names(&self, field: &str) -> bool {
        self.0.iter().flatten().any(|term| term.field == field)
    }

    fn takes(&self, row: &Row) -> bool {
        self.0.iter().any(|terms| terms.iter().all(|term| term.takes(row)))
    }
}

/// Ends a term. An alternative without `field::` repeats the field of the one before: `customer_id::a|b`.
fn push(alternatives: &mut [Vec<Term>], text: &mut String, is_prefix: &mut bool) {
    let written = std::mem::take(text);
    let is_prefix = std::mem::take(is_prefix);
    if written.is_empty() && !is_prefix {
        return;
    }
    let before = alternatives.iter().flatten().last().map(|term| term.field.clone());
    let (field, value) = match written.split_once("::") {
        Some((field, value)) => (field.trim().to_owned(), value.to_owned()),
        None => (before.unwrap_or_default(), written),
    };
    if let Some(last) = alternatives.last_mut() {
        last.push(Term { field, value, is_prefix });
    }
}

impl Term {
    /// Only customers are told apart; every other field is taken to hold.
    fn takes(&self, row: &Row) -> bool {
        self.field != "customer_id"
            || row
                .customers
                .iter()
                .any(|id| if self.is_prefix { id.starts_with(&self.value) } else { *id == self.value })
    }
}
