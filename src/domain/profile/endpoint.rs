//! One call of a service: how it is recognised, what kind it is, and which part of its path the index remembers.

use std::sync::Arc;

use super::classes::Classes;
use super::matching::from_the_end;
use super::template::{PathTemplate, Segment};
use crate::domain::query;

/// One `[[endpoint]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its method, in upper case.
    pub method: Box<str>,
    /// Its path, relative to the service's base URL.
    pub template: PathTemplate,
    /// What kind of call it is, its condition (if any) being met.
    pub classes: Classes,
    /// When its data is labelled.
    pub when: Option<When>,
    /// Its call as profiles write it, made once: every request's log line names it.
    pub(super) written: Arc<str>,
    pub(super) resource: Option<Resource>,
    pub(super) api: Option<u8>,
    /// Whether a path that matches this endpoint could also be read as one with classes that this one lacks.
    pub(super) contested: bool,
}

impl Endpoint {
    /// `POST /v1/recognize`, as profiles write it.
    #[must_use]
    pub const fn call(&self) -> &Arc<str> {
        &self.written
    }

    /// The resource's template as profiles write it; `None` when the index remembers nothing of the path.
    #[must_use]
    pub fn resource_template(&self) -> Option<&str> {
        self.resource.as_ref().map(|resource| &*resource.written)
    }

    /// The number of the API's version in its path.
    #[must_use]
    pub const fn api(&self) -> Option<u8> {
        self.api
    }

    /// The classes that hold for a request with this query: where a condition is not met, data is carried but not
    /// labelled. Every other class holds always: a query is logged, and so opted out, whatever its parameters are.
    #[must_use]
    pub fn classes_for(&self, query: Option<&str>) -> Classes {
        match &self.when {
            Some(when) if !when.holds(query) => self.classes.without(Classes::LABELLED).with(Classes::CARRIES_DATA),
            _ => self.classes,
        }
    }

    /// Appends the resource of a request that matched this endpoint, such as `assistants/a1`, in decoded form.
    pub(super) fn push_resource(&self, path: &str, out: &mut String) {
        let Some(resource) = &self.resource else { return };
        for (index, part) in resource.parts.iter().enumerate() {
            if index > 0 {
                out.push('/');
            }
            match part {
                ResourcePart::Fixed(text) => out.push_str(text),
                ResourcePart::FromTheEnd(back) => {
                    let segment = from_the_end(path, *back);
                    if memchr::memchr(b'%', segment.as_bytes()).is_none() {
                        out.push_str(segment);
                    } else {
                        out.push_str(&percent_encoding::percent_decode_str(segment).decode_utf8_lossy());
                    }
                }
            }
        }
    }
}

/// A condition on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// One of these query parameters is there, in any case, whatever its value.
    pub query: Box<[Box<str>]>,
}

impl When {
    /// Whether it is met. In doubt it is: if any reader of queries could find one of the parameters.
    #[must_use]
    pub fn holds(&self, query: Option<&str>) -> bool {
        query.is_some_and(|query| self.query.iter().any(|wanted| query::may_spell(query, wanted)))
    }
}

/// A resource template, bound to the endpoint's own path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    written: Box<str>,
    parts: Box<[ResourcePart]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ResourcePart {
    Fixed(Box<str>),
    /// This many segments before the last one.
    FromTheEnd(usize),
}

impl Resource {
    /// Binds a template to a path. `Err` is the name of a variable that the path does not have.
    pub(super) fn bind(resource: &PathTemplate, path: &PathTemplate) -> Result<Self, String> {
        let bind = |segment: &Segment| match segment {
            Segment::Fixed(text) => Ok(ResourcePart::Fixed(text.clone())),
            Segment::Variable(name) => path.back_to(name).map(ResourcePart::FromTheEnd).ok_or_else(|| name.to_string()),
        };
        let parts = resource.segments().iter().map(bind).collect::<Result<_, _>>()?;
        let written = resource.to_string().trim_start_matches('/').into();
        Ok(Self { written, parts })
    }
}
