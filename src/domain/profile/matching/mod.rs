//! From a request line to an endpoint, in such a way that no spelling gets round it (P9).
//!
//! A path that everyone reads alike is looked up; a path that two readers could read differently is never resolved,
//! only asked whether any reading of it comes near a governed call. In doubt the answer is [`Ambiguous`].

mod erasing;
mod loose;
mod rivals;
mod spelling;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

use self::erasing::{Erasing, Near};
use self::loose::Loose;
pub use self::loose::climbs_out;
pub(super) use self::spelling::from_the_end;
use self::spelling::{Spelling, segments, slashes_from_the_end};
use self::tree::{Index, Tree};
use super::classes::Classes;
use super::endpoint::Endpoint;

/// The request could be read as a governed call, and could be read otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// By its path.
    #[error("the path can be read in more than one way, and one of them is a call that is governed")]
    Path,
    /// By its method: `post` for `POST`.
    #[error("the method is not written in upper case, and in upper case the call is governed")]
    Method,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'p> {
    /// The endpoint; `None` when the profile does not name it.
    pub endpoint: Option<&'p Endpoint>,
    /// The classes that hold for this request: the endpoint's, its condition taken into account.
    pub classes: Classes,
    /// The number of the API's version in the path. A delete by label may have one that the profile does not list.
    pub api: Option<u8>,
    /// Segments of the path that are the profile's own, counted from the end.
    own: usize,
}

/// An endpoint, and the version of the API under which it was called.
#[derive(Clone, Copy)]
struct Found<'p> {
    endpoint: &'p Endpoint,
    api: Option<u8>,
    own: usize,
}

impl<'p> Found<'p> {
    fn of(endpoint: &'p Endpoint) -> Self {
        Self { endpoint, api: endpoint.api, own: endpoint.template.segments().len() }
    }
}

impl<'p> Match<'p> {
    /// A request that the profile does not name.
    pub const UNKNOWN: Self = Self { endpoint: None, classes: Classes::NONE, api: None, own: 0 };

    fn of(found: Found<'p>, query: Option<&str>) -> Self {
        let Found { endpoint, api, own } = found;
        Self { endpoint: Some(endpoint), classes: endpoint.classes_for(query), api, own }
    }

    /// What stands in the path before the profile's own, such as `/instances/GUID`: the caller's bytes. `path` is the one
    /// that was classified. Empty for what the profile does not name.
    #[must_use]
    pub fn prefix<'a>(&self, path: &'a str) -> &'a str {
        if self.endpoint.is_none() {
            return "";
        }
        let body = path.strip_suffix('/').unwrap_or(path);
        // Nearly every path is the profile's own as a whole, and slashes are counted in strides.
        if body.starts_with('/') && body.bytes().map(|byte| usize::from(byte == b'/')).sum::<usize>() == self.own {
            return "";
        }
        let end = self.own.checked_sub(1).and_then(|before| slashes_from_the_end(body).nth(before));
        end.and_then(|end| body.get(..end)).unwrap_or_default()
    }

    /// What the index remembers of the path, from decoded segments: `assistants/a1`; empty for the service as a whole.
    /// `path` is the one that was classified.
    #[must_use]
    pub fn resource(&self, path: &str) -> String {
        // Long enough for nearly all of them.
        let mut resource = String::with_capacity(path.len().min(64));
        self.push_resource(path, &mut resource);
        resource
    }

    /// Appends [`Self::resource`] to a buffer that the caller keeps.
    pub fn push_resource(&self, path: &str, out: &mut String) {
        if let Some(endpoint) = self.endpoint {
            endpoint.push_resource(path, out);
        }
    }
}

/// The endpoints of one method.
#[derive(Clone)]
struct OneMethod {
    name: Box<str>,
    tree: Tree,
    /// Those for which the gate acts.
    governed: Vec<Index>,
    /// Its deletes by label, each once for all versions of the API.
    erasing: Vec<Erasing>,
}

impl OneMethod {
    fn new(name: Box<str>) -> Self {
        Self { name, tree: Tree::default(), governed: Vec::new(), erasing: Vec::new() }
    }

    fn insert(&mut self, endpoint: &Endpoint, index: Index) {
        self.tree.insert(&endpoint.template, endpoint.classes.websocket(), index);
        if !endpoint.classes.governed().is_empty() {
            self.governed.push(index);
        }
        let erasing = Erasing::of(endpoint, index);
        self.erasing.extend(erasing.filter(|new| !self.erasing.iter().any(|known| known.is_like(new))));
    }
}

/// The endpoints of a profile, ready to be asked.
#[derive(Clone, Default)]
pub(super) struct Matcher {
    endpoints: Box<[Endpoint]>,
    methods: Vec<OneMethod>,
}

