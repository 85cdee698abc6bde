//! From a request to its answer: who asks, what for, and which function does it.

use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use super::problem::{Answer, Problem, json_answer, text};
use super::refusals::Refusals;
use super::routes::{self, Call, Parameters, Route};
use super::{State, body, calls, export, guard, health, holds, metrics, replicas, upstreams};
use crate::config::Metrics;

/// Answers one request.
pub(super) async fn answer(state: &State, refusals: &Refusals, request: Request<Incoming>) -> Answer {
    let mut answer = judged(state, refusals, request).await.unwrap_or_else(Problem::answer);
    // The rest of a body that was too much or too late is not waited for.
    if matches!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

async fn judged(state: &State, refusals: &Refusals, request: Request<Incoming>) -> Result<Answer, Problem> {
    let config = state.config.config();
    let admin = &config.admin;
    let from_here = guard::check_origin(admin, request.method(), request.headers());
    from_here.map_err(|refused| refusals.told("-", refused))?;
    let (route, parameters) = routes::find(request.method(), request.uri().path())?;
    let is_open = route.open || (route.call == Call::Metrics && admin.metrics == Metrics::Open);
    if !is_open {
        guard::check_token(admin, request.headers()).map_err(|refused| refusals.told(route.path, refused))?;
        check_query(route, request.uri().query())?;
    }
    call(state, route, &parameters, request).await
}

/// Only lists take a query; an ID that was put there by mistake is refused before it is used.
fn check_query(route: &Route, query: Option<&str>) -> Result<(), Problem> {
    // Those who scrape metrics may put a query there that says which they would like.
    if matches!(route.call, Call::List | Call::Holds | Call::Metrics) || query.is_none_or(str::is_empty) {
        return Ok(());
    }
    Err(Problem::bad("query_refused", "this call takes no query; a customer's ID belongs in the body"))
}

async fn call(state: &State, route: &Route, at: &Parameters, request: Request<Incoming>) -> Result<Answer, Problem> {
    match route.call {
        Call::Alive => Ok(health::alive(state.index.is_alive())),
        Call::Ready => Ok(health::ready(&state.missing())),
        Call::Metrics => Ok(metrics::metrics(state).await),
        Call::OpenApi => Ok(text(StatusCode::OK, "application/json", include_str!("openapi.json").to_owned())),
        Call::Upstreams => Ok(json_answer(StatusCode::OK, &upstreams::upstreams(state).await)),
        Call::Replicas => Ok(json_answer(StatusCode::OK, &replicas::replicas(state).await)),
        Call::Config => Ok(json_answer(StatusCode::OK, &state.config.describe())),
        Call::Reload => state.config.reload().await,
        Call::Export => export::export(state).await,
        Call::Exported => export::exported(state, &body::read(request).await?).await,
        Call::List => calls::list(state, request.uri().query()).await,
        Call::Show => calls::show(state, at).await,
        Call::Receipt => calls::receipt(state, at).await,
        Call::Submit => calls::submit(state, &body::read(request).await?).await,
        Call::Recipients => calls::recipients(state, &body::read(request).await?).await,
        Call::SetHold => holds::set(state, &body::read(request).await?).await,
        Call::LiftHold => holds::lift(state, at, &body::read(request).await?).await,
        Call::Holds => holds::list(state, request.uri().query()).await,
        Call::Approve | Call::Hold | Call::Unhold | Call::Cancel | Call::Retry | Call::Close => {
            calls::decide(state, route.call, at, &body::read(request).await?).await
        }
        Call::Confirm => calls::confirm(state, at, &body::read(request).await?).await,
    }
}

impl State {
    /// What readiness waits for at this moment.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let mut missing = self.readiness.missing();
        if !self.index.is_writable() {
            missing.push("store");
        }
        if !self.eraser.is_open() {
            missing.push("replicas");
        }
        missing
    }
}
