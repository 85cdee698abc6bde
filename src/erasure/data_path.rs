//! `DELETE …/user_data` on the data path: names the customer, checks the authority, and answers.
//!
//! Nothing in the answer depends on what is known of the customer. Each call runs on a task of its own, so that a caller
//! who leaves in the middle does not end what has begun.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::accept::Asked;
use super::answer::{empty, naming, passed_on};
use super::auth_throttle::Caller;
use super::holds::Tags;
use super::nameless::names_one_at;
use super::send::{self, Carried};
use super::{Eraser, Refused, report};
use crate::config::{Authorize, Secret};
use crate::domain::decide::{Label, text_of, todays_label};
use crate::domain::erasure::{Addressed, Probe, Scope};
use crate::domain::refusal::Code;
use crate::domain::{CustomerId, ErasureCall, Instance, LabelForm, UpstreamNumber, label, query};
use crate::inflight::QuiescenceProbe;
use crate::upstream::{Answer, CallError, Site};

/// Erasures that may wait for approval before callers whose authority nobody has proved are refused.
const AWAITING_MAX: usize = 10_000;

/// The answer, and the request's name if it was accepted.
type Given = (Response<Bytes>, Option<Uuid>);

impl Eraser {
    /// Answers a delete that is addressed to an upstream. With `Ok`, it is either accepted, durable and named by `Forgetgate-Erasure`, or it is the
    /// addressed upstream's own refusal, as it came.
    ///
    /// # Errors
    /// [`Refused`]: nothing was accepted.
    ///
    /// # Panics
    /// Where its task panicked.
    pub async fn delete(&self, site: Arc<Site>, call: ErasureCall) -> Result<Response<Bytes>, Refused> {
        let eraser = self.clone();
        let accepting = self.accepting();
        let task = self.shared.runtime.spawn(async move {
            let (recordings, wait) = (Arc::clone(&site.recordings), call.prefer_wait);
            // An upstream that is being left is asked nothing any more, and is not left before its answer is recorded.
            let recording = recordings.begin().ok_or_else(Refused::no_home)?;
            let answered = eraser.answer(&site, call).await;
            drop((recording, accepting));
            match (answered?, wait) {
                ((response, Some(name)), Some(limit)) => Ok(eraser.waited(response, name, limit).await),
                ((response, _), _) => Ok(response),
            }
        });
        match task.await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_shutting_down) => Err(Code::Draining.into()),
        }
    }

    async fn answer(&self, site: &Arc<Site>, call: ErasureCall) -> Result<Given, Refused> {
        let rule = &site.upstream.profile.label;
        let customer = label::from_delete_query(call.query.as_deref(), rule)?;
        names_one_at(site, &customer)?;
        let today = todays_label(site.rules(), &customer)?;
        let settings = self.settings();
        match site.upstream.erasure.authorize_over(&settings.erasure) {
            Authorize::Home => self.home(site, call, customer, &today).await,
            Authorize::Token(token) => {
                self.check_token(site, &call, token)?;
                self.unproved(site, &call, customer, None).await
            }
            Authorize::Open => self.unproved(site, &call, customer, None).await,
        }
    }

    /// The addressed upstream's answer to the caller's own credentials is the proof. Above the rate nothing is sent, that
    /// question included, until a person approves: that person's word is the proof then.
    async fn home(
        &self,
        site: &Arc<Site>,
        call: ErasureCall,
        customer: CustomerId,
        today: &Label,
    ) -> Result<Given, Refused> {
        // What authorises at the gate is nothing to be kept.
        let call = Arc::new(ErasureCall { forgetgate_authorization: None, ..call });
        let carried = Carried { upstream: site.number, call: Arc::clone(&call) };
        let caller = Caller::of(site.number, call.peer, &call.headers, self.shared.run.name);
        if self.shared.failures.are_too_many(caller, Instant::now()) {
            return Err(Code::TooManyFailures.into());
        }
        let keep = needs_the_callers(site, &call.instance).then(|| carried.clone());
        if !self.shared.rate.has_room(self.settings().erasure.erasures_per_minute, Instant::now()) {
            if self.shared.ledger.counted().awaiting >= AWAITING_MAX || self.shared.unapproved.is_full() {
                return Err(Code::Overloaded.into());
            }
            return self.unproved(site, &call, customer, keep).await;
        }
        // As far as it reaches at this moment: a reload while the home is asked takes nothing from it.
        let reached = self.reached_from(site);
        let within = self.settings().erasure.barrier_timeout;
        let leave = self.shared.failures.leave(caller, within).await.ok_or(Code::TooManyFailures)?;
        let tag = self.shared.keys.tag(&customer);
        let watch = self.shared.inflight.watch(tag, site.number);
        let tags = self.shared.holds.tags(&customer);
        let text = text_of(&site.aliases, &customer, today.form);
        let sent = self.now().wall;
        let (answer, held) = self.probe(site, &carried, &text, &tags).await?;
        drop(leave);
        if !answer.response.status().is_success() {
            self.shared.failures.note(caller, Instant::now());
            return Ok((passed_on(answer), None));
        }
        self.shared.failures.was_good(caller, Instant::now());
        let elapsed = (self.shared.surroundings.elapsed)();
        self.shared.lanes.note(site.number, site.upstream.deletes_per_minute, elapsed);
        let counts = send::is_success(site, &answer);
        let evidence = send::evidence(site, &call.instance.prefix, &answer, (sent, self.now().wall), true);
        let probe: (Probe, Option<QuiescenceProbe>) = (Probe { form: today.form, evidence }, counts.then_some(watch));
        let asked = Asked {
            scope: Scope::Among(reached),
            probe: (!held).then_some(probe),
            carried: keep,
            above: Some(false),
            ..asked(site, &call, call.instance.clone(), customer)
        };
        self.accepted(asked, passed_on(answer)).await
    }

    /// Asks the home. Where the customer is on hold, or is put on hold before the first byte has gone out, it is asked about
    /// nobody: `true`.
    async fn probe(&self, site: &Site, carried: &Carried, text: &str, tags: &Tags) -> Result<(Answer, bool), Refused> {
        let within = self.settings().erasure.barrier_timeout;
        let ends = Instant::now() + within;
        let request = carried.request(site, text, None).ok_or(Code::PathAmbiguous)?;
        let held = self.shared.holds.of(tags).is_at(site.number);
        let named =
            if held { Err(CallError::Withheld) } else { self.exchange(site, request, within, Some(tags)).await };
        let answer = match named {
            Err(CallError::Withheld) => {
                let nobody = nobodys_label(site, (self.shared.surroundings.new_id)());
                let request = carried.request(site, &nobody, None).ok_or(Code::PathAmbiguous)?;
                let left = ends.saturating_duration_since(Instant::now());
                self.exchange(site, request, left, None).await.map(|answer| (answer, true))
            }
            named => named.map(|answer| (answer, false)),
        };
        answer.map_err(|error| {
            report::no_answer(&site.upstream.name, &error);
            Refused::no_home()
        })
    }

    /// Nothing was asked of the addressed upstream. With a call of the caller's, a person has to approve.
    async fn unproved(
        &self,
        site: &Site,
        call: &ErasureCall,
        customer: CustomerId,
        carried: Option<Carried>,
    ) -> Result<Given, Refused> {
        let own = &site.upstream.erasure.authorize;
        let home = matches!(site.upstream.erasure.authorize_over(&self.settings().erasure), Authorize::Home);
        // Only credentials that a service is asked about say whose instance it is.
        let caller = call.instance.caller.filter(|_| home);
        let instance = Instance { caller, ..call.instance.clone() };
        let group = || Scope::Among(self.reached_from(site));
        // Whoever may erase at this upstream by its own word may not therefore erase at those of other groups.
        let scope = if home || own.is_some() { group() } else { Scope::All };
        let asked = Asked { carried, scope, above: home.then_some(true), ..asked(site, call, instance, customer) };
        self.accepted(asked, empty(StatusCode::ACCEPTED)).await
    }

    /// The upstreams that authority proved at this one reaches: its group, and itself in any case.
    fn reached_from(&self, site: &Site) -> Vec<UpstreamNumber> {
        let mut reached = self.settings().group(&site.upstream.group);
        if !reached.contains(&site.number) {
            reached.push(site.number);
        }
        reached
    }

    async fn accepted(&self, asked: Asked, answer: Response<Bytes>) -> Result<Given, Refused> {
        let accepted = self.accept(asked).await.map_err(|error| {
            report::warn("an erasure could not be accepted", &error);
            Code::StoreUnavailable
        })?;
        Ok((naming(answer, accepted.request), Some(accepted.request)))
    }

    /// The answer to who wants to wait until all upstreams have accepted.
    async fn waited(&self, otherwise: Response<Bytes>, name: Uuid, limit: Duration) -> Response<Bytes> {
        match timeout(limit, self.shared.ledger.accepted_everywhere(name)).await {
            Ok(Ok(())) => naming(empty(StatusCode::OK), name),
            Ok(Err(_)) | Err(_) => otherwise,
        }
    }

    /// The right token is never asked to wait, however many wrong ones came from the same address.
    fn check_token(&self, site: &Site, call: &ErasureCall, token: &Secret) -> Result<(), Refused> {
        let wanted = token.read().map_err(|error| {
            report::warn("the token of erasures cannot be read", &error);
            Code::ErasureUnauthorised
        })?;
        let shown = call.forgetgate_authorization.as_ref().map(HeaderValue::as_bytes).and_then(bearer);
        if shown.is_some_and(|shown| same(shown, wanted.expose().as_bytes())) {
            return Ok(());
        }
        let caller = Caller::new(site.number, call.peer, None, self.shared.run.name);
        let too_many = self.shared.failures.are_too_many(caller, Instant::now());
        self.shared.failures.note(caller, Instant::now());
        Err(if too_many { Code::TooManyFailures.into() } else { Code::ErasureUnauthorised.into() })
    }
}