impl Matcher {
    pub(super) fn new(mut endpoints: Box<[Endpoint]>) -> Self {
        rivals::mark_contested(&mut endpoints);
        let mut methods: Vec<OneMethod> = Vec::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            let at = methods.iter().position(|method| method.name == endpoint.method).unwrap_or_else(|| {
                methods.push(OneMethod::new(endpoint.method.clone()));
                methods.len() - 1
            });
            if let Some(method) = methods.get_mut(at) {
                method.insert(endpoint, index);
            }
        }
        Self { endpoints, methods }
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    pub(super) fn classify(
        &self,
        method: &str,
        path: &str,
        query: Option<&str>,
        websocket: bool,
    ) -> Result<Match<'_>, Ambiguous> {
        if let Some(known) = self.method(method) {
            let found = self.find(known, path, websocket).map_err(|()| Ambiguous::Path)?;
            return Ok(found.map_or(Match::UNKNOWN, |found| Match::of(found, query)));
        }
        let Some(meant) = self.methods.iter().find(|known| says(&known.name, method, str::eq_ignore_ascii_case)) else {
            return Ok(Match::UNKNOWN);
        };
        match self.find(meant, path, websocket) {
            Ok(found) if found.is_none_or(|found| found.endpoint.classes.governed().is_empty()) => Ok(Match::UNKNOWN),
            Ok(_) | Err(()) => Err(Ambiguous::Method),
        }
    }

    pub(super) fn method_like(&self, name: &str) -> Option<&str> {
        self.methods.iter().find(|known| says(&known.name, name, str::eq_ignore_ascii_case)).map(|known| &*known.name)
    }

    fn method(&self, name: &str) -> Option<&OneMethod> {
        self.methods.iter().find(|known| says(&known.name, name, |one, two| one == two))
    }

    /// `Err` when the path is ambiguous.
    fn find(&self, method: &OneMethod, path: &str, websocket: bool) -> Result<Option<Found<'_>>, ()> {
        let sent = segments(path);
        let spelling = Spelling::of(path, &sent);
        let sent_as = method.tree.find(&sent, websocket);
        if spelling == Spelling::Clean {
            let found = self.plain(method, &sent, sent_as, true, websocket)?;
            return self.or_erasing(method, &sent, found, true);
        }
        let decoded: Vec<_> =
            sent.iter().map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy()).collect();
        let read: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
        let read_as = method.tree.find(&read, websocket);
        match spelling {
            Spelling::Clean | Spelling::Escaped => {
                let found = self.plain(method, &read, read_as, sent_as == read_as, websocket)?;
                self.or_erasing(method, &read, found, *sent == *read)
            }
            Spelling::Doubtful => Ok(self.doubtful(method, path, read_as, websocket)?.map(Found::of)),
        }
    }

    /// What was found, unless the path is, or could be, a delete by label under another version of the API.
    fn or_erasing<'m>(
        &'m self,
        method: &OneMethod,
        segments: &[&str],
        found: Option<&'m Endpoint>,
        exact: bool,
    ) -> Result<Option<Found<'m>>, ()> {
        for erasing in &method.erasing {
            match (erasing.near(segments, exact), found) {
                (Near::No, _) => {}
                (_, Some(endpoint)) if erasing.is_named_by(endpoint) => {}
                (Near::Version(api), None) => {
                    let found = self.endpoints.get(erasing.endpoint);
                    let own = erasing.own(segments, found);
                    return Ok(found.map(|endpoint| Found { endpoint, api: Some(api), own }));
                }
                (Near::Maybe { versioned: false }, Some(_)) => {}
                (Near::Version(_), Some(_)) | (Near::Maybe { .. }, _) => return Err(()),
            }
        }
        Ok(found.map(Found::of))
    }

    /// Everyone sees the same segments; they may still be written differently (in another case, with an extension).
    /// `exact`: decoded or not, the same endpoint is found.
    fn plain(
        &self,
        method: &OneMethod,
        segments: &[&str],
        found: Option<Index>,
        exact: bool,
        websocket: bool,
    ) -> Result<Option<&Endpoint>, ()> {
        let found = found.and_then(|index| self.endpoints.get(index));
        if exact && found.is_some_and(|endpoint| !endpoint.contested) {
            return Ok(found);
        }
        let beaten = |endpoint: &Endpoint| exact && found.is_some_and(|found| rivals::beats(found, endpoint));
        let other_reading =
            |endpoint: &&Endpoint| rivals::may_end_with(segments, &endpoint.template) && !beaten(endpoint);
        let near: Classes = self
            .governed(method, websocket)
            .filter(other_reading)
            .map(|endpoint| endpoint.classes.governed())
            .collect();
        let covered = found.map_or(Classes::NONE, |endpoint| endpoint.classes).has(near);
        if covered { Ok(found) } else { Err(()) }
    }

    /// Readers may disagree about the segments. Training texts may hold anything, so a path whose every reading is
    /// training is let through as that; near anything that is labelled, opted out, erased or filtered it is refused.
    fn doubtful(
        &self,
        method: &OneMethod,
        path: &str,
        found: Option<Index>,
        websocket: bool,
    ) -> Result<Option<&Endpoint>, ()> {
        let loose = Loose::of(path);
        let near: Classes = self
            .governed(method, websocket)
            .filter(|endpoint| loose.may_hold(&endpoint.template.fixed()))
            .map(|endpoint| endpoint.classes.governed())
            .collect();
        if method.erasing.iter().any(|erasing| erasing.may_be_in(&loose)) {
            return Err(());
        }
        if near.is_empty() {
            return Ok(None);
        }
        let found = found.and_then(|index| self.endpoints.get(index));
        let covered = found.is_some_and(|endpoint| endpoint.classes.has(near));
        if covered && !near.is_strict() { Ok(found) } else { Err(()) }
    }

    /// The governed endpoints that a request of this method and kind can reach.
    fn governed<'m>(&'m self, method: &'m OneMethod, websocket: bool) -> impl Iterator<Item = &'m Endpoint> {
        let all = method.governed.iter().filter_map(|index| self.endpoints.get(*index));
        all.filter(move |endpoint| websocket || !endpoint.classes.websocket())
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.endpoints.iter().map(Endpoint::call)).finish()
    }
}

/// `HEAD` matches like `GET`.
fn says(known: &str, method: &str, same: fn(&str, &str) -> bool) -> bool {
    same(known, method) || (known == "GET" && same("HEAD", method))
}
