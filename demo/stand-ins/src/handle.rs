//! One call of a stand-in, from its head to its answer.
//!
//! It runs in a task of its own: a caller that leaves does not stop what the service has begun, as with real ones. Only
//! the dialogue of a WebSocket is part of its connection.

use std::io::Read;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use data_encoding::HEXLOWER;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::answer::{Answer, GLOBAL_TRANSACTION};
use crate::catalogue::{self, Body, Call, Data, WEBSOCKET};
use crate::keeper::Keeper;
use crate::knobs::Shared;
use crate::memory::Arrival;
use crate::seen::Seen;
use crate::websocket::{Dialogue, Handshake};
use crate::{Kind, inspect, label, logs};

const NO_WEBSOCKET: &str = "This stand-in has no WebSocket here";

/// A request whose head has been noted.
struct Exchange {
    kind: Kind,
    shared: Arc<Shared>,
    number: u64,
    seen: Seen,
    path: String,
    query: Vec<(String, String)>,
}

/// Handles a request; `head` is what the tap saw of it.
pub(crate) async fn handle(
    kind: Kind,
    shared: Arc<Shared>,
    connection: u64,
    head: Option<Vec<u8>>,
    mut request: Request<Incoming>,
) -> (Response<Full<Bytes>>, Option<Dialogue>) {
    if let Some(told) = inspect::answer(&shared, request.uri().path()) {
        return (told.into_response(None), None);
    }
    let seen = Seen { head: head.unwrap_or_else(|| rebuilt(&request)), connection, ..Seen::default() };
    let number = shared.record.lock().begin(seen.clone());
    let path = request.uri().path().to_owned();
    let query = label::parameters(request.uri().query().unwrap_or_default());
    let transaction = request.headers().get(GLOBAL_TRANSACTION).cloned();
    let exchange = Exchange { kind, shared: Arc::clone(&shared), number, seen, path, query };
    let (answer, dialogue) = match Handshake::of(&mut request) {
        Some(handshake) => exchange.open(handshake).await,
        None => {
            let task = tokio::spawn(exchange.run(request.into_body()));
            (task.await.unwrap_or_else(|_| Answer::error(kind, 500, "The stand-in failed")), None)
        }
    };
    shared.record.lock().amend(number, |seen| seen.answered = Some(answer.status.as_u16()));
    (answer.into_response(transaction.as_ref()), dialogue)
}

/// A head for the rare request that the tap could not follow: names in lower case, order as hyper gives it.
fn rebuilt(request: &Request<Incoming>) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

impl Exchange {
    async fn run(mut self, body: Incoming) -> Answer {
        // A delete reaches what is stored at this moment, however long it takes itself.
        let moment = self.shared.memory.lock().moment();
        let method = self.effective_method();
        let call = catalogue::find(self.kind, &method, &label::segments(&self.path));
        if let Some(refusal) = self.refuse_at_once() {
            return refusal;
        }
        self.read(body).await;
        let is_delete = call.is_some_and(|call| call.body == Body::Delete);
        self.shared.linger(is_delete).await;
        let fault = self.shared.fault(is_delete);
        match (call, fault) {
            (_, Some(fault)) if fault.status >= 300 => Answer::fault(self.kind, fault),
            (_, _) if !self.seen.complete => Answer::error(self.kind, 400, "The body was cut off"),
            (Some(call), fault) if is_delete => self.delete(fault.map_or(call.status, |fault| fault.status), moment),
            (Some(call), _) => self.perform(call),
            (None, _) => self.manage(&method),
        }
    }

    /// Opens a WebSocket, where the service has one.
    async fn open(self, handshake: Handshake) -> (Answer, Option<Dialogue>) {
        let Self { kind, shared, number, path, query, .. } = &self;
        if !self.is_let_in() {
            return (Answer::error(*kind, 401, "Unauthorized"), None);
        }
        let Some(call) = catalogue::find(*kind, WEBSOCKET, &label::segments(path)) else {
            return (Answer::error(*kind, 501, NO_WEBSOCKET), None);
        };
        shared.linger(false).await;
        if let Some(fault) = shared.fault(false).filter(|fault| fault.status >= 300) {
            return (Answer::fault(*kind, fault), None);
        }
        let keeper = Keeper::new(*kind, Arc::clone(shared), *number, call.what, path.clone(), query);
        let (accept, dialogue) = handshake.accept(keeper);
        (Answer::switching(accept), Some(dialogue))
    }

    /// Some servers let a header replace the method.
    fn effective_method(&self) -> String {
        let replaced = self.seen.values("x-http-method-override").into_iter().next();
        replaced.unwrap_or_else(|| self.seen.method()).to_ascii_uppercase()
    }

