//! Requests for erasures: on the data path, through the admin API, and their answers.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use forgetgate::config::Secret;
use forgetgate::domain::ErasureCall;
use forgetgate::domain::erasure::JobState;
use forgetgate::erasure::{Problem, Refused, Submission, Submitted};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tempfile::NamedTempFile;
use tokio::time::timeout;
use uuid::Uuid;

use crate::callers::Open;
use crate::contract::short;
use crate::life::Life;
use crate::model::{Ask, Outcome};
use crate::network::ASK;
use crate::script::{Authority, Millis};
use crate::world::State;

/// The token of those who may ask for erasures.
const TOKEN: &str = "the right one";

/// How the admin API says that the store did not say that it has a request.
const NOT_TAKEN: &str = "not taken by the store";

/// Where the gate reads it.
pub(crate) fn token() -> Secret {
    static FILE: LazyLock<NamedTempFile> = LazyLock::new(|| {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(&file, TOKEN).unwrap();
        file
    });
    Secret::file(FILE.path())
}

/// A delete on the data path, as the script has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    pub(crate) customer: usize,
    pub(crate) upstream: usize,
    pub(crate) wait: bool,
    pub(crate) leaves: Option<Millis>,
    pub(crate) stranger: bool,
}

fn outcome(answer: &Result<Response<Bytes>, Refused>) -> (Outcome, String) {
    let name = |response: &Response<_>| {
        response.headers().get("forgetgate-erasure").map(|id| id.to_str().unwrap().parse().unwrap())
    };
    match answer {
        Ok(response) if response.status().is_success() => match name(response) {
            Some(id) => (Outcome::Accepted(id), response.status().to_string()),
            None => (Outcome::Refused, "2xx without a name".to_owned()),
        },
        Ok(response) => (Outcome::Refused, response.status().to_string()),
        Err(refused) => (Outcome::Refused, format!("{} by the gate", refused.status)),
    }
}

impl State {
    /// All to which these pass IDs on, by however many steps, as it is now.
    pub(crate) fn passed_on_from(&self, from: &[usize]) -> Vec<usize> {
        let mut all = from.to_vec();
        let mut at = 0;
        while let Some(&from) = all.get(at) {
            let new = self.upstreams[from].passes_to.iter().copied().filter(|to| !all.contains(to)).collect::<Vec<_>>();
            all.extend(new);
            at += 1;
        }
        all
    }
}

impl Life {
    fn begins_to_ask(&self, ask: Ask) -> usize {
        let mut state = self.world.state();
        state.asks.push(ask);
        state.asks.len() - 1
    }

    fn ask(&self, customer: usize, reach: &[usize]) -> Ask {
        let state = self.world.state();
        Ask {
            customer,
            reach: reach.iter().copied().collect(),
            may_reach: reach.iter().copied().collect(),
            group: None,
            addressed: None,
            chosen: false,
            beyond: state.passed_on_from(reach).into_iter().collect(),
            over_before: BTreeSet::new(),
            stranger: false,
            begun: self.world.clock.now(),
            generations: state.upstreams.iter().map(|upstream| upstream.generation).collect(),
            own: None,
            again: false,
            stored_before: false,
            approved: false,
            doubted: false,
            adopted: BTreeSet::new(),
            waits: false,
            answered: None,
            outcome: Outcome::Open,
            job: None,
            awaiting: false,
            cancelled: false,
            admin: false,
            probed: false,
            proved: false,
        }
    }

