//! What a stand-in saw and holds, as JSON, for tests in other languages and for people with curl. Looking leaves no trace.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::knobs::Shared;
use crate::seen::Seen;

/// The answer if the path is `/stand-in/seen` or `/stand-in/holdings`.
pub(crate) fn answer(shared: &Shared, path: &str) -> Option<Answer> {
    let told = match path {
        "/stand-in/seen" => Value::Array(shared.record.lock().all().iter().map(request).collect()),
        "/stand-in/holdings" => shared
            .memory
            .lock()
            .holdings()
            .into_iter()
            .map(|(customer, count)| json!({ "customer_id": customer, "count": count }))
            .collect(),
        _ => return None,
    };
    Some(Answer::json(200, &told))
}

fn request(seen: &Seen) -> Value {
    json!({
        "method": seen.method(),
        "target": seen.target(),
        "lines": seen.lines(),
        "trailers": seen.trailers,
        "body_length": seen.body_length,
        "body_sha256": seen.body_sha256,
        "body_start": String::from_utf8_lossy(&seen.body_start),
        "complete": seen.complete,
        "answered": seen.answered,
        "connection": seen.connection,
    })
}
