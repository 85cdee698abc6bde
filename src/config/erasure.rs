//! `[erasure]`: who may erase, and what bounds an erasure.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Secret, describe};

/// `erasure.authorize`
#[derive(Clone, Debug)]
pub enum Authorize {
    /// The addressed upstream's answer to the caller's own credentials is the proof.
    Home,
    /// The caller presents `Forgetgate-Authorization: Bearer …`.
    Token(Secret),
    /// Anyone who reaches the listener.
    Open,
}

/// `erasure.open_websockets`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenWebsockets {
    /// An erasure waits for them.
    #[default]
    Wait,
    /// An erasure closes them.
    Close,
}

/// `[erasure]`
#[derive(Clone, Debug, Serialize)]
pub struct Erasure {
    /// Who may erase on the data path.
    #[serde(flatten)]
    pub authorize: Authorize,
    /// When an unfinished erasure is late.
    #[serde(serialize_with = "describe::duration")]
    pub deadline: Duration,
    /// Above this rate they wait for approval.
    pub erasures_per_minute: u32,
    /// How long a request for X waits while X is being erased; also the bound of a fence's life and of a delete. A drain has
    /// half of it.
    #[serde(serialize_with = "describe::duration")]
    pub barrier_timeout: Duration,
    /// How long finished erasures are kept.
    #[serde(serialize_with = "describe::duration")]
    pub retention: Duration,
    /// What happens to open WebSockets.
    pub open_websockets: OpenWebsockets,
}

/// `authorize` and `token`, two keys of the file for one type.
#[derive(Serialize)]
struct Written<'a> {
    authorize: Option<&'static str>,
    token: Option<&'a Secret>,
}

impl<'a> Written<'a> {
    const fn of(authorize: Option<&'a Authorize>) -> Self {
        let (authorize, token) = match authorize {
            None => (None, None),
            Some(Authorize::Home) => (Some("home"), None),
            Some(Authorize::Token(token)) => (Some("token"), Some(token)),
            Some(Authorize::Open) => (Some("open"), None),
        };
        Self { authorize, token }
    }
}

impl Serialize for Authorize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Written::of(Some(self)).serialize(to)
    }
}

/// Both keys are null where an upstream says nothing.
pub(super) fn authorize_if_any<S: Serializer>(authorize: &Option<Authorize>, to: S) -> Result<S::Ok, S::Error> {
    Written::of(authorize.as_ref()).serialize(to)
}