    /// A submission to the admin API.
    pub(crate) fn submit(self: &Arc<Self>, customer: usize, only: Option<&[usize]>, id: Option<u64>) {
        let all: Vec<usize> = (0..self.world.land.upstreams.len()).collect();
        let asked = self.ask(customer, only.unwrap_or(&all));
        let named = id.map(|id| Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(id)));
        let stored_before = named.is_some_and(|id| self.world.state().store.image.jobs.contains_key(&id));
        let ask = self.begins_to_ask(Ask { own: id, admin: true, chosen: only.is_some(), stored_before, ..asked });
        let name = |upstream: &usize| format!("u{upstream}");
        let submission = Submission {
            customer_id: self.world.customers[customer].0.clone(),
            id: named,
            submitted: None,
            upstreams: only.map(|only| only.iter().map(name).collect()),
            dry_run: false,
            reason: None,
        };
        self.world.say(&format!("a{ask}"), format_args!("submits c{customer} at {only:?} as {id:?}"));
        let life = Arc::clone(self);
        tokio::spawn(async move {
            let submitted = life.eraser.submit(submission).await;
            life.world.alive().await;
            let (outcome, said) = match submitted {
                Ok(Submitted::Accepted(view)) => (Outcome::Accepted(view.id), "202".to_owned()),
                Ok(Submitted::DryRun(_)) => unreachable!("nobody asked for a dry run"),
                // The same request again, for another customer or not.
                Err(Problem::OtherCustomer) => (Outcome::Refused, "409".to_owned()),
                Err(Problem::Store(_)) => (Outcome::Refused, NOT_TAKEN.to_owned()),
                Err(error) => (Outcome::Refused, error.to_string()),
            };
            life.answered(ask, outcome, &said).await;
        });
    }

    /// A delete on the data path.
    pub(crate) fn delete(self: &Arc<Self>, asking: Asking) {
        let Asking { customer, upstream, leaves, .. } = asking;
        let site = self.site(upstream);
        if site.upstream.retired {
            return;
        }
        let authority = self.world.land.authority;
        let all = 0..self.world.land.upstreams.len();
        let group = (authority == Authority::Home).then(|| self.world.state().upstreams[upstream].group);
        let within = |other: &usize| group.is_none_or(|group| self.world.state().upstreams[*other].group == group);
        let reach: Vec<usize> = all.filter(within).collect();
        let addressed = Some(upstream);
        let asked = self.ask(customer, &reach);
        let stranger = asking.stranger && authority != Authority::Open;
        let ask = self.begins_to_ask(Ask { waits: asking.wait, stranger, group, addressed, ..asked });
        let call = self.call(ask, asking);
        let who = if stranger { "a stranger deletes" } else { "deletes" };
        self.world.say(&format!("a{ask}"), format_args!("{who} c{customer} at u{upstream}"));
        let (life, open) = (Arc::clone(self), Open::begin(self));
        tokio::spawn(async move {
            let deleting = life.eraser.delete(site, call);
            let answer = match leaves {
                Some(time) => timeout(Duration::from_millis(time), deleting).await,
                None => Ok(deleting.await),
            };
            life.world.alive().await;
            let (outcome, said) = match &answer {
                Ok(answer) => outcome(answer),
                Err(_) => (Outcome::Unknown, "the caller leaves".to_owned()),
            };
            life.check_authorised(ask, outcome, &said);
            life.answered(ask, outcome, &said).await;
            drop(open);
        });
    }

    /// What a caller sends, right or wrong in what authorises it.
    fn call(&self, ask: usize, asking: Asking) -> ErasureCall {
        let authority = self.world.land.authority;
        let id = self.world.customers[asking.customer].0.expose();
        let token = if asking.stranger { "Bearer a wrong one".to_owned() } else { format!("Bearer {TOKEN}") };
        let token: HeaderValue = token.parse().unwrap();
        let mut headers = HeaderMap::from_iter([(HeaderName::from_static(ASK), HeaderValue::from(ask))]);
        if authority == Authority::Home {
            headers.insert(AUTHORIZATION, token.clone());
        }
        ErasureCall {
            instance: forgetgate::domain::Instance::default(),
            api: Some(1),
            path: "/v1/user_data".into(),
            query: Some(format!("customer_id={id}")),
            headers,
            forgetgate_authorization: (authority == Authority::Token).then_some(token),
            prefer_wait: asking.wait.then_some(Duration::from_secs(20)),
            peer: Some([127, 0, 0, 1].into()),
        }
    }

    /// A request for an erasure has its answer; whoever asked looks how it stands.
    pub(crate) async fn answered(&self, ask: usize, outcome: Outcome, said: &str) {
        {
            let now = self.world.clock.now();
            let mut state = self.world.state();
            let id = if let Outcome::Accepted(id) = outcome { short(id) } else { String::new() };
            state.say(now, &format!("a{ask}"), format_args!("is answered {said} {id}"));
            state.asks[ask].answered = Some(now).filter(|_| outcome != Outcome::Unknown);
            state.asks[ask].outcome = outcome;
            state.asks[ask].doubted = outcome == Outcome::Refused && (said.starts_with("503") || said == NOT_TAKEN);
            let (own, customer) = (state.asks[ask].own, state.asks[ask].customer);
            let same = |other: &Ask| own.is_some() && (other.own, other.customer) == (own, customer);
            let stored = state.asks[ask].stored_before;
            let accepted = |other: &Ask| match other.outcome {
                Outcome::Accepted(_) => true,
                Outcome::Unknown => stored,
                Outcome::Open | Outcome::Refused => false,
            };
            let others = state.asks.iter().enumerate().filter(|(nth, _)| *nth != ask);
            let again = others.into_iter().any(|(_, other)| same(other) && accepted(other));
            state.asks[ask].again = again;
        }
        let Outcome::Accepted(id) = outcome else { return };
        self.check_named(ask, id);
        let Ok(view) = self.eraser.show(id).await else { return };
        self.world.alive().await;
        let mut state = self.world.state();
        let seen = &mut state.asks[ask];
        seen.job = Some(view.id);
        let waits = view.state == JobState::AwaitingApproval;
        // Somebody may have approved it meanwhile; then it does not wait.
        seen.awaiting = waits && !seen.approved;
        let probed = seen.probed;
        drop(state);
        if waits && probed {
            self.world.broken("approval", format!("a{ask} waits for approval, and its probe was sent"));
        }
    }
}
