//! The pipeline of a request: framing, route, class, judgement, record, rebuild, forward.
//!
//! The order matters. Nothing is judged before everything that could change the judgement is gone; nothing is sent
//! before it is durable; only what was judged and recorded can be forwarded, because `forward` takes nothing else.

mod answered;
mod caller;
mod classify;
mod derive;
mod effective_host;
mod entry;
mod erase;
mod exchange;
mod forward;
mod framing;
mod gate;
mod governed_headers;
mod governed_query;
mod head_writer;
mod instance;
mod keys_shown;
mod names;
mod passthrough;
mod patience;
mod record;
mod respond;
mod rewrite;
mod route;
mod service;
mod trace;
mod tunnel;
mod upgrade;
mod upstream_request;
mod webchat;

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Version};

pub use self::caller::Caller;
use self::caller::Inbound;
use self::classify::Target;
use self::entry::Entry;
pub use self::erase::{ErasureExchange, WayBack};
use self::exchange::Exchange;
#[cfg(fuzzing)]
pub use self::framing::body_of;
use self::framing::{BodyLength, Kinds};
pub use self::gate::{Gate, Shared};
use self::governed_headers::Gathered;
use self::governed_query::{InQuery, QueryOrders};
use self::head_writer::HeadWriter;
use self::names::Kind;
pub use self::passthrough::Crossing;
use self::record::{Place, Recorded};
use self::respond::Refusing;
pub use self::respond::{FORGETGATE_REFUSAL, Hop, OwnAnswer};
use self::rewrite::{Moved, NewHead, Orders};
pub use self::route::{Destination, Routes};
use self::trace::RequestId;
use self::webchat::Asked;
use crate::config::CallFacts;
use crate::domain::Instance;
use crate::domain::decide::{Class, Decision, Derived, LabelLine, Permit, RequestFacts, decide};
use crate::domain::policy::{Mode, Policy};
use crate::domain::profile::ErrorShape;
use crate::domain::refusal::{Code, Refusal};
use crate::http1::BodyDecoder;
use crate::http1::{Fault, Head, spare_output};
use crate::net::Peer;

/// What became of a request.
#[derive(Debug)]
pub enum Handled {
    /// It has its answer.
    Passed(Onward),
    /// The gate answers it.
    Own(OwnAnswer),
    /// It is a delete by label: the erasure answers it.
    Erase(Box<ErasureExchange>),
}

/// How a connection goes on behind an answer that was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// With the next request.
    Keep,
    /// It ends.
    Close,
    /// It ends, and the caller is still sending: it must be able to read the answer.
    CloseSending,
    /// It ends before the answer does, and its end must not look like the answer's.
    Cut,
}

/// What goes along with a request from its head to its answer.
pub(super) struct RequestCtx<'a, 'c> {
    gate: &'a Rc<Gate>,
    caller: &'a mut Caller<'c>,
    request_id: RequestId,
    /// Its line in the log.
    entry: Entry,
    inbound: Inbound,
    /// How its service writes errors.
    shape: ErrorShape,
}

/// Handles a request from its head to the end of its answer.
///
/// The head is forgotten once it has been read: what waits for a caller or a service afterwards costs no head.
pub async fn handle(gate: &Rc<Gate>, head: &mut Head, caller: &mut Caller<'_>, hop: Hop) -> Handled {
    let mut entry = Entry::begin(gate, &head.method);
    let request_id = entry.request_id(head.lines.first("x-request-id"));
    // Until the framing is known all that follows may be the body.
    let inbound = Inbound::new(BodyDecoder::ToEnd, false);
    let mut ctx = RequestCtx { gate, caller, request_id, entry, inbound, shape: ErrorShape::Watson };
    let judged = judge(&mut ctx, head).await;
    let (method, page) = (head.method.clone(), respond::page_of(head));
    head.forget();
    let page = page.as_deref();
    match judged {
        Ok(Judged::Forward(ready)) => {
            let RequestCtx { caller, request_id, entry, inbound, shape, .. } = ctx;
            let mut exchange = Exchange::new(gate, ready, (method, inbound), entry);
            match forward::forward(&mut exchange, caller, hop, &request_id).await {
                Ok(onward) => Handled::Passed(onward),
                Err(failed) => {
                    Handled::Own(refuse(failed.refusal, failed.entry, shape, &request_id, failed.close).for_page(page))
                }
            }
        }
        Ok(Judged::Erase(call)) => {
            let close = !Box::pin(gate::drained(ctx.caller, &mut ctx.inbound)).await;
            let RequestCtx { request_id, entry, shape, .. } = ctx;
            let way_back = WayBack { request_id, entry, page: page.map(<[u8]>::to_vec), close, shape };
            Handled::Erase(Box::new(call.exchange(way_back)))
        }
        Err(refusal) => {
            let close = !Box::pin(gate::drained_behind(ctx.caller, &mut ctx.inbound, refusal.code)).await;
            Handled::Own(refuse(refusal, Some(ctx.entry), ctx.shape, &ctx.request_id, close).for_page(page))
        }
    }
}

