//! Every answer that the gate itself gives instead of the upstream's: its code, its status, its sentence.
//!
//! The codes and statuses are part of the published contract. A sentence never holds anything of the caller's.
//! See docs/decisions/012-refusals.md.

/// Why a request was not forwarded, as the caller sees it in `Forgetgate-Refusal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// A labelled call without a customer ID.
    LabelMissing,
    /// An ID that the service's grammar does not allow.
    LabelInvalid,
    /// Several IDs where one is wanted.
    LabelSeveral,
    /// Header and query name different customers.
    LabelConflict,
    /// An ID that looks like personal data.
    LabelPersonal,
    /// An ID that is a mistake, or a name that everybody shares.
    LabelPlaceholder,
    /// A path that an upstream could read in two ways.
    PathAmbiguous,
    /// Headers that an upstream could read in two ways.
    HeaderAmbiguous,
    /// A beta endpoint, and the policy refuses those.
    BetaRefused,
    /// Personal data in training data.
    TrainingPersonal,
    /// An endpoint that the profile does not name, and the policy refuses those.
    EndpointUnknown,
    /// An instance that the configuration does not name, and the upstream's are closed.
    InstanceUnknown,
    /// No bearer token that verifies, where the policy takes the customer from one.
    TokenInvalid,
    /// A delete without the authority that the operator asks for.
    ErasureUnauthorised,
    /// No route matches.
    UpstreamUnknown,
    /// A body beyond what may be inspected.
    BodyTooLarge,
    /// A request target that is too long.
    TargetTooLong,
    /// A head that is too large.
    HeaderTooLarge,
    /// Too many deletes with wrong credentials.
    TooManyFailures,
    /// The upstream cannot be reached, or broke off.
    UpstreamUnreachable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The index cannot be written.
    StoreUnavailable,
    /// The keys that a token would be verified with are not known at this moment.
    KeysUnavailable,
    /// This customer is being erased at this moment.
    ErasureInProgress,
    /// More is going on than the limits allow.
    Overloaded,
    /// The gate is about to stop.
    Draining,
    /// The request has come round to this gate too often.
    LoopDetected,
}

impl Code {
    /// All codes, in the order of the published table.
    pub const ALL: [Self; 27] = [
        Self::LabelMissing,
        Self::LabelInvalid,
        Self::LabelSeveral,
        Self::LabelConflict,
        Self::LabelPersonal,
        Self::LabelPlaceholder,
        Self::PathAmbiguous,
        Self::HeaderAmbiguous,
        Self::BetaRefused,
        Self::TrainingPersonal,
        Self::EndpointUnknown,
        Self::InstanceUnknown,
        Self::TokenInvalid,
        Self::ErasureUnauthorised,
        Self::UpstreamUnknown,
        Self::BodyTooLarge,
        Self::TargetTooLong,
        Self::HeaderTooLarge,
        Self::TooManyFailures,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::StoreUnavailable,
        Self::KeysUnavailable,
        Self::ErasureInProgress,
        Self::Overloaded,
        Self::Draining,
        Self::LoopDetected,
    ];

    /// As it is written in headers, bodies and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LabelMissing => "label_missing",
            Self::LabelInvalid => "label_invalid",
            Self::LabelSeveral => "label_several",
            Self::LabelConflict => "label_conflict",
            Self::LabelPersonal => "label_personal",
            Self::LabelPlaceholder => "label_placeholder",
            Self::PathAmbiguous => "path_ambiguous",
            Self::HeaderAmbiguous => "header_ambiguous",
            Self::BetaRefused => "beta_refused",
            Self::TrainingPersonal => "training_personal",
            Self::EndpointUnknown => "endpoint_unknown",
            Self::InstanceUnknown => "instance_unknown",
            Self::TokenInvalid => "token_invalid",
            Self::ErasureUnauthorised => "erasure_unauthorised",
            Self::UpstreamUnknown => "upstream_unknown",
            Self::BodyTooLarge => "body_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::HeaderTooLarge => "header_too_large",
            Self::TooManyFailures => "too_many_failures",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::StoreUnavailable => "store_unavailable",
            Self::KeysUnavailable => "keys_unavailable",
            Self::ErasureInProgress => "erasure_in_progress",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::LoopDetected => "loop_detected",
        }
    }

    /// The HTTP status. Never 401, 403 or 3xx: the SDKs hide those or follow them.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::LabelMissing
            | Self::LabelInvalid
            | Self::LabelSeveral
            | Self::LabelConflict
            | Self::LabelPersonal
            | Self::LabelPlaceholder
            | Self::PathAmbiguous
            | Self::HeaderAmbiguous
            | Self::BetaRefused
            | Self::TrainingPersonal
            | Self::EndpointUnknown
            | Self::InstanceUnknown
            | Self::TokenInvalid
            | Self::ErasureUnauthorised => 400,
            Self::UpstreamUnknown => 404,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::HeaderTooLarge => 431,
            Self::TooManyFailures => 429,
            Self::UpstreamUnreachable => 502,
            Self::UpstreamTimeout => 504,
            Self::LoopDetected => 508,
            Self::StoreUnavailable
            | Self::KeysUnavailable
            | Self::ErasureInProgress
            | Self::Overloaded
            | Self::Draining => 503,
        }
    }

    /// Seconds for `Retry-After`, where trying again may help.
    #[must_use]
    pub const fn retry_after_s(self) -> Option<u32> {
        match self.status() {
            503 => Some(1),
            429 => Some(60),
            _ => None,
        }
    }
}

