//! Refusals as HTTP answers, in the shape that the service's own clients read.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use serde::Serialize;

use super::apply::{OUR_VIA, X_REQUEST_ID};
use super::body::AnswerBody;
use crate::domain::profile::ErrorShape;
use crate::domain::refusal::Refusal;
use crate::telemetry::clock;

/// The code of a refusal, on every answer that is the gate's own.
pub const FORGETGATE_REFUSAL: HeaderName = HeaderName::from_static("forgetgate-refusal");

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    errors: [Detail<'a>; 1],
    trace: &'a str,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'a str,
    message: &'a str,
}

/// A refusal on its way to the caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusing<'a> {
    pub(super) refusal: Refusal,
    /// Nearly always the code's own.
    pub(super) status: u16,
    pub(super) retry_after_s: Option<u32>,
    pub(super) shape: ErrorShape,
    pub(super) request_id: &'a HeaderValue,
    /// Does the connection end behind it, because the rest of the request is not wanted?
    pub(super) close: bool,
}

/// The answer.
pub(super) fn refuse(refusing: Refusing<'_>) -> Response<AnswerBody> {
    let Refusing { refusal, status, retry_after_s, shape, request_id, close } = refusing;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let sentence = refusal.sentence;
    let body = Body {
        code: status.as_u16(),
        error: sentence,
        code_description: (shape == ErrorShape::WatsonSpeech).then(|| status.canonical_reason().unwrap_or("Error")),
        description: (shape == ErrorShape::WatsonDiscovery).then_some(sentence),
        errors: [Detail { code: refusal.code.as_str(), message: sentence }],
        trace: request_id.to_str().unwrap_or_default(),
    };
    // A struct of texts and a number always serialises.
    let text = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(AnswerBody::Own(Some(Bytes::from(text))));
    *response.status_mut() = status;
    // On audio streams Node's SDK shows nothing but the reason phrase.
    if let Ok(reason) = ReasonPhrase::try_from(sentence.as_bytes()) {
        response.extensions_mut().insert(reason);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(FORGETGATE_REFUSAL, HeaderValue::from_static(refusal.code.as_str()));
    headers.insert(X_REQUEST_ID, request_id.clone());
    headers.insert(http::header::VIA, OUR_VIA);
    if let Ok(date) = HeaderValue::from_str(&http_date()) {
        headers.insert(DATE, date);
    }
    if let Some(seconds) = retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn http_date() -> String {
    let since_1970 = std::time::Duration::from_secs(clock::unix_now().0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_1970)
}
