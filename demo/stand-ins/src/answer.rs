//! The stand-ins' answers: bodies, errors in each service's shape, and the headers that real ones carry.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Kind;
use crate::catalogue::Body;
use crate::knobs::Fault;
use crate::{tokens, wav};

/// An answer before it has its usual headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    retry_after: Option<u64>,
    /// The `Sec-WebSocket-Accept` of a WebSocket that is opened.
    accept: Option<String>,
}

const JSON: &str = "application/json";

impl Answer {
    /// JSON with this status.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, JSON, body.to_string())
    }

    /// A body that is ready; an empty one has no type.
    pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, content_type, body: body.into(), retry_after: None, accept: None }
    }

    /// The connection becomes a WebSocket.
    pub(crate) fn switching(accept: String) -> Self {
        Self { accept: Some(accept), ..Self::text(101, "", "") }
    }

    /// A success with a body of the catalogue that needs no memory.
    pub(crate) fn plain(status: u16, body: Body) -> Self {
        match body {
            Body::Json(text) => Self::text(status, JSON, text),
            Body::Session => Self::json(status, &json!({ "session_id": Uuid::now_v7() })),
            Body::Audio => Self::text(status, "audio/wav", wav::sound()),
            Body::Events => Self::text(status, "text/event-stream", EVENTS),
            Body::IamToken => Self::json(status, &tokens::iam()),
            Body::PakToken => Self::json(status, &tokens::cloud_pak()),
            Body::Logs | Body::Delete => Self::text(status, JSON, "{}"),
        }
    }

    /// A delete that was taken: Discovery says it with an empty body, the others with `{}`.
    pub(crate) fn deleted(kind: Kind, status: u16) -> Self {
        if kind == Kind::Discovery { Self::text(status, "", "") } else { Self::text(status, JSON, "{}") }
    }

    /// An error in the shape of the service.
    pub(crate) fn error(kind: Kind, status: u16, sentence: &str) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let body = match kind {
            _ if status == 401 => json!({ "trace": Uuid::now_v7(), "error": "Unauthorized",
                "more_info": "https://cloud.ibm.com/docs/watson", "code": 401 }),
            Kind::SpeechToText | Kind::TextToSpeech => {
                json!({ "error": sentence, "code": status, "code_description": reason })
            }
            Kind::Discovery => json!({ "code": status, "error": sentence, "description": sentence }),
            Kind::VisualRecognition => json!({ "errors": [{ "code": reason, "message": sentence }],
                "error": sentence, "trace": Uuid::now_v7() }),
            Kind::Assistant | Kind::Language | Kind::Tokens => json!({ "error": sentence, "code": status }),
        };
        Self::json(status, &body)
    }

    /// The answer that was ordered in place of the real one.
    pub(crate) fn fault(kind: Kind, fault: Fault) -> Self {
        let sentence = "This stand-in was told to answer so";
        Self { retry_after: fault.retry_after, ..Self::error(kind, fault.status, sentence) }
    }

    /// The response, with the headers that a real service sends and the caller's transaction ID, if it sent one.
    pub(crate) fn into_response(self, transaction: Option<&HeaderValue>) -> Response<Full<Bytes>> {
        let mut headers = HeaderMap::new();
        if !self.content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(accept) = self.accept.and_then(|accept| HeaderValue::try_from(accept).ok()) {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        let unique = || HeaderValue::try_from(Uuid::now_v7().to_string()).unwrap_or(HeaderValue::from_static("-"));
        let request = unique();
        headers.insert(GLOBAL_TRANSACTION, transaction.cloned().unwrap_or_else(unique));
        headers.insert(WATSON_TRANSACTION, request.clone());
        headers.insert(REQUEST, request);
        headers.insert(header::SERVER, HeaderValue::from_static("watson-gateway"));
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains;"),
        );
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

const WATSON_TRANSACTION: HeaderName = HeaderName::from_static("x-dp-watson-tran-id");
const REQUEST: HeaderName = HeaderName::from_static("x-request-id");

/// Tracing across services: a client may bring its own.
pub(crate) const GLOBAL_TRANSACTION: HeaderName = HeaderName::from_static("x-global-transaction-id");

const EVENTS: &str = "id: 1\nevent: partial_item\ndata: {\"partial_item\":{\"response_type\":\"text\",\"text\":\"Hel\"}}\n\n\
    id: 2\nevent: final_response\ndata: {\"output\":{\"generic\":[{\"response_type\":\"text\",\"text\":\"Hello.\"}]}}\n\n";
