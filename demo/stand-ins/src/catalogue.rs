//! Which calls each stand-in knows, what data they bring and what they answer.
//!
//! Paths and success codes are those of the services' API definitions. A call that is not here carries nobody's data
//! and is answered with an empty object.

use crate::Kind;

/// What a call leaves behind at the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Nothing.
    None,
    /// Data that the label header labels; without one it can never be deleted.
    Labelled,
    /// The same, but only where the query asks in natural language or for passages (Discovery v1).
    LabelledQuestion,
    /// Data that no label can reach, whatever the request says.
    Unlabellable,
}

/// The body of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// This JSON text.
    Json(&'static str),
    /// `{"session_id":"…"}`.
    Session,
    /// A short sound.
    Audio,
    /// Server-sent events.
    Events,
    /// Stored messages.
    Logs,
    /// An IAM token.
    IamToken,
    /// A Cloud Pak for Data token.
    PakToken,
    /// Labelled data is deleted.
    Delete,
}

/// Stands in the place of a method for a GET that opens a WebSocket.
pub(crate) const WEBSOCKET: &str = "WEBSOCKET";

/// One call of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) method: &'static str,
    /// Segments; `{}` matches any one.
    pub(crate) path: &'static str,
    /// What the data is, in a word.
    pub(crate) what: &'static str,
    pub(crate) data: Data,
    pub(crate) status: u16,
    pub(crate) body: Body,
}

const EMPTY: Body = Body::Json("{}");
const REPLY_V1: Body = Body::Json(
    r#"{"input":{"text":""},"intents":[],"entities":[],"context":{"conversation_id":"c-1"},"output":{"text":["Hello."],"generic":[{"response_type":"text","text":"Hello."}],"nodes_visited":[],"log_messages":[]}}"#,
);
const REPLY_V2: Body = Body::Json(
    r#"{"output":{"generic":[{"response_type":"text","text":"Hello."}],"intents":[],"entities":[]},"user_id":"anonymous"}"#,
);
/// What Speech to Text makes of any sound.
pub(crate) const TRANSCRIPT: &str =
    r#"{"result_index":0,"results":[{"final":true,"alternatives":[{"transcript":"hello ","confidence":0.96}]}]}"#;
