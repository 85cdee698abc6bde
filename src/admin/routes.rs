//! The table of all calls. The router finds its way by it, and the OpenAPI description is written from it by a test.

use std::collections::BTreeSet;

use http::Method;
use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// Which call a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Alive,
    Ready,
    Metrics,
    OpenApi,
    Submit,
    List,
    Show,
    Approve,
    Hold,
    Unhold,
    Cancel,
    Retry,
    Close,
    SetHold,
    LiftHold,
    Holds,
    Confirm,
    Receipt,
    Recipients,
    Upstreams,
    Replicas,
    Config,
    Reload,
    Export,
    Exported,
}

/// One call.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the description is checked against this table, and given out as a file")
)]
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// Segments in braces are parameters: `{id}` and `{upstream}`.
    pub(super) path: &'static str,
    pub(super) call: Call,
    /// Whether it answers without the token.
    pub(super) open: bool,
    pub(super) summary: &'static str,
    /// Name of the body's schema, for those that take one.
    pub(super) takes: Option<&'static str>,
    /// Status and name of the schema of what it gives when it does what was asked.
    pub(super) gives: (u16, &'static str),
    /// Statuses of its problems, besides those that every call can have.
    pub(super) problems: &'static [u16],
}

/// Parameters of the query of `GET /api/v1/erasures`; no other call takes a query.
pub(super) const LIST_QUERY: [&str; 3] = ["state", "cursor", "limit"];

const fn open(
    path: &'static str,
    call: Call,
    summary: &'static str,
    gives: &'static str,
    problems: &'static [u16],
) -> Route {
    Route { method: Method::GET, path, call, open: true, summary, takes: None, gives: (200, gives), problems }
}

const fn get(
    path: &'static str,
    call: Call,
    summary: &'static str,
    gives: &'static str,
    problems: &'static [u16],
) -> Route {
    Route { method: Method::GET, path, call, open: false, summary, takes: None, gives: (200, gives), problems }
}

const fn post(
    path: &'static str,
    call: Call,
    summary: &'static str,
    takes: Option<&'static str>,
    gives: (u16, &'static str),
    problems: &'static [u16],
) -> Route {
    Route { method: Method::POST, path, call, open: false, summary, takes, gives, problems }
}

const ERASURE: (u16, &str) = (200, "Erasure");

/// All calls, in the order of the documents.
pub(super) static ROUTES: [Route; 25] = [
    open("/healthz", Call::Alive, "Is the process alive, and its store?", "Health", &[503]),
    open("/readyz", Call::Ready, "Is it ready for traffic, and if not, what is missing?", "Readiness", &[503]),
    get("/metrics", Call::Metrics, "All metrics, as OpenMetrics text; admin.metrics says who may", "Metrics", &[]),
    get("/api/v1/openapi.json", Call::OpenApi, "This description", "OpenApi", &[]),
    post(
        "/api/v1/erasures",
        Call::Submit,
        "Erase a customer's data everywhere, or say what that would do (dry_run answers 200)",
        Some("Submission"),
        (202, "Erasure"),
        &[409, 413, 503],
    ),
    get("/api/v1/erasures", Call::List, "Erasures in the order of their IDs", "ErasureList", &[503]),
    get("/api/v1/erasures/{id}", Call::Show, "One erasure", "Erasure", &[404, 503]),
    post(
        "/api/v1/erasures/{id}/approve",
        Call::Approve,
        "A named person lets an erasure above the rate go on",
        Some("Decision"),
        ERASURE,
        DECIDING,
    ),
    post(
        "/api/v1/erasures/{id}/hold",
        Call::Hold,
        "A named person puts it, or one upstream of it, on legal hold",
        Some("Decision"),
        ERASURE,
        DECIDING,
    ),
    post(
        "/api/v1/erasures/{id}/unhold",
        Call::Unhold,
        "A named person ends a legal hold",
        Some("Decision"),
        ERASURE,
        DECIDING,
    ),
    post(
        "/api/v1/erasures/{id}/cancel",
        Call::Cancel,
        "Call it off; only before the first delete was sent",
        Some("Note"),
        ERASURE,
        DECIDING,
    ),
    post("/api/v1/erasures/{id}/retry", Call::Retry, "Try again now", Some("Note"), ERASURE, DECIDING),
    post(
        "/api/v1/erasures/{id}/targets/{upstream}/confirm",
        Call::Confirm,
        "A named person confirms a ticket",
        Some("Confirmation"),
        ERASURE,
        DECIDING,
    ),
    post(
        "/api/v1/erasures/{id}/targets/{upstream}/close",
        Call::Close,
        "A named person gives up a target that waits for a person: closed, never accepted",
        Some("Closing"),
        ERASURE,
        DECIDING,
    ),
    post(
        "/api/v1/holds",
        Call::SetHold,
        "A named person puts a customer on legal hold, before or after an erasure is asked for",
        Some("HoldRequest"),
        (201, "Hold"),
        &[404, 409, 413, 503],
    ),
    get("/api/v1/holds", Call::Holds, "Legal holds in the order of their IDs", "HoldList", &[503]),
    Route {
        method: Method::DELETE,
        path: "/api/v1/holds/{id}",
        call: Call::LiftHold,
        open: false,
        summary: "A named person takes a legal hold off",
        takes: Some("Note"),
        gives: (200, "Lifted"),
        problems: &[404, 413, 503],
    },
    get(
        "/api/v1/erasures/{id}/receipt",
        Call::Receipt,
        "The signed receipt (not made by this version: 404)",
        "Receipt",
        &[404, 503],
    ),
    post(
        "/api/v1/recipients",
        Call::Recipients,
        "Which upstreams and resources hold this customer's data, and since when",
        Some("Customer"),
        (200, "Recipients"),
        &[413, 503],
    ),
    get(
        "/api/v1/replicas",
        Call::Replicas,
        "The gates that share this one's store, and how far each has come",
        "Replicas",
        &[],
    ),
    get("/api/v1/upstreams", Call::Upstreams, "What was counted for each upstream since the start", "Upstreams", &[]),
    get("/api/v1/config", Call::Config, "The configuration in force, without secrets", "Config", &[]),
    post(
        "/api/v1/config/reload",
        Call::Reload,
        "Read the configuration's file again; with a fault in it (422) the one in force stays",
        None,
        (200, "Reload"),
        &[422, 501, 503],
    ),
    get(
        "/api/v1/index/export",
        Call::Export,
        "The whole store in one file, for `forgetgate index restore`",
        "Export",
        &[503],
    ),
    post(
        "/api/v1/index/export",
        Call::Exported,
        "An export is whole and on a disk: what older exports than the one before it would need is dropped",
        Some("Exported"),
        (200, "Exported"),
        &[409, 413, 503],
    ),
];

const DECIDING: &[u16] = &[404, 409, 413, 503];

/// What a path says beyond its template.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) id: Option<String>,
    pub(super) upstream: Option<String>,
}

