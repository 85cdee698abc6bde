//! The whole story of a request: check its framing, route it, class it, judge it, record it, rebuild it, forward it.
//!
//! The order is the point. Nothing is judged before what could change it later is gone; nothing is sent before it is
//! durable; and only what was judged and recorded can be forwarded, because `forward` takes nothing else.

mod apply;
mod body;
mod derive;
mod entry;
mod erase;
mod exchange;
mod forward;
mod framing;
mod gate;
mod gather;
mod names;
mod record;
mod respond;
mod route;
mod target;
mod trace;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};

use self::apply::{Forwarded, NewHead, Orders};
use self::body::Progress;
pub use self::body::{AnswerBody, Passing, RequestBody};
use self::entry::Entry;
pub use self::erase::EraseCall;
use self::forward::Outgoing;
use self::framing::BodyLength;
pub use self::gate::{Gate, Shared};
use self::gather::Gathered;
use self::record::{Place, Recorded};
pub use self::respond::FORGETGATE_REFUSAL;
use self::respond::Refusing;
pub use self::route::{Destination, Routes};
use self::target::Target;
use crate::domain::decide::{Class, Decision, Derived, Permit, RequestFacts, decide};
use crate::domain::profile::ErrorShape;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::tap::RawHead;

/// What became of a request.
#[derive(Debug)]
pub enum Handled {
    /// It has its answer.
    Answer(Response<AnswerBody>),
    /// It is a delete by label: the erasure answers it.
    Erase(Box<EraseCall>),
}

/// A request as the listener hands it over.
#[derive(Debug)]
pub struct Arrived {
    /// Head and body.
    pub request: Request<Incoming>,
    /// What the tap saw of its head.
    pub raw: Option<RawHead>,
    /// Who sent it.
    pub peer: IpAddr,
}

/// Tells a request's story from beginning to end.
pub async fn handle(gate: &Rc<Gate>, arrived: Arrived) -> Handled {
    let Arrived { request, raw, peer } = arrived;
    let (parts, mut body) = request.into_parts();
    let mut entry = gate.entry(&parts.method);
    let request_id = entry.request_id(&parts.headers);
    let mut shape = ErrorShape::Watson;
    // To read the body of such a request is to tell its sender to go on with it.
    let waits = !body.is_end_stream() && parts.headers.contains_key(http::header::EXPECT);
    let told = tell(
        gate,
        Telling { parts, body: &mut body, raw, peer, request_id: &request_id, entry: &mut entry, shape: &mut shape },
    )
    .await;
    match told {
        Ok(Told::Forward { head, ahead, destination, recorded }) => {
            let body = RequestBody::new(ahead, body, &destination);
            let (index, state) = (destination.index, body.state());
            let out = Outgoing {
                request: Request::from_parts(head, body),
                recorded,
                entry,
                index,
                request_id: request_id.clone(),
            };
            match forward::forward(gate, out).await {
                Ok(response) => Handled::Answer(response),
                Err((refusal, entry)) => {
                    let close = state.progress.get() != Progress::Ended;
                    Handled::Answer(refuse(refusal, entry, shape, &request_id, close))
                }
            }
        }
        Ok(Told::Erase(call)) => Handled::Erase(Box::new(call.into_call(entry, request_id))),
        Err(refusal) => {
            let close = waits || !Box::pin(gate::drained(&mut body, refusal)).await;
            Handled::Answer(refuse(refusal, entry, shape, &request_id, close))
        }
    }
}

fn refuse(
    refusal: Refusal,
    mut entry: Entry,
    shape: ErrorShape,
    request_id: &HeaderValue,
    close: bool,
) -> Response<AnswerBody> {
    let (status, retry_after_s) = (refusal.code.status(), refusal.code.retry_after_s());
    entry.refused(refusal.code, status);
    respond::refuse(Refusing { refusal, status, retry_after_s, shape, request_id, close })
}

/// What the story needs.
struct Telling<'a> {
    parts: Parts,
    body: &'a mut Incoming,
    raw: Option<RawHead>,
    peer: IpAddr,
    request_id: &'a HeaderValue,
    entry: &'a mut Entry,
    shape: &'a mut ErrorShape,
}

/// How the story goes on.
enum Told {
    Forward {
        head: Parts,
        ahead: VecDeque<http_body::Frame<bytes::Bytes>>,
        destination: Arc<Destination>,
        recorded: Recorded,
    },
    Erase(erase::Prepared),
}