/// The answer to what is no request. `None` is one that is too large.
pub fn refuse_head(gate: &Rc<Gate>, fault: Option<Fault>) -> OwnAnswer {
    let refusal = fault.map_or_else(|| Code::HeaderTooLarge.into(), framing::refusal_of);
    let mut entry = Entry::begin(gate, &unknown_method());
    let request_id = entry.request_id(None);
    refuse(refusal, Some(entry), ErrorShape::Watson, &request_id, true)
}

/// Any that is none of HTTP's own: such are all logged alike.
fn unknown_method() -> Method {
    Method::from_bytes(b"UNREADABLE").unwrap_or_default()
}

fn refuse(refusal: Refusal, entry: Option<Entry>, shape: ErrorShape, request_id: &RequestId, close: bool) -> OwnAnswer {
    let (status, retry_after_s) = (refusal.code.status(), refusal.code.retry_after_s());
    if let Some(mut entry) = entry {
        entry.refused(refusal.code, status);
    }
    respond::refuse(Refusing { refusal, status, retry_after_s, shape, request_id, close })
}

/// What a request was judged to be.
#[expect(clippy::large_enum_variant, reason = "nearly every request is forwarded, and pays for no box")]
enum Judged {
    Forward(Ready),
    Erase(Box<erase::Addressed>),
}

/// A request that is recorded, and can be sent.
struct Ready {
    destination: Arc<Destination>,
    /// The whole head, as it goes to the upstream.
    head: Vec<u8>,
    chunked: bool,
    /// What accepts the WebSocket that it asks for.
    accept: Option<String>,
    /// Set where the answer may be a page that is changed.
    webchat: Option<Asked>,
    recorded: Recorded,
}