/// The row for a method and a path. HEAD is GET without a body.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, Parameters), Problem> {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let mut allow = BTreeSet::new();
    for route in &ROUTES {
        if let Some(parameters) = parameters(route.path, path) {
            if route.method == *wanted {
                return Ok((route, parameters));
            }
            allow.insert(route.method.as_str());
            if route.method == Method::GET {
                allow.insert("HEAD");
            }
        }
    }
    if allow.is_empty() {
        return Err(Problem::new(
            http::StatusCode::NOT_FOUND,
            "call_unknown",
            "there is no such call; GET /api/v1/openapi.json lists all",
        ));
    }
    Err(Problem::method_not_allowed(allow.into_iter().collect::<Vec<_>>().join(", ")))
}

fn parameters(template: &str, path: &str) -> Option<Parameters> {
    let mut found = Parameters::default();
    let mut given = path.split('/');
    for wanted in template.split('/') {
        let segment = given.next()?;
        if segment.is_empty() && wanted.starts_with('{') {
            return None;
        }
        let decoded = || percent_decode_str(segment).decode_utf8().ok().map(std::borrow::Cow::into_owned);
        match wanted {
            "{id}" => found.id = Some(decoded()?),
            "{upstream}" => found.upstream = Some(decoded()?),
            fixed if fixed == segment => {}
            _ => return None,
        }
    }
    given.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Method, Parameters, ROUTES, find, parameters};

    #[test]
    fn no_two_rows_are_the_same_call_and_each_row_is_found_by_its_own_path() {
        let mut seen = BTreeSet::new();
        for route in &ROUTES {
            assert!(seen.insert((route.method.as_str(), route.path)), "{}", route.path);
            let path = route.path.replace("{id}", "an-id").replace("{upstream}", "an%20upstream");
            assert_eq!(find(&route.method, &path).unwrap().0.call, route.call);
        }
    }

    #[test]
    fn a_path_is_matched_by_whole_segments() {
        let shown = Parameters { id: Some("x".into()), upstream: None };
        assert_eq!(parameters("/api/v1/erasures/{id}", "/api/v1/erasures/x"), Some(shown));
        assert_eq!(parameters("/api/v1/erasures/{id}", "/api/v1/erasures/x/y"), None);
        assert_eq!(parameters("/api/v1/erasures", "/api/v1/erasures/"), None);
        assert!(find(&Method::HEAD, "/healthz").is_ok());
        assert!(find(&Method::HEAD, "/api/v1/recipients").is_err());
    }
}