async fn tell(gate: &Rc<Gate>, telling: Telling<'_>) -> Result<Told, Refusal> {
    let Telling { parts, body, raw, peer, request_id, entry, shape } = telling;
    let length = framing::check(&parts, raw, gate.head_bounds())?;
    let routed = gate.routes().find(&parts)?;
    let destination = Arc::clone(routed.destination);
    let profile = &destination.site.upstream.profile;
    *shape = profile.error;
    entry.routed(destination.index);
    gate.admit()?;
    let gathered = gather::gather(&parts.method, &parts.headers, &destination.governed)?;
    let target = Target::of(&parts, routed.prefix_len, profile, &gathered)?;
    if let Some(endpoint) = target.found.endpoint {
        entry.called(endpoint);
    }
    if gathered.websocket {
        return Err(Code::UpgradeUnsupported.into());
    }
    let (permit, ahead) = judge(gate, &destination, &target, &gathered, &parts, body).await?;
    entry.judged(&permit);
    if target.found.classes.erase() {
        return erase::prepare(&destination, &target, gathered, &permit, parts, request_id, peer).map(Told::Erase);
    }
    let place = Place { destination: &destination, resource: &target.resource, api: target.found.api };
    let recorded = record::record(gate, permit, place).await?;
    let site = &destination.site;
    let authorization = if site.upstream.inject { Box::pin(gate::authorization(site)).await? } else { None };
    let hop = Hop { length, peer, request_id, authorization };
    let head = rebuild(&destination, &target, gathered, recorded.permit(), parts, hop)?;
    Ok(Told::Forward { head, ahead, destination, recorded })
}

/// Judges, and derives in between where policy asks for it.
async fn judge(
    gate: &Gate,
    destination: &Destination,
    target: &Target<'_>,
    gathered: &Gathered,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<(Permit, VecDeque<http_body::Frame<bytes::Bytes>>), Refusal> {
    let rules = destination.site.rules();
    let classes = target.found.classes;
    let facts = RequestFacts {
        class: Class {
            named: target.found.endpoint.is_some(),
            labelled: classes.labelled(),
            opt_out: classes.opt_out(),
            beta: classes.beta(),
        },
        header: gathered.label.as_ref().map(HeaderValue::as_bytes),
        query: None,
        wish: gathered.wish,
        derived: Derived::NotTried,
    };
    let mut ahead = VecDeque::new();
    let mut decision = decide(rules, &facts);
    if matches!(decision, Decision::Derive) {
        // Boxed, as everything is that few requests need: what every request carries along stays small.
        let bytes_max = gate.limits().inspected_body_bytes_max;
        let found = Box::pin(derive::derive(&rules.policy.derive, parts, body, bytes_max)).await?;
        let derived = found.id.as_deref().map_or(Derived::Nothing, Derived::Found);
        decision = decide(rules, &RequestFacts { derived, ..facts });
        ahead = found.ahead;
    }
    match decision {
        Decision::Pass(permit) => Ok((permit, ahead)),
        Decision::Refuse(refusal) => Err(refusal),
        Decision::Derive => Err(Code::LabelMissing.into()),
    }
}

/// What the new head says of this hop.
struct Hop<'a> {
    length: BodyLength,
    peer: IpAddr,
    request_id: &'a HeaderValue,
    /// What `inject` puts on it.
    authorization: Option<HeaderValue>,
}

fn rebuild(
    destination: &Destination,
    target: &Target<'_>,
    gathered: Gathered,
    permit: &Permit,
    parts: Parts,
    hop: Hop<'_>,
) -> Result<Parts, Refusal> {
    let site = &destination.site;
    let uri = target.uri(&parts, site)?;
    let host = parts.headers.get(http::header::HOST).cloned();
    let (te_trailers, nominated) = (gathered.te_trailers, gathered.nominated);
    let mut parts = parts;
    let headers = std::mem::take(&mut parts.headers);
    parts.headers = NewHead {
        headers,
        nominated: &nominated,
        te_trailers,
        governed: &destination.governed,
        orders: Orders { label: permit.label_line(), opt_out: permit.opt_out() },
        length: hop.length,
        host: site.connector.authority(),
        forwarded: site.upstream.forwarded.then_some(Forwarded { peer: hop.peer, host: host.as_ref() }),
        authorization: hop.authorization,
        request_id: hop.request_id.clone(),
    }
    .build();
    parts.uri = uri;
    parts.version = http::Version::HTTP_11;
    Ok(parts)
}