/// Routes a request, classifies it, judges it and records it, and writes the head that goes on.
async fn judge(ctx: &mut RequestCtx<'_, '_>, head: &Head) -> Result<Judged, Refusal> {
    let gate = ctx.gate;
    let (length, kinds) = framing::check(head, gate.head_bounds())?;
    ctx.inbound = Inbound::new(length.body(), length != BodyLength::None && expects(head, &kinds));
    let routed = gate.routes().find(head, ctx.caller.peer)?;
    let destination = Arc::clone(routed.destination);
    let (site, profile) = (&destination.site, &destination.site.upstream.profile);
    ctx.shape = profile.error;
    ctx.entry.routed(destination.slot);
    ctx.caller.watch.may_stall(site.upstream.limits.body_stall);
    gate.admit()?;
    let gathered = governed_headers::gather(head, &kinds, &destination.governed)?;
    let target = Target::of(head, routed.prefix_len, profile, &gathered)?;
    if let Some(endpoint) = target.found.endpoint {
        ctx.entry.called(endpoint);
    }
    let accept = if target.upgrades { Some(upgrade::accept(head, length, &gathered)?) } else { None };
    let classes = target.found.classes;
    let governed = classes.labelled() || classes.opt_out();
    let asked = if governed { governed_query::read(head.uri.query(), &destination)? } else { InQuery::default() };
    let policy = policy_for(&destination, &target, head, ctx.caller);
    if classes.log_query() {
        classify::check_filter(head, site.rules_under(policy))?;
    }
    let rebuild = Rebuild {
        destination: &destination,
        policy,
        target: &target,
        gathered: &gathered,
        asked: &asked,
        kinds: &kinds,
        webchat: site.upstream.webchat_opt_out.then(|| Asked::of(head)),
        head,
        length,
    };
    let permit = decided(ctx, &rebuild).await?;
    ctx.entry.judged(&permit, classes);
    let place = || instance::instance(gate, site, target.prefix(head), head, (&kinds, &gathered));
    if classes.erase() {
        let asked = erase::Asked { api: target.found.api, instance: place()?, path: target.path(head) };
        let headers = rebuild.map(&permit, &NextHop::of(ctx, None));
        let addressed = erase::prepare(&destination, asked, head, headers, ctx.caller.peer.ip);
        return Ok(Judged::Erase(Box::new(addressed)));
    }
    let labelled = !permit.labels().is_empty();
    let instance = if labelled { instance::admit(site, place()?)? } else { Instance::default() };
    let (resource, api) = (&target.resource, target.found.api);
    let place = Place { destination: &destination, resource, instance: &instance, api };
    let recorded = record::record(gate, &permit, place).await?;
    let authorization = if site.upstream.inject { Box::pin(gate::authorization(site)).await? } else { None };
    let head = rebuild.whole(&permit, &NextHop::of(ctx, authorization));
    let (webchat, chunked) = (rebuild.webchat, length == BodyLength::Unknown);
    Ok(Judged::Forward(Ready { destination, head, chunked, accept, webchat, recorded }))
}

/// Whether the caller waits to be told to send its body.
fn expects(head: &Head, kinds: &Kinds) -> bool {
    // HTTP/1.0 knows no interim answers, and would take one for the answer (RFC 9110 §10.1.1).
    head.version == Version::HTTP_11
        && framing::of_kind(&head.lines, kinds, Kind::Expect).any(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// What the operator chose for this call, from this caller.
fn policy_for<'d>(destination: &'d Destination, target: &Target<'_>, head: &Head, caller: &Caller<'_>) -> &'d Policy {
    destination.site.upstream.policy_for(&CallFacts {
        endpoint: target.found.endpoint.map(|endpoint| &**endpoint.call()),
        method: head.method.as_str(),
        client: caller.peer.ip,
        listener: caller.peer.listener.as_deref(),
        lines: &head.lines,
    })
}

/// Decides, and derives in between where policy asks for it.
async fn decided(ctx: &mut RequestCtx<'_, '_>, request: &Rebuild<'_>) -> Result<Permit, Refusal> {
    let Rebuild { destination, policy, target, gathered, asked, head, .. } = *request;
    let classes = target.found.classes;
    let facts = RequestFacts {
        class: Class {
            named: target.found.endpoint.is_some(),
            labelled: classes.labelled(),
            opt_out: classes.opt_out(),
            beta: classes.beta(),
        },
        header: gathered.label,
        query: asked.label.as_deref(),
        wish: asked.wish.map_or(gathered.wish, |wish| governed_headers::either(gathered.wish, wish)),
        derived: Derived::NotTried,
    };
    let rules = destination.site.rules_under(policy);
    let mut decision = decide(rules, &facts);
    if matches!(decision, Decision::Derive) {
        // Boxed, as everything is that few requests need: what every request carries along stays small.
        let (places, keys, now) = (policy.derive.as_slice(), &destination.site.keys, ctx.gate.unix_now());
        let search = derive::Search { places, keys, now, bytes_max: ctx.gate.limits().inspected_body_bytes_max };
        let found = Box::pin(derive::derive(search, head, ctx.caller, &mut ctx.inbound)).await?;
        decision = decide(rules, &RequestFacts { derived: found.derived(), ..facts });
    }
    match decision {
        Decision::Pass(permit) => Ok(permit),
        Decision::Refuse(refusal) => Err(refusal),
        Decision::Derive => Err(Code::LabelMissing.into()),
    }
}

/// What the new head says of the next hop.
struct NextHop<'a> {
    peer: &'a Peer,
    /// Which gate this is, where a circle could come about.
    instance: Option<&'a str>,
    request_id: &'a RequestId,
    /// What `inject` puts on it.
    authorization: Option<HeaderValue>,
}

