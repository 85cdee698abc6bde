//! What an upstream's own tables say in the place of `[limits]` and `[erasure]`.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Authorize, Config, Erasure, Limits, OpenWebsockets, erasure, format_duration};

/// `limits` of an upstream; `None` is as `[limits]` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// `connect_timeout`
    pub connect: Option<Duration>,
    /// `response_timeout`
    pub response: Option<Duration>,
    /// `body_stall_timeout`
    pub body_stall: Option<Duration>,
    /// `answer_stall_timeout`
    pub answer_stall: Option<Duration>,
    /// `event_stream_timeout`
    pub event_stream: Option<Duration>,
}

impl OwnLimits {
    /// The limits of an upstream whose own these are.
    #[must_use]
    pub fn over(&self, common: &Limits) -> Limits {
        Limits {
            connect_timeout: self.connect.unwrap_or(common.connect_timeout),
            response_timeout: self.response.unwrap_or(common.response_timeout),
            body_stall_timeout: self.body_stall.unwrap_or(common.body_stall_timeout),
            answer_stall_timeout: self.answer_stall.unwrap_or(common.answer_stall_timeout),
            event_stream_timeout: self.event_stream.unwrap_or(common.event_stream_timeout),
            ..common.clone()
        }
    }
}

impl Serialize for OwnLimits {
    /// Only what the upstream says itself.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { connect, response, body_stall, answer_stall, event_stream } = *self;
        let all = [
            ("connect_timeout", connect),
            ("response_timeout", response),
            ("body_stall_timeout", body_stall),
            ("answer_stall_timeout", answer_stall),
            ("event_stream_timeout", event_stream),
        ];
        to.collect_map(all.into_iter().filter_map(|(key, time)| Some((key, format_duration(time?)))))
    }
}

/// `erasure` of an upstream; `None` is as `[erasure]` says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OwnErasure {
    /// Who may erase by a delete at this upstream.
    #[serde(flatten, serialize_with = "erasure::authorize_if_any")]
    pub authorize: Option<Authorize>,
    /// What happens to its open WebSockets.
    pub open_websockets: Option<OpenWebsockets>,
}

impl OwnErasure {
    /// Who may erase by a delete at the upstream whose own this is.
    #[must_use]
    pub fn authorize_over<'e>(&'e self, common: &'e Erasure) -> &'e Authorize {
        self.authorize.as_ref().unwrap_or(&common.authorize)
    }
}

impl Config {
    /// The longest `response_timeout` of all upstreams: how long anything that was cut may still be stored somewhere.
    #[must_use]
    pub fn longest_response_timeout(&self) -> Duration {
        let own = self.upstreams.iter().filter_map(|upstream| upstream.limits.response);
        own.fold(self.limits.response_timeout, Duration::max)
    }
}