/// A label under which there is nothing. Services answer to it as to any other, so the answer gives no hold away (P10).
fn nobodys_label(site: &Site, id: Uuid) -> Box<str> {
    let nobody = CustomerId::new(&id.to_string()).expect("a UUID is a customer ID");
    text_of(&site.aliases, &nobody, LabelForm::alias(site.aliases.epoch()))
}

/// Whether the caller's own credentials may be the only ones that open its instance.
fn needs_the_callers(site: &Site, instance: &Instance) -> bool {
    site.upstream.credentials.is_none() || instance.caller.is_some_and(|key| site.instances.known().own != Some(key))
}

fn asked(site: &Site, call: &ErasureCall, instance: Instance, customer: CustomerId) -> Asked {
    let upstream = &site.upstream;
    let addressed = Addressed {
        upstream: site.number,
        instance,
        profile: upstream.profile.name.clone(),
        api: call.api,
        version: call.query.as_deref().and_then(version),
        probed: false,
        probe: None,
    };
    Asked {
        customer,
        id: None,
        scope: Scope::All,
        addressed: Some(addressed),
        probe: None,
        carried: None,
        submitted: None,
        reason: None,
        above: None,
    }
}

fn version(raw: &str) -> Option<String> {
    let pair = query::pairs(raw).find(|pair| query::decoded(pair.name).eq_ignore_ascii_case(b"version"))?;
    String::from_utf8(query::decoded(pair.value).into_owned()).ok().filter(|version| version.len() <= 64)
}

/// The token of an `Authorization: Bearer` value.
pub(crate) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Compares in a time that depends on neither: it is the digests that are compared, to their last byte.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_bearer_alone_and_compared_whole() {
        assert_eq!(bearer(b"Bearer abc "), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"Basic abc"), None);
        assert_eq!(bearer(b"abc"), None);
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abcd") && !same(b"", b"abc") && !same(b"abd", b"abc"));
    }

    #[test]
    fn the_callers_version_is_read_from_the_query() {
        assert_eq!(version("customer_id=x&version=2020-04-01").as_deref(), Some("2020-04-01"));
        assert_eq!(version("customer_id=x"), None);
    }
}