impl<'a> NextHop<'a> {
    fn of(ctx: &'a RequestCtx<'_, '_>, authorization: Option<HeaderValue>) -> Self {
        let peer = ctx.caller.peer;
        Self { peer, instance: ctx.gate.routes().via_of(peer), request_id: &ctx.request_id, authorization }
    }
}

/// What the new head is made of, as far as it is known before the judgement.
#[derive(Clone, Copy)]
struct Rebuild<'a> {
    destination: &'a Destination,
    policy: &'a Policy,
    target: &'a Target<'a>,
    gathered: &'a Gathered<'a>,
    asked: &'a InQuery<'a>,
    kinds: &'a Kinds,
    webchat: Option<Asked>,
    head: &'a Head,
    length: BodyLength,
}

/// Where the label and the opt-out are said.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    moved: Moved,
    /// The label's line where it is not as the judgement says: it was only in the query.
    label: Option<&'a LabelLine>,
}

/// What the gate's own lines need beside the caller's: nearly always enough.
const OWN_LINES_BYTES: usize = 320;

impl Rebuild<'_> {
    fn whole(self, permit: &Permit, hop: &NextHop<'_>) -> Vec<u8> {
        let (orders, moved, label) = self.query_orders(permit);
        let mut out = spare_output();
        out.reserve(self.head.bytes + OWN_LINES_BYTES);
        out.extend_from_slice(self.head.method.as_str().as_bytes());
        out.push(b' ');
        self.target.write(self.head, &self.destination.site, self.policy, &orders, &mut out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.lines(permit, hop, Said { moved, label: label.as_ref() }, &mut out);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The same lines for a call of the gate's own.
    fn map(self, permit: &Permit, hop: &NextHop<'_>) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.head.lines.len());
        // It has no body: the caller's was read and thrown away.
        Self { length: BodyLength::None, ..self }.lines(permit, hop, Said::default(), &mut map);
        map
    }

    /// What the query says, what headers need not say beside it, and a label that was only there and now stands in its header.
    fn query_orders(self, permit: &Permit) -> (QueryOrders, Moved, Option<LabelLine>) {
        let upstream = &self.destination.site.upstream;
        let observing = self.policy.mode == Mode::Observe;
        let labelled = self.target.found.classes.labelled() && !observing;
        let asked = self.asked.label.as_deref().filter(|_| labelled);
        let only_asked = self.gathered.label.is_none() && matches!(permit.label_line(), LabelLine::Keep);
        let label = asked.filter(|_| only_asked).map(|label| LabelLine::Write(label.to_vec()));
        if !self.target.says_in_query {
            return (QueryOrders::of_headers(permit, self.asked, labelled), Moved::default(), label);
        }
        let sent = match permit.label_line() {
            LabelLine::Write(line) => Some(line.as_slice()),
            LabelLine::Keep => self.gathered.label.or(asked),
        };
        // A label that is only observed stays where it is.
        let orders = QueryOrders::of_websocket(permit, &upstream.profile, sent.filter(|_| labelled));
        let moved = orders.moved();
        if self.target.says_in_headers { (orders, Moved::default(), label) } else { (orders, moved, None) }
    }

    fn lines(self, permit: &Permit, hop: &NextHop<'_>, said: Said<'_>, out: &mut impl HeadWriter) {
        let site = &self.destination.site;
        let head = NewHead {
            lines: &self.head.lines,
            kinds: self.kinds,
            gathered: self.gathered,
            webchat: self.webchat,
            websocket: self.target.upgrades,
            moved: said.moved,
            governed: &self.destination.governed,
            orders: Orders { label: said.label.unwrap_or(permit.label_line()), opt_out: permit.opt_out() },
            length: self.length,
            host: site.connector.authority().as_bytes(),
            forwarded: site.upstream.forwarded.then_some(hop.peer),
            authorization: hop.authorization.as_ref().map(HeaderValue::as_bytes),
            instance: hop.instance,
            request_id: hop.request_id,
        };
        head.write(out);
    }
}
