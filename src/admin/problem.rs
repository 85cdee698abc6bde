//! Every answer of the admin API that is not what was asked for: a problem as RFC 9457 writes it.
//!
//! `code` is for programs and part of the contract, `detail` for people. Neither quotes anything of the request: what
//! was sent can be a customer's ID (P7).

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Fault;
use crate::erasure;
use crate::store::StoreError;

/// An answer; its body is there as a whole, but for an export's.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, StoreError>>;

/// What went wrong, for the caller.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    header: Option<Box<(HeaderName, Cow<'static, str>)>>,
    /// Of a configuration that was refused.
    faults: Option<Vec<Fault>>,
}

/// RFC 9457. `code` is for programs, `detail` for people.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    /// Of a configuration that was refused: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    faults: Option<Vec<Fault>>,
}

impl Problem {
    /// A problem with its sentence, which has no full stop and nothing of the request.
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), header: None, faults: None }
    }

    /// 400.
    pub(super) fn bad(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 405, with the methods that this path takes.
    pub(super) fn method_not_allowed(allow: String) -> Self {
        let detail = "this path does not take this method; the header Allow names those that it does";
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        Self { header: Some(Box::new((ALLOW, allow.into()))), ..problem }
    }

    /// 401.
    pub(super) fn unauthorised() -> Self {
        let detail = "this call needs the header Authorization: Bearer with the token that admin.token names";
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorised", detail);
        Self { header: Some(Box::new((WWW_AUTHENTICATE, "Bearer realm=\"forgetgate\"".into()))), ..problem }
    }

    /// 503, to be tried again.
    pub(super) fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        Self { header: Some(Box::new((RETRY_AFTER, "1".into()))), ..problem }
    }

    /// With all that is wrong with a configuration.
    pub(super) fn with_faults(self, faults: Vec<Fault>) -> Self {
        Self { faults: Some(faults), ..self }
    }

    /// As it goes out.
    pub(super) fn answer(self) -> Answer {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            faults: self.faults,
        };
        let body = serde_json::to_string(&body).unwrap_or_default();
        let mut answer = text(self.status, "application/problem+json", body);
        if let Some((name, value)) = self.header.map(|header| *header)
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

impl From<erasure::Problem> for Problem {
    fn from(problem: erasure::Problem) -> Self {
        use erasure::Problem as Of;
        let detail = problem.to_string();
        match problem {
            Of::OtherCustomer => Self::new(StatusCode::CONFLICT, "id_in_use", detail),
            Of::NotFound => Self::new(StatusCode::NOT_FOUND, "erasure_unknown", detail),
            Of::TooManyHolds => Self::new(StatusCode::CONFLICT, "holds_full", detail),
            Of::UnknownUpstream => Self::bad("upstream_unknown", detail),
            Of::Undecidable(why) => Self::new(StatusCode::CONFLICT, "state_conflict", why.to_string()),
            Of::Unconfirmed => Self::unavailable("store_unavailable", detail),
            Of::Store(_) => {
                Self::unavailable("store_unavailable", "the store does not take it at the moment: try again")
            }
        }
    }
}

/// An answer in JSON.
pub(super) fn json_answer(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_string(body) {
        Ok(body) => text(status, "application/json", body),
        Err(_) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the answer could not be written").answer()
        }
    }
}

/// An answer that no cache keeps.
pub(super) fn text(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let whole = Full::new(Bytes::from(body)).map_err(|never| match never {});
    with_body(status, kind, whole.boxed_unsync())
}

/// An answer with any body, that no cache keeps.
pub(super) fn with_body(status: StatusCode, kind: &'static str, body: UnsyncBoxBody<Bytes, StoreError>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}