/// A refusal: the code and one sentence for the person who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// What is wrong and what would be right, without a full stop; never anything that the caller sent.
    pub sentence: &'static str,
}

impl Refusal {
    /// A refusal with its own sentence.
    #[must_use]
    pub const fn new(code: Code, sentence: &'static str) -> Self {
        Self { code, sentence }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code, general_sentence(code))
    }
}

const fn general_sentence(code: Code) -> &'static str {
    match code {
        Code::LabelMissing => {
            "This call stores a customer's data and must say whose: send the header X-Watson-Metadata: customer_id=YOUR_CUSTOMER_ID"
        }
        Code::LabelInvalid => "The customer ID has characters or a form that this service does not allow",
        Code::LabelSeveral => "The label names several customers, and only one is allowed here",
        Code::LabelConflict => "The label's header and its query parameter name different customers",
        Code::LabelPersonal => {
            "The customer ID looks like personal data (an address, a number or a name of a person): send a generic ID"
        }
        Code::LabelPlaceholder => {
            "The customer ID is no customer's: a program wrote it for want of one, or everybody shares it (policy.placeholders)"
        }
        Code::PathAmbiguous => {
            "The path can be read in more than one way: send it without encoded slashes, dot segments or empty segments"
        }
        Code::HeaderAmbiguous => "The request's headers can be read in more than one way",
        Code::BetaRefused => "This is a beta call, and the gate's policy refuses those",
        Code::TrainingPersonal => "The training data holds personal data, which this service cannot delete by customer",
        Code::EndpointUnknown => {
            "The service's profile does not name this call, and the gate's policy refuses such calls"
        }
        Code::InstanceUnknown => {
            "The gate does not know which instance of the service this key or path belongs to, and could not erase from it"
        }
        Code::TokenInvalid => "The customer is taken from a verified bearer token, and there is none",
        Code::ErasureUnauthorised => "This delete needs the header Forgetgate-Authorization with the right token",
        Code::UpstreamUnknown => "No route of the gate matches this path and host",
        Code::BodyTooLarge => "The body is larger than what the gate may inspect for a customer ID",
        Code::TargetTooLong => "The request target is too long",
        Code::HeaderTooLarge => "The request's headers are too many or too large",
        Code::TooManyFailures => "Too many deletes with wrong credentials: wait before trying again",
        Code::UpstreamUnreachable => "The service behind the gate cannot be reached",
        Code::UpstreamTimeout => "The service behind the gate did not answer in time",
        Code::StoreUnavailable => {
            "The gate cannot write down whose data this is, so it does not let it through: try again"
        }
        Code::KeysUnavailable => {
            "The keys that the bearer token has to be verified with are not known at this moment: try again"
        }
        Code::ErasureInProgress => "This customer's data is being erased at this moment: try again",
        Code::Overloaded => "The gate is at its limit: try again",
        Code::Draining => "The gate is about to stop: try again",
        Code::LoopDetected => "The request runs in a circle: an upstream of the gate leads back to it",
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Refusal};

    #[test]
    fn no_refusal_has_a_status_that_the_sdks_hide_or_follow_and_every_sentence_fits_a_reason_phrase() {
        for code in Code::ALL {
            let status = code.status();
            assert!(status != 401 && status != 403 && status >= 400, "{code:?}");
            let sentence = Refusal::from(code).sentence;
            assert!(sentence.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{code:?}");
            assert!(!sentence.ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn codes_are_distinct() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