    /// What needs no body to be refused: a wrong credential, an upgrade to anything but a WebSocket.
    fn refuse_at_once(&self) -> Option<Answer> {
        if !self.is_let_in() {
            return Some(Answer::error(self.kind, 401, "Unauthorized"));
        }
        let upgrades = !self.seen.values("upgrade").is_empty();
        upgrades.then(|| Answer::error(self.kind, 501, NO_WEBSOCKET))
    }

    fn is_let_in(&self) -> bool {
        let given = self.seen.values("authorization");
        self.shared.options.authorization.as_ref().is_none_or(|wanted| given.first() == Some(wanted))
    }

    /// Reads the body to its end, keeping its beginning only.
    async fn read(&mut self, mut body: Incoming) {
        let mut digest = Sha256::new();
        let seen = &mut self.seen;
        seen.complete = true;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                seen.complete = false;
                break;
            };
            match frame.into_data() {
                Ok(data) => {
                    digest.update(&data);
                    seen.body_length += data.len() as u64;
                    let room = Seen::BODY_START_MAX - seen.body_start.len();
                    seen.body_start.extend(data.iter().take(room));
                }
                Err(frame) => {
                    seen.trailers.extend(frame.trailers_ref().into_iter().flatten().map(|(name, value)| {
                        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                    }))
                }
            }
        }
        seen.body_sha256 = HEXLOWER.encode(&digest.finalize());
        let whole = seen.clone();
        self.shared.record.lock().amend(self.number, |seen| *seen = whole);
    }

    fn delete(&self, status: u16, moment: u64) -> Answer {
        let value = |name: &str| self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        let Some(customer) = value("customer_id").filter(|id| !id.is_empty()) else {
            return Answer::error(self.kind, 400, "The customer_id parameter is missing");
        };
        if self.kind.wants_version() && value("version").is_none_or(str::is_empty) {
            return Answer::error(self.kind, 400, "The version parameter is missing");
        }
        self.shared.memory.lock().delete(customer, moment);
        Answer::deleted(self.kind, status)
    }

    fn perform(self, call: &Call) -> Answer {
        if call.body == Body::Logs {
            let all = self.kind == Kind::Assistant && call.path == "/v1/logs";
            return match logs::answer(self.shared.memory.lock().rows(), &self.query, all) {
                Ok(found) => Answer::json(call.status, &found),
                Err(logs::BadFilter(sentence)) => Answer::error(self.kind, 400, sentence),
            };
        }
        let answer = Answer::plain(call.status, call.body);
        self.store(call);
        answer
    }

    /// Stores what the call brought.
    fn store(self, call: &Call) {
        let lines = self.seen.lines();
        let request = readable(&self.seen);
        let labels = || label::customers(self.kind, &lines, &self.query, &self.seen.body_start);
        let customers = match call.data {
            Data::None => return,
            Data::LabelledQuestion if !is_question(&self.query, &request) => return,
            Data::Unlabellable => Vec::new(),
            Data::Labelled | Data::LabelledQuestion => labels(),
        };
        let opted_out = label::opted_out(&lines, &self.query);
        let bytes = self.seen.body_length;
        let arrival = Arrival { customers, what: call.what, path: self.path, bytes, opted_out, request };
        self.shared.memory.lock().store(arrival);
    }

    /// A call about workspaces, models and the like, which bring nobody's data.
    fn manage(&self, method: &str) -> Answer {
        let is_versioned =
            label::segments(&self.path).iter().any(|part| matches!(part.as_str(), "v1" | "v2" | "v3" | "v4"));
        match method {
            _ if !is_versioned || self.kind == Kind::Tokens => Answer::error(self.kind, 404, "Not Found"),
            "POST" => Answer::plain(201, Body::Json("{}")),
            _ => Answer::plain(200, Body::Json("{}")),
        }
    }
}

/// Whether a Discovery v1 query asks in natural language, or for passages.
fn is_question(query: &[(String, String)], request: &Value) -> bool {
    ["natural_language_query", "passages"]
        .into_iter()
        .any(|name| query.iter().any(|(key, _)| key == name) || request.get(name).is_some())
}

/// The body as JSON, if it is that and short; inflated if need be.
fn readable(seen: &Seen) -> Value {
    let mut text = Vec::new();
    let is_gzip = seen.values("content-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("gzip"));
    if is_gzip {
        let inflated = flate2::read::GzDecoder::new(seen.body_start.reader());
        if inflated.take(Seen::BODY_START_MAX as u64).read_to_end(&mut text).is_err() {
            return Value::Null;
        }
    } else {
        text.clone_from(&seen.body_start);
    }
    serde_json::from_slice(&text).unwrap_or_default()
}