const HEARD: Body = Body::Json(TRANSCRIPT);
const JOB: Body = Body::Json(
    r#"{"id":"4bd734c0-e575-21f3-de03-f932aa0468a0","status":"waiting","created":"2026-01-01T00:00:00.000Z","url":"/v1/recognitions/4bd734c0-e575-21f3-de03-f932aa0468a0"}"#,
);
const CALLBACK: Body = Body::Json(r#"{"status":"created","url":"http://callback.example/x"}"#);
const CLASSIFIER: Body =
    Body::Json(r#"{"classifier_id":"apples_1","name":"apples","status":"training","classes":[{"class":"apple"}]}"#);
const COLLECTION: Body = Body::Json(
    r#"{"collection_id":"5826c5ec-6f86-44b1-ab2b-cca6c75f2fc7","name":"apples","description":"","image_count":0,"training_status":{"objects":{"ready":false,"in_progress":false,"data_changed":false,"latest_failed":false,"description":""}}}"#,
);
const DOCUMENT: Body = Body::Json(r#"{"document_id":"f1360220-ea2d-4271-9d62-89a910b13c37","status":"processing"}"#);
const FOUND: Body = Body::Json(r#"{"matching_results":0,"results":[]}"#);

const fn call(
    kind: Kind,
    method: &'static str,
    path: &'static str,
    what: &'static str,
    data: Data,
    (status, body): (u16, Body),
) -> Call {
    Call { kind, method, path, what, data, status, body }
}

use Data::{Labelled, LabelledQuestion, Unlabellable};
use Kind::{Assistant, Discovery, Language, SpeechToText, TextToSpeech, Tokens, VisualRecognition};

#[rustfmt::skip]
const CALLS: &[Call] = &[
    call(Assistant, "POST", "/v1/workspaces/{}/message", "message", Labelled, (200, REPLY_V1)),
    call(Assistant, "POST", "/v2/assistants/{}/sessions/{}/message", "message", Labelled, (200, REPLY_V2)),
    call(Assistant, "POST", "/v2/assistants/{}/message", "message", Labelled, (200, REPLY_V2)),
    call(Assistant, "POST", "/v2/assistants/{}/environments/{}/sessions/{}/message", "message", Labelled, (200, REPLY_V2)),
    call(Assistant, "POST", "/v2/assistants/{}/environments/{}/message", "message", Labelled, (200, REPLY_V2)),
    call(Assistant, "POST", "/v2/assistants/{}/sessions/{}/message_stream", "message", Labelled, (200, Body::Events)),
    call(Assistant, "POST", "/v2/assistants/{}/message_stream", "message", Labelled, (200, Body::Events)),
    call(Assistant, "POST", "/v2/assistants/{}/environments/{}/sessions/{}/message_stream", "message", Labelled, (200, Body::Events)),
    call(Assistant, "POST", "/v2/assistants/{}/environments/{}/message_stream", "message", Labelled, (200, Body::Events)),
    call(Assistant, "POST", "/v2/assistants/{}/sessions", "session", Data::None, (201, Body::Session)),
    call(Assistant, "POST", "/v2/assistants/{}/environments/{}/sessions", "session", Data::None, (201, Body::Session)),
    call(Assistant, "POST", "/v1/workspaces/{}/bulk_classify", "utterances", Unlabellable, (200, Body::Json(r#"{"output":[]}"#))),
    call(Assistant, "POST", "/v2/skills/{}/workspace/bulk_classify", "utterances", Unlabellable, (200, Body::Json(r#"{"output":[]}"#))),
    call(Assistant, "GET", "/v1/workspaces", "workspaces", Data::None, (200, Body::Json(r#"{"workspaces":[],"pagination":{"refresh_url":"/v1/workspaces"}}"#))),
    call(Assistant, "POST", "/v1/workspaces/{}/entities", "entity", Data::None, (201, Body::Json(r#"{"entity":"fruit"}"#))),
    call(Assistant, "GET", "/v1/workspaces/{}/logs", "logs", Data::None, (200, Body::Logs)),
    call(Assistant, "GET", "/v1/logs", "logs", Data::None, (200, Body::Logs)),
    call(Assistant, "GET", "/v2/assistants/{}/logs", "logs", Data::None, (200, Body::Logs)),
    call(Assistant, "DELETE", "/v1/user_data", "delete", Data::None, (202, Body::Delete)),
    call(Assistant, "DELETE", "/v2/user_data", "delete", Data::None, (202, Body::Delete)),

    call(SpeechToText, "POST", "/v1/recognize", "audio", Labelled, (200, HEARD)),
    call(SpeechToText, WEBSOCKET, "/v1/recognize", "audio", Labelled, (101, HEARD)),
    call(SpeechToText, "POST", "/v1/recognitions", "audio", Labelled, (201, JOB)),
    call(SpeechToText, "POST", "/v1/register_callback", "callback", Labelled, (201, CALLBACK)),
    call(SpeechToText, "POST", "/v1/customizations/{}/corpora/{}", "corpus", Labelled, (201, EMPTY)),
    call(SpeechToText, "POST", "/v1/customizations/{}/words", "words", Labelled, (201, EMPTY)),
    call(SpeechToText, "PUT", "/v1/customizations/{}/words/{}", "words", Labelled, (201, EMPTY)),
    call(SpeechToText, "POST", "/v1/customizations/{}/grammars/{}", "grammar", Labelled, (201, EMPTY)),
    call(SpeechToText, "POST", "/v1/acoustic_customizations/{}/audio/{}", "audio", Labelled, (201, EMPTY)),
    call(SpeechToText, "POST", "/v1/sessions/{}/recognize", "audio", Labelled, (200, HEARD)),
    call(SpeechToText, "POST", "/v1/batches", "audio", Labelled, (201, EMPTY)),
    call(SpeechToText, "POST", "/v1/detect_language", "audio", Unlabellable, (200, Body::Json(r#"{"results":[]}"#))),
    call(SpeechToText, "DELETE", "/v1/user_data", "delete", Data::None, (200, Body::Delete)),

    call(TextToSpeech, "POST", "/v1/synthesize", "text", Labelled, (200, Body::Audio)),
    call(TextToSpeech, "GET", "/v1/synthesize", "text", Labelled, (200, Body::Audio)),
    call(TextToSpeech, WEBSOCKET, "/v1/synthesize", "text", Labelled, (101, Body::Audio)),
    call(TextToSpeech, "POST", "/v1/customizations/{}", "words", Labelled, (200, EMPTY)),
    call(TextToSpeech, "POST", "/v1/customizations/{}/words", "words", Labelled, (200, EMPTY)),
    call(TextToSpeech, "PUT", "/v1/customizations/{}/words/{}", "words", Labelled, (200, EMPTY)),
    call(TextToSpeech, "POST", "/v1/customizations/{}/prompts/{}", "voice", Unlabellable, (201, Body::Json(r#"{"prompt":"hello","prompt_id":"p","status":"processing"}"#))),
    call(TextToSpeech, "POST", "/v1/speakers", "voice", Unlabellable, (201, Body::Json(r#"{"speaker_id":"s-1"}"#))),
    call(TextToSpeech, "DELETE", "/v1/user_data", "delete", Data::None, (200, Body::Delete)),

    call(VisualRecognition, "POST", "/v3/classifiers", "images", Labelled, (200, CLASSIFIER)),
    call(VisualRecognition, "POST", "/v4/collections", "collection", Labelled, (200, COLLECTION)),
    call(VisualRecognition, "POST", "/v4/collections/{}", "collection", Labelled, (200, COLLECTION)),
    call(VisualRecognition, "POST", "/v3/classifiers/{}", "images", Unlabellable, (200, CLASSIFIER)),
    call(VisualRecognition, "POST", "/v3/classify", "images", Unlabellable, (200, Body::Json(r#"{"images":[],"images_processed":1}"#))),
    call(VisualRecognition, "POST", "/v3/detect_faces", "images", Unlabellable, (200, Body::Json(r#"{"images":[],"images_processed":1}"#))),
    call(VisualRecognition, "POST", "/v4/analyze", "images", Unlabellable, (200, Body::Json(r#"{"images":[]}"#))),
    call(VisualRecognition, "POST", "/v4/collections/{}/images", "images", Unlabellable, (200, Body::Json(r#"{"images":[]}"#))),
    call(VisualRecognition, "DELETE", "/v3/user_data", "delete", Data::None, (202, Body::Delete)),
    call(VisualRecognition, "DELETE", "/v4/user_data", "delete", Data::None, (202, Body::Delete)),

    call(Discovery, "POST", "/v1/environments/{}/collections/{}/documents", "document", Labelled, (202, DOCUMENT)),
    call(Discovery, "POST", "/v1/environments/{}/collections/{}/documents/{}", "document", Labelled, (202, DOCUMENT)),
    call(Discovery, "POST", "/v1/environments/{}/collections/{}/query", "query", LabelledQuestion, (200, FOUND)),
    call(Discovery, "GET", "/v1/environments/{}/collections/{}/query", "query", LabelledQuestion, (200, FOUND)),
    call(Discovery, "POST", "/v1/environments/{}/query", "query", Unlabellable, (200, FOUND)),
    call(Discovery, "POST", "/v1/environments/{}/collections/{}/training_data", "training", Labelled, (200, EMPTY)),
    call(Discovery, "POST", "/v1/environments/{}/collections/{}/training_data/{}/examples", "training", Labelled, (201, EMPTY)),
    call(Discovery, "PUT", "/v1/environments/{}/collections/{}/training_data/{}/examples/{}", "training", Labelled, (200, EMPTY)),
    call(Discovery, "POST", "/v1/events", "event", Labelled, (201, Body::Json(r#"{"type":"click","data":{}}"#))),
    call(Discovery, "GET", "/v1/logs", "logs", Data::None, (200, Body::Logs)),
    call(Discovery, "POST", "/v2/projects/{}/collections/{}/documents", "document", Labelled, (202, DOCUMENT)),
    call(Discovery, "POST", "/v2/projects/{}/collections/{}/documents/{}", "document", Labelled, (202, DOCUMENT)),
    call(Discovery, "POST", "/v2/projects/{}/training_data/queries", "training", Labelled, (201, EMPTY)),
    call(Discovery, "POST", "/v2/projects/{}/training_data/queries/{}", "training", Labelled, (201, EMPTY)),
    call(Discovery, "POST", "/v2/projects/{}/curations", "curation", Labelled, (200, EMPTY)),
    call(Discovery, "POST", "/v2/projects/{}/query", "query", Data::None, (200, FOUND)),
    call(Discovery, "DELETE", "/v1/user_data", "delete", Data::None, (200, Body::Delete)),
    call(Discovery, "DELETE", "/v2/user_data", "delete", Data::None, (202, Body::Delete)),

    call(Language, "POST", "/v1/analyze", "text", Data::None, (200, Body::Json(r#"{"language":"en","keywords":[],"usage":{"features":1,"text_characters":11,"text_units":1}}"#))),

    call(Tokens, "POST", "/identity/token", "token", Data::None, (200, Body::IamToken)),
    call(Tokens, "POST", "/v1/authorize", "token", Data::None, (200, Body::PakToken)),
    call(Tokens, "GET", "/v1/preauth/validateAuth", "token", Data::None, (200, Body::PakToken)),
];

/// The call that `method` and the segments of a path name, whatever prefix stands before it.
pub(crate) fn find(kind: Kind, method: &str, path: &[String]) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.kind == kind && call.method == method && matches_end(call.path, path))
}

/// Whether the path ends as the pattern says.
fn matches_end(pattern: &str, path: &[String]) -> bool {
    let mut rest = path.iter().rev();
    pattern.split('/').skip(1).collect::<Vec<_>>().into_iter().rev().all(|wanted| match rest.next() {
        Some(_) if wanted == "{}" => true,
        Some(segment) => segment == wanted,
        None => false,
    })
}
