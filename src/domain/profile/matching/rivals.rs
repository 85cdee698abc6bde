//! When two endpoints could be meant by one path, and which of them is.
//!
//! Asked once, when a profile is read, so that a request which only one endpoint can mean is answered at once.

use super::super::endpoint::Endpoint;
use super::super::template::{PathTemplate, Segment};
use super::loose::reads_as;

/// Marks the endpoints whose paths could also be read as an endpoint with classes that they lack.
pub(super) fn mark_contested(endpoints: &mut [Endpoint]) {
    let contested: Vec<bool> = endpoints.iter().map(|one| endpoints.iter().any(|other| rivals(one, other))).collect();
    for (endpoint, contested) in endpoints.iter_mut().zip(contested) {
        endpoint.contested = contested;
    }
}

fn rivals(one: &Endpoint, other: &Endpoint) -> bool {
    !std::ptr::eq(one, other)
        && one.method == other.method
        && !one.classes.has(other.classes.governed())
        && !beats(one, other)
        && may_meet(&one.template, &other.template)
}

/// Whether one path, loosely read, could end with both templates.
fn may_meet(one: &PathTemplate, other: &PathTemplate) -> bool {
    let mut pairs = one.segments().iter().rev().zip(other.segments().iter().rev()).enumerate();
    pairs.all(|(back, pair)| match pair {
        (Segment::Fixed(one), Segment::Fixed(other)) => reads_as(one, other, back == 0),
        _ => true,
    })
}

/// Whether these segments, loosely read, could end with the template.
pub(super) fn may_end_with(segments: &[&str], template: &PathTemplate) -> bool {
    let mut pairs = segments.iter().rev().zip(template.segments().iter().rev()).enumerate();
    segments.len() >= template.segments().len()
        && pairs.all(|(back, (sent, segment))| segment.fixed().is_none_or(|fixed| reads_as(sent, fixed, back == 0)))
}

/// Whether a path that matches `one` to the letter is plainly not `other`. So it is if `one` is fixed wherever `other`
/// is, and says more: a fixed segment where the other has a variable, or further ones before it. The two ways to call
/// one path, with and without a handshake, never stand against each other.
pub(super) fn beats(one: &Endpoint, other: &Endpoint) -> bool {
    let (longer, shorter) = (one.template.segments(), other.template.segments());
    let Some(extra) = longer.len().checked_sub(shorter.len()) else { return false };
    let mut pairs = longer.iter().skip(extra).zip(shorter);
    let as_fixed = pairs.all(|(one, other)| other.fixed().is_none_or(|fixed| one.fixed() == Some(fixed)));
    let says_more =
        longer.iter().filter_map(Segment::fixed).count() > shorter.iter().filter_map(Segment::fixed).count();
    as_fixed && (says_more || one.template.same_shape(&other.template))
}
