//! The table of proxies over HTTP/2: no cell is unsafe there either.

use super::caller::{Caller, run};
use super::raw::Raw;
use super::service::Service;
use super::world::Gate;
use crate::matrix::{Outcome, ROWS, Row};
use crate::world::{LABEL, MESSAGE, World};

const PROTOCOL_ERROR: u32 = 1;

/// The lines of a row in lower case, as HTTP/2 has all names.
fn lines(row: &Row) -> Vec<(String, &'static str)> {
    let parts = row.lines.iter().map(|line| line.split_once(": ").unwrap());
    parts.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// Lines that HTTP/2 does not have: a message with one of them is malformed, whatever else it says.
fn is_malformed(lines: &[(String, &str)]) -> bool {
    lines.iter().any(|(name, _)| matches!(name.as_str(), "connection" | "transfer-encoding"))
}

#[test]
fn p9_no_cell_of_the_table_of_proxies_is_unsafe_over_http_2() {
    for row in &ROWS {
        let lines = lines(row);
        let world = World::start();
        if is_malformed(&lines) {
            let mut raw = Raw::to(world.address);
            let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            raw.ask(1, MESSAGE, &lines);
            assert_eq!(raw.end_of(1), Some(PROTOCOL_ERROR), "{}", row.case);
            world.assert_untouched();
            continue;
        }
        let got = run(async {
            let mut request = super::caller::request(MESSAGE, &[]);
            for (name, value) in &lines {
                request.headers_mut().append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            }
            Caller::to(world.address).await.ask(request).await
        });
        match &row.outcome {
            Outcome::Refused(code) => {
                got.assert_refused(400, code);
                world.assert_untouched();
            }
            Outcome::Clean => {
                assert_eq!(got.status, 200, "{}", row.case);
                let seen = world.upstream.only();
                let governed = |line: &&&str| {
                    let line = line.to_ascii_lowercase().replace(['_', '.'], "-");
                    line.starts_with("x-watson")
                };
                let lines = seen.lines();
                let governed: Vec<String> =
                    lines.iter().filter(governed).map(|line| line.to_ascii_lowercase()).collect();
                assert_eq!(
                    governed,
                    [LABEL.to_ascii_lowercase(), "x-watson-learning-opt-out: true".to_owned()],
                    "{}",
                    row.case
                );
            }
        }
    }
}

#[test]
fn p9_no_cell_of_the_table_of_proxies_is_unsafe_before_a_service_of_http_2() {
    for row in &ROWS {
        let service = Service::accepting();
        let gate = Gate::before(service.address);
        let answer = gate.client().ask(crate::client::request(MESSAGE, row.lines, ""));
        match &row.outcome {
            Outcome::Refused(code) => {
                answer.assert_refused(400, code);
                assert_eq!(service.connections(), 0, "{}", row.case);
            }
            Outcome::Clean => {
                assert_eq!(answer.status, 200, "{}: {}", row.case, answer.text());
                let seen = service.saw(1).pop().unwrap();
                let spelt = |name: &&str| name.replace(['_', '.'], "-").starts_with("x-watson");
                let names = seen.head.headers.iter().map(|(name, _)| name.as_str());
                assert_eq!(names.filter(spelt).count(), 2, "{}: {:?}", row.case, seen.head.headers);
                assert_eq!(seen.values("x-watson-metadata"), ["customer_id=alice"], "{}", row.case);
                assert_eq!(seen.values("x-watson-learning-opt-out"), ["true"], "{}", row.case);
                assert_eq!(seen.values("x-other"), Vec::<&str>::new(), "{}", row.case);
            }
        }
    }
}
